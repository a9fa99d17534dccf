"""How events leave: a pool of workers for each destination, each delivering one event at a time.

pool      the threads: started, replaced and stopped as the mappings change
worker    the loop of one thread: lease a delivery, deliver it, settle it
deliver   one delivery: decide it if its grace is over, map, send, and what an error becomes
"""
