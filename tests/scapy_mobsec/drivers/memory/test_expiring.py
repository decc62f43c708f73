"""What ends after its last use is forgotten, and nothing else."""

from scapy_mobsec.drivers.memory.expiring import Expiring


def test_an_entry_lives_for_a_time_after_its_last_use():
    ended = []
    entries = Expiring(10, ended.append)
    entries.put("a", 1, 0)
    entries.put("b", 2, 5)
    assert entries.get("a", 9) == 1
    entries.put("a", 1, 9)
    assert entries.get("b", 15) is None
    assert entries.get("a", 15) == 1
    assert (ended, len(entries)) == ([2], 1)
    entries.purge(19)
    assert (ended, len(entries)) == ([2, 1], 0)


def test_what_is_used_often_leaves_nothing_behind():
    entries = Expiring(10)
    for at in range(1000):
        entries.put(at, None, 5 * at)
    assert len(entries) == 2


def test_some_never_end():
    entries = Expiring(float("inf"))
    entries.put("a", 1, 0)
    assert entries.get("a", 10**30) == 1
