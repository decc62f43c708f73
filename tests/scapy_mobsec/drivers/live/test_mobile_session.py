"""A mobile terminal in a script: registers, moves, and sends RREQs that were edited."""

import pytest
from live_pair import loopback_address
from scapy.layers.inet import ICMP, IP
from sessions import Sessions, run_examples, session_files

from contrib_layers import RREP, RREQ, Attempt, Observed, Sent, Translations
from scapy_mobsec import MobileSession, SessionError, translations
from scapy_mobsec.drivers.live.settings import SettingsError
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.terminal.events import CountersCorrected, Moved, PacketDropped

PING = IP(dst="10.10.0.1") / ICMP()


@pytest.fixture
def both(tmp_path):
    both = Sessions(tmp_path)
    yield both
    both.close()


def test_examples(tmp_path):
    assert run_examples("scapy_mobsec.drivers.live.mobile_session", tmp_path)


def refusal(rreq, rrep):
    rrep[RREP].code = 64
    return rrep


def asked(session, request):
    return session.sr1(request, timeout=2, verbose=False)


def test_an_edited_request_and_what_was_translated(both):
    q = both.mobile.craft_rreq()
    q[Sent].headers[1].sport = 31337
    a = asked(both.mobile, q)
    assert a[RREP].code == 0
    assert a[Observed].headers[1].sport == 4500
    assert len(a[Translations].items) == 1
    assert "source port 31337 -> 4500" in repr(translations(q, a))


def test_an_edited_attempt_is_taken_over(both):
    q = both.mobile.craft_rreq()
    q[Attempt].number = 100
    assert asked(both.mobile, q)[RREP].code == 0
    assert both.mobile.register(via="udp").attempt == 101
    assert asked(both.mobile, PING)
    events = [each for _, each in both.mobile.events()]
    assert not [each for each in events if isinstance(each, CountersCorrected | PacketDropped)]


def test_what_is_refused_comes_back_as_such(both):
    q = both.mobile.craft_rreq()
    q[Attempt].number, q[RREQ].id = 0, 1
    assert asked(both.mobile, q)[RREP].code == 133
    assert asked(both.mobile, both.mobile.craft_rreq())[RREP].code == 0


def test_crafted_requests_that_are_never_sent_do_no_harm(both):
    first, second = both.mobile.craft_rreq(), both.mobile.craft_rreq()
    assert second[RREQ].id > first[RREQ].id
    assert asked(both.mobile, second)[RREP].code == 0
    assert asked(both.mobile, PING)


def test_over_a_stream(both):
    assert both.mobile.register(via="tcp:4500").encapsulation is Encapsulation.TCP
    q = both.mobile.craft_rreq()
    assert type(q[Sent].headers[1]).__name__ == "TCPHeader"
    assert asked(both.mobile, q)[RREP].code == 0
    assert asked(both.mobile, PING)


def test_via_at_the_start(tmp_path):
    both = Sessions(tmp_path)
    both.mobile.close()
    both.mobile = MobileSession(both.files.mobile, via="tcp:4500")
    assert both.mobile.register().encapsulation is Encapsulation.TCP
    both.close()


def test_register_tells_what_is_so(both):
    first = both.mobile.register()
    assert both.mobile.register() is first
    assert both.mobile.register(via="udp").attempt == first.attempt + 1


def test_moves(both):
    there = loopback_address()
    registered = both.mobile.move(there, via=["udp", "tcp:4500"])
    assert registered.path == both.mobile.path
    assert both.mobile.path.local == Endpoint.of(there, 4500)
    assert both.gateway.path().remote == Endpoint.of(there, 4500)
    assert asked(both.mobile, PING)
    there = loopback_address()
    both.mobile.move([f"{there}:5000"])
    assert both.gateway.path().remote == Endpoint.of(there, 5000)
    assert [type(each) for _, each in both.mobile.events()].count(Moved) == 3


@pytest.mark.parametrize(
    ("address", "via", "reason"),
    [("nowhere", (), "not of the form"), ("127.0.0.1", "pigeon", "none of")],
)
def test_moves_that_cannot_be(both, address, via, reason):
    path = both.mobile.register().path
    with pytest.raises(ValueError, match=reason):
        both.mobile.move(address, via)
    assert both.mobile.path == path


def test_a_move_to_where_the_gateway_is_not_reached_from(both):
    with pytest.raises(SessionError, match="cannot be reached"):
        both.mobile.move("::1")
    assert both.mobile.path is None
    with pytest.raises(SessionError, match="cannot be reached"):
        both.mobile.craft_rreq()


def test_nobody_answers(tmp_path):
    with (
        MobileSession(session_files(tmp_path).mobile) as session,
        pytest.raises(SessionError, match=r"no answer to the registration \(0.05 s\)"),
    ):
        session.register(timeout=0.05)


def test_deregister_and_register_again(both):
    both.mobile.register()
    assert both.mobile.deregister()
    assert both.gateway.path() is None
    with pytest.raises(SessionError, match="no registration"):
        both.mobile.deregister()
    both.mobile.register()
    assert asked(both.mobile, PING)


def test_a_deregistration_that_is_answered_too_late(both):
    both.mobile.register()
    with both.gateway.answering() as reply_to:
        with pytest.raises(SessionError, match="no answer to the de-registration"):
            both.mobile.deregister(timeout=0.05)
        ends = both.gateway.sniff(
            lfilter=lambda p: RREQ in p and not p[RREQ].lifetime, count=1, timeout=2
        )
        both.gateway.send(reply_to(ends[0]))
        came = both.mobile.sniff(
            lfilter=lambda p: RREP in p and p[RREP].id == ends[0][RREQ].id, count=1, timeout=2
        )
        assert came
    assert both.mobile.register()


def test_after_a_refusal_it_registers_again(both):
    both.gateway.on_rreq = refusal
    with pytest.raises(SessionError, match="refused"):
        both.mobile.register(via="udp")
    both.gateway.on_rreq = None
    assert both.mobile.register().attempt == 3


def test_errors_of_the_file(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing.toml: No such file"):
        MobileSession(tmp_path / "nothing.toml")
    with pytest.raises(ValueError, match="none of"):
        MobileSession(session_files(tmp_path).mobile, via="pigeon")
