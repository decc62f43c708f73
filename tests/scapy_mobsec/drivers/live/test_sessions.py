"""What both sessions are to Scapy: sockets that sniff, send and match; and their life."""

import subprocess
import sys
import threading
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw
from scapy.sendrecv import AsyncSniffer, sniff
from scapy.supersocket import SuperSocket
from sessions import Sessions, run_examples, session_files

from contrib_layers import RREP, RREQ
from scapy_mobsec import GatewaySession, MobileSession, MobsecSession, SessionError
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.terminal.events import PacketDropped

PING = IP(dst="10.10.0.1") / ICMP(id=7)


@pytest.fixture
def both(tmp_path):
    both = Sessions(tmp_path)
    both.mobile.register()
    yield both
    both.close()


def test_examples(tmp_path):
    assert run_examples("scapy_mobsec.drivers.live.sessions", tmp_path)


@pytest.mark.parametrize("kind", [MobileSession, GatewaySession])
def test_public_names_are_few_and_each_has_an_example(kind):
    own = [each for each in kind.__mro__ if each.__module__.startswith("scapy_mobsec.")]
    names = {name for each in own for name in vars(each) if not name.startswith("_")}
    documented = names - {"closed", "desc", "on_rreq"}  # what is no call
    assert len(names) <= 20
    for name in documented:
        assert ">>>" in getattr(kind, name).__doc__, name
    assert ">>>" in kind.__doc__


def test_pings_both_ways(both):
    for session, packet in (
        (both.mobile, PING),
        (both.gateway, IP(dst="10.10.1.1") / ICMP(id=8)),
    ):
        answer = session.sr1(packet, timeout=2, verbose=False)
        assert answer[ICMP].type == 0
        assert answer[ICMP].id == packet[ICMP].id


def test_a_source_that_is_set_stays(both):
    both.mobile.send(IP(src="10.10.9.9", dst="10.10.0.1") / ICMP())
    dropped = [each for _, each in both.mobile.events() if isinstance(each, PacketDropped)]
    assert "10.10.9.9" in dropped[-1].detail


def test_octets_are_sent_as_they_are(both):
    octets = bytes(IP(src="10.10.1.1", dst="10.10.0.1") / UDP(sport=9, dport=9) / b"inside")
    sniffer = AsyncSniffer(opened_socket=both.gateway, lfilter=lambda p: Raw in p, count=1)
    sniffer.start()
    assert both.mobile.send(octets) == len(octets)
    sniffer.join(5)
    assert bytes(sniffer.results[0]) == octets


def test_sniffing_gives_messages_and_data_with_their_times(both):
    def ping():
        both.mobile.send(both.mobile.craft_rreq())
        both.mobile.send(PING)

    packets = sniff(
        opened_socket=both.gateway,
        lfilter=lambda p: ICMP in p or RREQ in p,
        stop_filter=lambda p: ICMP in p,
        started_callback=ping,
        timeout=5,
    )
    assert [RREQ in each for each in packets[-2:]] == [True, False]
    assert abs(packets[-1].time - time.time()) < 5
    assert packets[-2].time <= packets[-1].time


def test_several_sessions_at_once(both):
    sessions = {both.gateway: "Y", both.mobile: "X"}
    both.mobile.send(PING)
    packets = sniff(
        opened_socket=sessions,
        lfilter=lambda p: ICMP in p,
        stop_filter=lambda p: p[ICMP].type == 0,
        timeout=5,
    )
    assert {(each.sniffed_on, each[ICMP].type) for each in packets} >= {("X", 0)}
    assert all(each[ICMP].type == 8 for each in packets if each.sniffed_on == "Y")


def test_keys_open_what_passes(both):
    assert MobsecSession(both.mobile.sas)
    assert both.mobile.sas.rows == both.gateway.sas.rows


def test_messages_that_cannot_be_sent_are_errors(both):
    request = both.mobile.craft_rreq()
    both.mobile.deregister()
    with pytest.raises(SessionError, match="not sent: "):
        both.mobile.send(request)
    with pytest.raises(SessionError, match="not sent: "):
        both.mobile.sr1(request, timeout=1, verbose=False)


def test_a_state_file_in_use(both):
    with pytest.raises(StoreError, match="in use"):
        MobileSession(both.files.mobile)
    assert both.mobile.sr1(PING, timeout=2, verbose=False)


def test_rights_are_those_of_the_process(tmp_path):
    files = session_files(tmp_path)
    files.write_gateway('user = "nobody-of-that-name"')
    GatewaySession(files.gateway).close()


def test_what_could_not_be_opened_leaves_nothing(both):
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(StoreError):
            GatewaySession(both.files.gateway)
    assert threading.active_count() == before


def test_after_its_end(both):
    thread = threading.Thread(target=lambda: both.mobile.sniff(timeout=5))
    thread.start()
    both.mobile.close()
    both.mobile.close()
    thread.join(2)
    assert not thread.is_alive()
    with pytest.raises(SessionError, match="closed"):
        both.mobile.send(PING)
    with pytest.raises(EOFError):
        list(iter(both.mobile.recv, None))


def test_it_goes_on_where_it_was(both):
    attempt = both.mobile.register().attempt
    both.mobile.close()
    both.mobile = MobileSession(both.files.mobile)
    assert both.mobile.register().attempt > attempt
    assert both.mobile.sr1(PING, timeout=2, verbose=False)


def test_the_interpreter_ends_with_a_session_open(both):
    both.mobile.close()
    script = (
        f"from scapy_mobsec import MobileSession as M; M({str(both.files.mobile)!r}).register()"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_session_is_a_socket_of_scapy(both):
    assert isinstance(both.mobile, SuperSocket)
    assert both.mobile.lost == 0
    assert RREP in both.mobile.recv()
