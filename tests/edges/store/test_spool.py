"""The spool: what waits on disk, in order, whatever happens to the disk and the process."""

import resource
import subprocess
import sys
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import NotKept
from bridge.model import Request
from bridge.store import spool as module
from bridge.store.spool import Spool


def request(id="r1", body=b"{}", **known):
    given = {"hook": "main", "site": "jira", "received": 7, "headers": {}, "query": {}}
    return Request(**{**given, **known}, id=id, body=body)


def requests(*ids):
    return [request(id) for id in ids]


@pytest.fixture
def spools(tmp_path):
    """Make spools that share a folder, each for a process of its own."""
    made = []

    def make(process="here", limit=1 << 30, folder=tmp_path / "spool", **known):
        made.append(Spool(folder, limit=limit, process=process, **known))
        return made[-1]

    yield make
    for each in made:
        each.close()


def drained(spool, count=100):
    """Drain a spool; returns the ids in order, and the files that were kept aside."""
    found, kept = [], []
    while spool.backlog:
        told, offset = spool.peek(count)
        found += [each.id for each in told]
        kept.append(spool.drop(offset))
    return found, [path.name for path in kept if path]


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            request,
            st.from_regex("[a-z0-9]{1,20}", fullmatch=True),
            st.binary(max_size=50),
            headers=st.dictionaries(texts, texts, max_size=3),
            query=st.dictionaries(texts, texts, max_size=3),
            received=st.integers(0, 2**60),
        ),
        max_size=8,
    ),
    st.integers(1, 4),
    st.lists(st.integers(1, 3), max_size=4),
)
def test_what_goes_in_comes_out_in_order(tmp_path_factory, given, count, cuts):
    spool = Spool(tmp_path_factory.mktemp("spool"), limit=1 << 30, process="p")
    left = list(given)
    for cut in cuts:
        spool.append(left[:cut])
        left = left[cut:]
    spool.append(left)
    found = []
    while spool.backlog:
        told, offset = spool.peek(count)
        assert spool.peek(count) == (told, offset), "until it is dropped, it waits"
        found += told
        assert spool.drop(offset) is None
    assert found == given
    assert len(spool) == 0
    spool.close()


def test_a_spool_makes_nothing_before_it_is_needed(spools, tmp_path):
    spool = spools()
    assert (len(spool), spool.backlog, spool.has_room(), spool.adopt()) == (0, False, True, 0)
    assert not (tmp_path / "spool").exists()


def test_what_is_added_while_it_drains_comes_last(spools):
    spool = spools()
    spool.append(requests("a", "b"))
    told, offset = spool.peek(1)
    spool.append(requests("c"))
    spool.drop(offset)
    assert [each.id for each in told] == ["a"]
    assert drained(spool) == (["b", "c"], [])
    spool.append(requests("d"))
    assert drained(spool) == (["d"], [])


def test_a_segment_that_has_grown_is_closed(spools, tmp_path):
    spool = spools()
    large = b"x" * (module.SEGMENT_BYTES // 2)
    for id in ("a", "b", "c"):
        spool.append([request(id, large)])
    assert len(list(tmp_path.glob("spool/*.spool"))) == 2
    assert len(spool) > 3 * len(large)
    found = [spool.peek(9)]
    spool.drop(found[0][1])
    assert [each.id for each in found[0][0]] == ["a", "b"]
    assert len(list(tmp_path.glob("spool/*.spool"))) == 1, "and deleted once it is drained"
    assert drained(spool) == (["c"], [])


# Its limits


def test_a_full_spool_keeps_nothing_of_what_came_together(spools):
    spool = spools(limit=400)
    spool.append(requests("a"))
    assert spool.has_room()
    with pytest.raises(NotKept, match="the spool is full"):
        spool.append([request("b"), request("c", b"x" * 400)])
    assert drained(spool) == (["a"], [])


def test_the_limit_is_for_all_processes_together(spools):
    first = spools("p1")
    first.append(requests("a"))
    second = spools("p2", limit=len(first))
    assert not second.has_room()
    with pytest.raises(NotKept):
        second.append([request("b")])


def test_a_folder_that_cannot_be_made(spools, tmp_path):
    (tmp_path / "file").write_text("")
    spool = spools(folder=tmp_path / "file" / "spool")
    assert not spool.has_room()
    with pytest.raises(NotKept, match="the spool cannot be written: Not a directory"):
        spool.append(requests("a"))


@contextmanager
def files_no_larger_than(size):
    """Let the system refuse to write files beyond a size, as it does when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 7, 9, 60])
def test_a_full_disk_leaves_nothing_torn(spools, tmp_path, room):
    spool = spools()
    spool.append(requests("a"))
    [path] = tmp_path.glob("spool/*.spool")
    size = path.stat().st_size
    with (
        files_no_larger_than(size + room),
        pytest.raises(NotKept, match="the spool cannot be written: File too large"),
    ):
        spool.append(requests("b", "c"))
    assert path.stat().st_size == size
    spool.append(requests("d"))
    assert drained(spool) == (["a", "d"], [])


def test_nothing_is_written_behind_a_torn_record(spools, tmp_path):
    worn = []

    class Worn(FileIO):
        """A file on a disk that one day takes half of what is written, and then nothing at all."""

        def write(self, data):
            if not worn:
                return super().write(data)
            super().write(bytes(data[: len(data) // 2]))
            raise OSError(5, "Input/output error")

        def truncate(self, size=None):
            raise OSError(5, "Input/output error")

    spool = spools(file_type=Worn)
    spool.append(requests("a"))
    worn.append(1)
    with pytest.raises(NotKept):
        spool.append(requests("b"))
    worn.clear()
    spool.append(requests("c"))
    assert drained(spool) == (["a", "c"], ["here-000001.damaged"])


# What processes leave behind


def abandoned(spools, process, *ids):
    """Leave a segment of a process that is gone."""
    spool = spools(process)
    spool.append(requests(*ids))
    path = spool._segments[-1][0]
    spool.close()
    return path


def test_segments_of_dead_processes_are_taken_over_in_order(spools):
    abandoned(spools, "host-100", "a2", "a4")
    abandoned(spools, "host-99", "a1", "a3")
    spool = spools("host-101")
    spool.append(requests("a9"))
    assert spool.adopt() == 2
    assert drained(spool) == (["a1", "a3", "a2", "a4", "a9"], [])


def test_a_segment_of_a_live_process_is_left_alone(spools):
    living = spools("living")
    living.append(requests("a"))
    spool = spools("me")
    assert spool.adopt() == 0
    spool.append(requests("b"))
    assert spool.adopt() == 0, "nor does it take its own again"
    assert drained(spool) == (["b"], [])
    assert drained(living) == (["a"], [])


def test_a_process_of_the_same_name_left_segments(spools):
    abandoned(spools, "bridge-1", "a")
    spool = spools("bridge-1")
    spool.append(requests("b"))
    assert spool.adopt() == 1
    assert drained(spool) == (["a", "b"], [])


def test_a_segment_that_another_process_drained_meanwhile(spools, tmp_path):
    assert module._lock(tmp_path / "gone.spool") is None
    path = abandoned(spools, "dead", "a")

    class Vanishing(type(path)):
        def exists(self, **_):
            return False

    assert module._lock(Vanishing(path)) is None


KILLED = """
import os, sys
from pathlib import Path
from bridge.model import Request
from bridge.store.spool import Spool
spool = Spool(Path(sys.argv[1]), limit=1 << 30, process="killed")
for n in range(5):
    spool.append([Request(id=f"k{n}", hook="h", site="s", received=n, headers={}, query={},
                          body=b"x" * 1000)])
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_promised_is_all_there(spools, tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "spool")])
    spool = spools()
    assert spool.adopt() == 1
    assert drained(spool) == ([f"k{n}" for n in range(5)], [])


# Damage


def test_a_torn_end_was_never_promised(spools, tmp_path):
    whole = abandoned(spools, "dead", "a", "b").read_bytes()
    second = len(whole) // 2
    for size in range(second, len(whole) + 1):
        folder = tmp_path / f"cut-{size}"
        folder.mkdir()
        (folder / "dead.spool").write_bytes(whole[:size])
        spool = spools(folder=folder)
        assert spool.adopt() == 1
        found, kept = drained(spool)
        assert found == ["a", *(["b"] if size == len(whole) else [])]
        assert bool(kept) is (second < size < len(whole)), "what is left over is kept aside"
        spool.close()


@pytest.mark.parametrize("rest", [b"\0" * 8, b"\0" * 4096, b"\xff" * 100])
def test_an_end_that_the_disk_filled_in(spools, rest):
    path = abandoned(spools, "dead", "a")
    path.write_bytes(path.read_bytes() + rest)
    spool = spools()
    spool.adopt()
    assert drained(spool) == (["a"], ["dead-000001.damaged"])


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_record_that_cannot_be_read_does_not_hide_the_others(spools, tmp_path, broken):
    path = abandoned(spools, "dead", "a", "b", "c")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3 * broken + 20] ^= 1
    path.write_bytes(whole)
    spool = spools()
    spool.adopt()
    found, kept = drained(spool, count=1)
    assert found == [id for n, id in enumerate("abc") if n != broken]
    assert kept == ["dead-000001.damaged"]
    assert (tmp_path / "spool" / kept[0]).read_bytes() == whole


def test_a_segment_without_a_single_record(spools, tmp_path):
    path = abandoned(spools, "dead", "a")
    path.write_bytes(b"")
    spool = spools()
    assert spool.adopt() == 1
    assert drained(spool) == ([], [])
    assert not path.exists()


def test_what_is_put_aside_can_be_read_again(spools, tmp_path):
    spool = spools()
    given = request("r7", b"poison", headers={"x": "y"})
    path = spool.quarantine(given)
    assert path == tmp_path / "spool" / "r7.refused"
    again = tmp_path / "again"
    again.mkdir()
    (again / "x.spool").write_bytes(path.read_bytes())
    other = spools(folder=again)
    other.adopt()
    assert other.peek(1)[0] == [given]
    assert len(spool) == 0
    assert spool.adopt() == 0, "it does not come back by itself"


def test_a_file_that_goes_away_while_sizes_are_added_up(spools, tmp_path):
    spool = spools()
    spool.append(requests("a"))
    Path(tmp_path / "spool" / "gone.spool").symlink_to(tmp_path / "nowhere")
    assert len(spool) > 0
