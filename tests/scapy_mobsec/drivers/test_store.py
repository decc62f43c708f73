"""Counters and bindings on disk: what was saved is there, whatever happened to the process."""

import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scapy_mobsec.drivers.store import Store, StoreError
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.binding import BindingRecord
from scapy_mobsec.terminal.counters import AhNumbers, MobileSnapshot
from scapy_mobsec.terminal.restart import BindingSnapshot

HOME = bytes([10, 10, 1, 1])
WORDS = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)
CEILINGS = st.dictionaries(WORDS, LONG, max_size=3).map(lambda each: tuple(sorted(each.items())))
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
ENDPOINTS = st.builds(Endpoint, ADDRESSES, st.integers(0, 65535))
PATHS = st.builds(Path, st.sampled_from(Encapsulation), ENDPOINTS, ENDPOINTS, st.booleans())
AH_NUMBERS = st.none() | st.builds(AhNumbers, LONG, CEILINGS)
MOBILES = st.builds(MobileSnapshot, WORDS, st.none() | LONG, LONG, CEILINGS, AH_NUMBERS)
RECORDS = st.builds(
    BindingRecord,
    st.sampled_from(OtherState),
    *[st.none() | WORDS] * 2,
    LONG,
    *[st.none() | LONG] * 2,
)
BINDINGS = st.builds(
    BindingSnapshot,
    ADDRESSES,
    LONG,
    CEILINGS,
    RECORDS,
    st.none() | PATHS,
    st.booleans(),
    st.integers(0, 2**62),
    st.integers(0, 65535),
    st.none() | st.floats(0, 2**32),
    AH_NUMBERS,
)
FIRST = MobileSnapshot(1, None, 65_537, ((0x1001, 65_536),))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x?y#z%20.state"


def reopened(file):
    with Store(file) as store:
        return store.load_mobile(HOME), store.load_bindings()


@settings(max_examples=40)
@given(mobiles=st.lists(MOBILES, min_size=1, max_size=3), bindings=st.lists(BINDINGS, max_size=4))
def test_what_was_saved_last_is_there(tmp_path_factory, mobiles, bindings):
    file = tmp_path_factory.mktemp("state") / "x"
    with Store(file, create=True) as store:
        for mobile in mobiles:
            store.save_mobile(HOME, mobile)
        store.save_bindings(bindings)
    last = {each.home_address: each for each in bindings if each.home_address != HOME}
    mobile, loaded = reopened(file)
    assert {each.home_address: each for each in loaded if each.home_address != HOME} == last
    if all(each.home_address != HOME for each in bindings):
        assert mobile == mobiles[-1]


def test_nothing_was_saved_yet(file):
    Store(file, create=True).close()
    assert reopened(file) == (None, [])


def test_killed_at_once_after_saving(file):
    script = """
import os, signal, sys
from pathlib import Path
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.terminal.counters import MobileSnapshot
store = Store(Path(sys.argv[1]), create=True)
for attempt in range(20):
    store.save_mobile(bytes([10, 10, 1, 1]), MobileSnapshot(attempt, None, 1, ()))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script, file], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    mobile, _ = reopened(file)
    assert mobile.attempt == 19


def test_one_process_at_a_time(file):
    with Store(file, create=True), pytest.raises(StoreError, match="in use by another process"):
        Store(file)
    Store(file).close()


def test_no_file_no_start(file):
    with pytest.raises(StoreError, match="nobody knows which sequence numbers"):
        Store(file)


def test_what_is_there_is_not_made_anew(file):
    Store(file, create=True).close()
    with pytest.raises(StoreError, match="File exists"):
        Store(file, create=True)
    with pytest.raises(StoreError, match="Not a directory"):
        Store(file / "below", create=True)


def test_it_is_its_owner_s_alone(file):
    Store(file, create=True).close()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("octets", [b"", b"junk" * 300, b"SQLite format 3\0" + bytes(4080)])
def test_no_state_file(file, octets):
    file.write_bytes(octets)
    with pytest.raises(StoreError, match=r"state\b.*: "):
        Store(file)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM outbound",
        "UPDATE binding SET state = 'ELSEWHERE'",
        "UPDATE binding SET encapsulation = 'pigeon'",
        "UPDATE ceiling SET protocol = 7",
        "DROP TABLE ceiling",
    ],
)
def test_changed_by_hand(file, change):
    record = BindingRecord(OtherState.BOUND, 1, 1, 2**63, None, None)
    path = Path(Encapsulation.UDP, Endpoint(HOME, 1), Endpoint(HOME, 2))
    binding = BindingSnapshot(HOME, 1, ((7, 8),), record, path, True, 0, 60, None)
    with Store(file, create=True) as store:
        store.save_bindings([binding])
    with sqlite3.connect(file) as database:
        database.execute(change)
    database.close()
    with Store(file) as store, pytest.raises(StoreError):
        store.load_bindings()


def test_a_failed_save_changes_nothing(file):
    with Store(file, create=True) as store:
        store.save_mobile(HOME, FIRST)
        with pytest.raises(StoreError):
            store.save_mobile(HOME, MobileSnapshot(2, None, "many", ((1, 1),)))
        assert store.load_mobile(HOME) == FIRST
        store.save_mobile(HOME, FIRST)
