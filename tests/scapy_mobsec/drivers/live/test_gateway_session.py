"""A gateway in a script: RREPs that are altered, held back and sent by others."""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.mobileip import MobileIP
from sessions import Sessions, run_examples

from contrib_layers import RREP, RREQ, Observed
from scapy_mobsec import GatewaySession, RegistrationAM, SessionError
from scapy_mobsec.terminal.crafting import MAX_CRAFTED
from scapy_mobsec.terminal.events import RegistrationFailed

PING = IP(dst="10.10.0.1") / ICMP()


@pytest.fixture
def both(tmp_path):
    both = Sessions(tmp_path)
    both.mobile.register()
    yield both
    both.close()


def test_examples(tmp_path):
    assert run_examples("scapy_mobsec.drivers.live.gateway_session", tmp_path)


def asked(both):
    return both.mobile.sr1(both.mobile.craft_rreq(), timeout=2, verbose=False)


def test_a_reply_that_is_altered(both):
    def alter(rreq, rrep):
        assert rreq[RREQ].id == rrep[RREP].id
        assert (rreq.src, rrep.src) == ("10.10.1.1", "10.10.0.1")
        rrep[Observed].headers[1].sport = 7
        return rrep

    both.gateway.on_rreq = alter
    assert asked(both)[Observed].headers[1].sport == 7
    both.gateway.on_rreq = None
    assert asked(both)[Observed].headers[1].sport == 4500


def test_none_leaves_it_as_it_is(both):
    def alter(rreq, rrep):
        rrep[RREP].code = 64

    both.gateway.on_rreq = alter
    assert asked(both)[RREP].code == 0


def test_without_the_inner_headers(both):
    both.gateway.on_rreq = lambda rreq, rrep: MobileIP() / RREP(code=64, id=rreq[RREQ].id)
    assert asked(both)[RREP].code == 64


@pytest.mark.parametrize("wrong", [lambda *_: 1 // 0, lambda *_: ICMP()])
def test_what_it_raises_is_logged_and_nothing_else_happens(both, caplog, wrong):
    both.gateway.on_rreq = wrong
    assert asked(both)[RREP].code == 0
    assert "event=on_rreq" in caplog.text
    assert both.mobile.sr1(PING, timeout=2, verbose=False)


def test_it_may_use_the_session(both):
    paths = []
    both.gateway.on_rreq = lambda rreq, rrep: paths.append(both.gateway.path())
    asked(both)
    assert paths == [both.gateway.path()]


def test_replies_by_others(both):
    q = both.mobile.craft_rreq()
    with both.gateway.answering() as reply_to:
        assert both.mobile.sr1(q, timeout=0.1, verbose=False) is None
        reply = reply_to(q)
        assert reply_to(q) is None
        reply[RREP].code = 66
        both.gateway.send(reply)
        came = both.mobile.sniff(lfilter=lambda p: RREP in p, count=1, timeout=2)
        assert came[0][RREP].code == 66
        for _ in range(MAX_CRAFTED + 1):
            both.mobile.send(both.mobile.craft_rreq())
        assert len(both.gateway._held) == MAX_CRAFTED
    assert asked(both)[RREP].code == 0


def test_what_is_held_may_be_no_message(both):
    both.gateway.on_rreq = lambda rreq, rrep: MobileIP(type=3) / b"no RREP"
    q = both.mobile.craft_rreq()
    with both.gateway.answering() as reply_to:
        assert both.mobile.sr1(q, timeout=0.1, verbose=False) is None
        assert bytes(reply_to(q)).endswith(b"no RREP")


def test_the_machine_answers_in_the_background(both):
    sniffer = both.gateway.am(RegistrationAM, code=129, verbose=False).bg()
    assert asked(both)[RREP].code == 129
    assert asked(both)[RREP].code == 129
    sniffer.stop()
    assert asked(both)[RREP].code == 0


def test_the_machine_alters_what_the_gateway_wrote(both):
    def alter(rreq, rrep):
        rrep[Observed].headers[1].sport = 7
        return rrep

    sniffer = both.gateway.am(RegistrationAM, alter=alter, verbose=False).bg()
    assert asked(both)[Observed].headers[1].sport == 7
    sniffer.stop()


def test_the_machine_says_nothing(both):
    sniffer = both.gateway.am(RegistrationAM, alter=lambda *_: None, verbose=False).bg()
    assert both.mobile.sr1(both.mobile.craft_rreq(), timeout=0.1, verbose=False) is None
    sniffer.stop()


def test_the_machine_prints_and_ends(both, capsys):
    q = both.mobile.craft_rreq()
    machine = both.gateway.am(RegistrationAM, code=66)
    sniffer = machine.bg(count=1, lfilter=lambda p: RREQ in p and p[RREQ].id == q[RREQ].id)
    both.mobile.send(q)
    sniffer.join(5)
    assert " ==> IP / UDP / MobileIP / RREP" in capsys.readouterr().out


def test_the_machine_in_the_foreground(both):
    machine = both.gateway.am(RegistrationAM, code=66, verbose=False)
    both.mobile.send(PING)
    machine(stop_filter=lambda p: ICMP in p, timeout=5)
    assert both.gateway._held is None


def test_a_mobile_that_is_refused(both):
    both.gateway.on_rreq = lambda rreq, rrep: (
        MobileIP()
        / RREP(code=64, id=rreq[RREQ].id, homeaddr=rreq.src, extensions=rrep[RREP].extensions)
    )
    with pytest.raises(SessionError, match=r"refused by the other terminal \(code 64\)"):
        both.mobile.register(via="udp")
    failed = [each for _, each in both.mobile.events() if isinstance(each, RegistrationFailed)]
    assert failed[-1].code == 64


def test_paths_by_home_address(both):
    assert both.gateway.path() == both.gateway.path("10.10.1.1")
    for other in ("10.10.9.9", "nowhere"):
        with pytest.raises(ValueError, match=other):
            both.gateway.path(other)


def test_an_event_tells_of_each_registration(both):
    names = [type(each).__name__ for _, each in both.gateway.events()]
    assert names[0] == "RegistrationReceived"
    assert both.gateway.status()["links"][0]["state"] == "bound"


def test_the_gateway_goes_on_with_its_bindings(both):
    both.gateway.close()
    both.gateway = GatewaySession(both.files.gateway)
    assert both.gateway.path().remote == both.mobile.path.local
