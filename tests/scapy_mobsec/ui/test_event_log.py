"""Lines of key=value pairs: which, how they are written, and how often."""

import json
import logging
import re
from typing import get_args

import pytest
from terminals import HOME, NEW, OLD, TRANSLATED, Pair, events

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    CertificateRefused,
    ChallengeAnswered,
    EndReason,
    Event,
    FailureReason,
    InnerMtuLowered,
    Moved,
    PacketDropped,
    PathValidated,
    RegistrationFailed,
    Renewed,
    StreamLost,
)
from scapy_mobsec.ui.event_log import HINTS, NO_REPLY_HINT, EventLog, event_pairs, key_values

PATH = Path(Encapsulation.UDP, Endpoint.of("10.0.0.2", 4500), Endpoint.of("2001:db8::1", 4500))
PAIR = re.compile(r'([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)')


def read(line):
    """Read a line of pairs back."""
    assert re.fullmatch(rf"(?:{PAIR.pattern})+", line), line
    return {
        key: json.loads(value) if value.startswith('"') else value
        for key, value in PAIR.findall(line)
    }


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, "mobsec")
    return EventLog()


def lines(caplog):
    return [read(record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Moved(2, None, PATH),
            'event=moved attempt=2 new="udp 10.0.0.2:4500 > [2001:db8::1]:4500"',
        ),
        (Renewed(1, 0.05, 300), "event=renewed attempt=1 rtt=0.05 lifetime=300"),
        (
            ChallengeAnswered(1, PATH, True),
            'event=challenge_answered attempt=1 path="udp 10.0.0.2:4500 > [2001:db8::1]:4500" '
            "solicited=yes",
        ),
        (InnerMtuLowered(1, 1380, 1200), "event=inner_mtu_lowered attempt=1 old=1380 new=1200"),
        (
            BindingEnded(HOME, EndReason.EXPIRED),
            'event=binding_ended home_address=10.10.1.1 reason="lifetime over"',
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_line(event, line):
    assert key_values(event_pairs(event)) == line


@pytest.mark.parametrize("text", ["", "a b", 'say "x"', "a=b", "line\nbreak", "é", "\\", "plain-1"])
def test_any_value_can_be_read_back(text):
    assert read(key_values({"key": text, "other": "x"})) == {"key": text, "other": "x"}


def test_a_certificate_is_told_in_hex():
    assert event_pairs(CertificateRefused(1, PATH, bytes(range(32))))["sha256"].startswith("000102")


def test_every_event_has_a_line(log, caplog):
    """All that a whole registration brings about, and a move behind a NAT."""
    pair = Pair()
    pair.register(OLD)
    pair.register(NEW, source=TRANSLATED)
    told = [*events(pair.mobile), *events(pair.other)]
    for event in told:
        log.take(pair.now, event)
    assert len(lines(caplog)) == len(told)
    (moved,) = [line for line in lines(caplog) if line["event"] == "binding_moved"][1:]
    assert moved["translations"] == f"source address and port {NEW} -> {TRANSLATED}"
    registered = [line for line in lines(caplog) if line["event"] == "registered"]
    assert [line["translations"] == "none" for line in registered] == [True, False]
    assert not {"sent", "observed", "identification", "sent_octets"} & set().union(*lines(caplog))


def test_what_the_names_of_events_become():
    names = [each.__name__ for each in get_args(Event)]
    assert len({re.sub(r"_", "", name.lower()) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (Renewed(1, 0.05, 300), logging.DEBUG),
        (PathValidated(HOME, PATH, 0.05), logging.DEBUG),
        (BindingMoved(HOME, 1, None, PATH), logging.INFO),
        (StreamLost(1, PATH, "reset"), logging.WARNING),
        (Moved(1, PATH, None), logging.WARNING),
    ],
    ids=lambda value: type(value).__name__,
)
def test_levels(log, caplog, event, level):
    log.take(0.0, event)
    assert [record.levelno for record in caplog.records] == [level]


def test_without_a_way_it_says_so(log, caplog):
    log.take(0.0, Moved(1, PATH, None))
    assert lines(caplog)[0]["new"] == "none"


def test_drops_are_counted_and_told_less_and_less_often(log, caplog):
    for number in range(6400):  # a minute of them
        log.take(number / 100, PacketDropped(DropReason.REPLAYED, "", PATH))
    told = [int(line["count"]) for line in lines(caplog)]
    assert told == [1, 101, 301, 701, 1501, 3101, 6301]


def test_drops_of_different_reasons_are_told_apart(log, caplog):
    for reason in (DropReason.REPLAYED, DropReason.NO_PATH):
        log.take(0.0, PacketDropped(reason, "some detail", None))
    assert [line["reason"] for line in lines(caplog)] == [
        DropReason.REPLAYED.value,
        DropReason.NO_PATH.value,
    ]
    assert "path" not in lines(caplog)[0]


@pytest.mark.parametrize("reason", HINTS, ids=lambda reason: reason.name)
def test_hints(log, caplog, reason):
    for number in range(10):
        log.take(number / 100, PacketDropped(reason, "", PATH))
    assert [line["hint"] for line in lines(caplog) if "hint" in line] == [HINTS[reason]]


def test_no_hint_where_a_registration_is_between(log, caplog):
    pair = Pair()
    pair.register()
    (received, *_) = events(pair.other)
    for number in range(10):
        log.take(number / 100, PacketDropped(DropReason.BAD_ICV, "", PATH))
        log.take(number / 100, received)
    assert not [line for line in lines(caplog) if "hint" in line]


def test_a_hint_where_nobody_answers(log, caplog):
    for attempt in range(3):
        log.take(0.0, RegistrationFailed(attempt, FailureReason.NO_REPLY))
    assert [line.get("hint") for line in lines(caplog)] == [NO_REPLY_HINT, None, None]
