import time, pytest, threading, socket, faulthandler, sys
from contextlib import suppress
pytestmark = [pytest.mark.enable_socket]
def test_stall(wired, cloud):
    scene, wire = wired
    go = threading.Event(); go.set()
    def carry(source, target):
        with suppress(OSError), source:
            while data := source.recv(65536):
                go.wait(); target.sendall(data)
    wire._carry = carry
    wire.cut(); wire.mend()
    scene.start()
    scene.send("cloud_a", cloud.created(cloud.issue()))
    go.clear()
    got=[]
    def post():
        t=time.time(); scene.send("cloud_a", cloud.created(cloud.issue())); got.append(time.time()-t)
    th=[threading.Thread(target=post) for _ in range(3)]
    for x in th: x.start()
    for x in th: x.join(2)
    print("STALL", got)
    go.set(); 
    for x in th: x.join(3)
    print("after", got)
    if not got: faulthandler.dump_traceback(file=open("/tmp/st.txt","w"))
    for x in th: x.join()
    print("after", got)
