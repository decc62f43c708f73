"""What a running terminal tells of itself: a JSON object with the figures of the terminal."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from terminals import HOME, NEW, OLD, OTHER_LINK, PING, TRANSLATED, Pair, events, with_attempt

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.live import status as live
from scapy_mobsec.drivers.live.host import LiveHost
from scapy_mobsec.drivers.live.status import Journal, Latest, StatusTeller
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.terminal.config import LinkParameters
from scapy_mobsec.terminal.events import FailureReason, PacketDropped, RegistrationFailed

PROBE = int(AttemptFlag.PROBE)


class Watched:
    """Both terminals of a pair, each with its journal."""

    def __init__(self, loop, **pair):
        self.pair = Pair(**pair)
        self.hosts = LiveHost(self.pair.mobile, loop), LiveHost(self.pair.other, loop)
        self.journals = Journal(), Journal()
        self.faults = Counter()
        self.tellers = [StatusTeller(each, loop, [self.faults]) for each in self.journals]

    def note(self):
        for host, journal in zip(self.hosts, self.journals, strict=True):
            for event in events(host.terminal):
                journal.take(self.pair.now, event)

    def told(self):
        self.note()
        (mobile, gateway), (at_mobile, at_gateway) = self.tellers, self.hosts
        told = mobile.mobile(at_mobile), gateway.gateway(at_gateway)
        assert json.loads(json.dumps(told)) == list(told)
        return told


@pytest.fixture
def watched(loop):
    return Watched(loop)


def test_before_anything(watched):
    for role, told in zip(("mobile", "gateway"), watched.told(), strict=True):
        assert told["role"] == role
        assert told["drops"] == told["faults"] == {}
        (link,) = told["links"]
        assert link["home_address"] == address_text(HOME)
        assert link["path"] is link["moved"] is link["rtt"] is link["translations"] is None
    assert told["links"][0]["state"] == "unbound"


def test_each_key_is_told_in_the_documents(watched):
    watched.pair.register()
    told = watched.told()[0]
    (link,) = told["links"]
    text = (Path(__file__).parents[4] / "docs" / "operating.md").read_text()
    parts = [told, link, *link["paths"], *link["sas"], link["paths"][0]["sent"]]
    for key in set().union(*parts):
        assert f"`{key}`" in text


def test_registered_behind_a_nat(watched):
    pair = watched.pair
    pair.register(NEW, source=TRANSLATED)
    mobile, gateway = (told["links"][0] for told in watched.told())
    line = f"source address and port {NEW} -> {TRANSLATED}"
    assert mobile["translations"] == gateway["translations"]
    assert gateway["translations"] == [line]
    assert mobile["state"] == "registered"
    assert mobile["rtt"] == pytest.approx(0.05, rel=1e-4)
    assert mobile["path"] == str(pair.mobile.path)
    assert mobile["expires"] == pytest.approx(pair.now - 0.05 + 3600)
    assert gateway["state"] == "bound"
    assert gateway["path"].endswith(f"> {TRANSLATED}")
    assert gateway["moved"] == mobile["moved"] == pair.now  # noted when both are done
    assert gateway["paths"][0]["validated"]
    assert {sa["direction"] for sa in gateway["sas"]} == {"in", "out"}


def test_a_move_says_from_where(watched):
    pair = watched.pair
    pair.register(OLD)
    watched.note()
    before = str(pair.mobile.path), str(pair.other.path(HOME))
    pair.now += 10
    pair.register(NEW)
    mobile, gateway = (told["links"][0] for told in watched.told())
    assert (mobile["moved_from"], gateway["moved_from"]) == before
    assert mobile["attempt"] == gateway["attempt"] == 2
    assert gateway["translations"] == []


def test_a_renewal_expires_later(loop):
    watched = Watched(loop, lifetime=60)
    pair = watched.pair
    pair.register()
    first = watched.told()[0]["links"][0]["expires"]
    pair.now = pair.mobile.timer()
    pair.mobile.handle_timer(pair.now)
    pair.to_other(pair.from_mobile().data, OLD)
    pair.to_mobile(pair.from_other().data)
    assert watched.told()[0]["links"][0]["expires"] > first + 29


def test_translations_are_those_of_the_current_path(watched):
    pair = watched.pair
    pair.register(OLD)
    probe = pair.request(TRANSLATED, **with_attempt(1, PROBE))
    assert probe
    assert watched.told()[1]["links"][0]["translations"] == []


def test_it_is_over(watched):
    pair = watched.pair
    pair.register()
    watched.note()
    pair.mobile.deregister(pair.now)
    pair.to_other(pair.from_mobile().data, OLD)
    pair.to_mobile(pair.from_other().data)
    for told in watched.told():
        (link,) = told["links"]
        assert link["path"] is link["expires"] is link["translations"] is None


def test_an_attempt_that_failed(watched):
    watched.journals[0].take(0.0, RegistrationFailed(1, FailureReason.NO_REPLY))
    assert watched.told()[0]["links"][0]["failure"] == "no reply"
    watched.pair.register()
    assert watched.told()[0]["links"][0]["failure"] is None


def test_drops_and_faults(watched):
    pair = watched.pair
    pair.register()
    pair.mobile.send(PING, pair.now)
    data = pair.from_mobile().data
    for _ in range(3):
        pair.to_other(data, OLD)
    watched.faults["udp send ENETUNREACH"] = 7
    told = watched.told()[1]
    assert told["drops"] == {"REPLAYED": 2}
    assert told["faults"] == {"udp send ENETUNREACH": 7}


def test_more_links_than_are_told(watched, monkeypatch):
    monkeypatch.setattr(live, "MAX_LINKS_TOLD", 3)
    (old,), suite = OTHER_LINK.inbound, OTHER_LINK.inbound[0].suite
    for number in range(1, 5):
        home = HOME[:3] + bytes((100 + number,))
        there, back = (
            SaParameters(old.spi + 16 * number + i, suite, bytes(19) + bytes((2 * number + i,)))
            for i in (1, 2)
        )
        link = LinkParameters(home, OTHER_LINK.signalling_address, (there,), back)
        watched.pair.other.add_link(replace(link))
    told = watched.told()[1]
    assert len(told["links"]) == 3
    assert told["links_left_out"] == 2


def test_a_journal_keeps_nothing_for_other_events():
    journal = Journal()
    journal.take(0.0, PacketDropped(None, "", None))
    assert journal.of() == Latest()
    assert journal.of(HOME) == Latest()
