"""Every event has its text."""

from typing import get_args

import pytest

from contrib_layers.numbers import ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal import events
from scapy_mobsec.terminal.events import (
    AhTranslated,
    BindingEnded,
    CertificateRefused,
    ChallengeAnswered,
    CountersCorrected,
    Deregistered,
    EndReason,
    FailureReason,
    FallBackReason,
    FellBack,
    InnerMtuLowered,
    KeepaliveLost,
    Moved,
    NumbersSkipped,
    PacketDropped,
    PathChosen,
    PathValidated,
    ProxyRefused,
    RegistrationFailed,
    Renewed,
    TraversalDropped,
)
from scapy_mobsec.ui import event_text as module
from scapy_mobsec.ui.event_text import event_text

END = Endpoint.of("192.0.2.1", 4500)
NetworkPath = Path
PATH = Path(Encapsulation.UDP, END, END)
UNOPENED = Path(Encapsulation.TCP, Endpoint(END.address), END)
"""Of a stream that is not open yet: its local port may be any."""

IPV6 = Endpoint.of("2001:db8::1", 4500)
UNOPENED_IPV6 = Path(Encapsulation.TLS, Endpoint(IPV6.address), IPV6)


def test_no_event_is_without_text():
    assert {event.__name__ for event in get_args(events.Event)} <= set(vars(module))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Renewed(1, 0.05, 300), "renewed for 300 s"),
        (CountersCorrected(7), "counters corrected, attempt 7"),
        (RegistrationFailed(1, FailureReason.NO_REPLY), "attempt 1 failed: no reply"),
        (
            RegistrationFailed(1, FailureReason.REFUSED, ReplyCode.INSUFFICIENT_RESOURCES),
            "attempt 1 failed: refused by the other terminal (insufficient resources (130))",
        ),
        (AhTranslated(1, PATH), "no reply by AH: translated or filtered, by ESP from now on"),
        (Deregistered(1, True), "de-registered"),
        (
            CertificateRefused(1, PATH, b"\x07\xff"),
            "certificate refused: udp 192.0.2.1:4500 > 192.0.2.1:4500, SHA-256 07ff",
        ),
        (ProxyRefused(1, PATH, "407"), f"no tunnel: {PATH}, 407"),
        (BindingEnded(bytes(4), EndReason.EXPIRED), "binding ended: lifetime over"),
        (
            PacketDropped(DropReason.BAD_ICV, "", NetworkPath(Encapsulation.UDP, END, END)),
            "dropped: integrity check failed",
        ),
        (ChallengeAnswered(1, PATH, solicited=True), "answered a challenge"),
        (Moved(1, None, UNOPENED), "moved: tcp 192.0.2.1 > 192.0.2.1:4500, attempt 1"),
        (Moved(2, UNOPENED, None), "moved: no way left, attempt 2"),
        (
            PathChosen(1, None, UNOPENED_IPV6, 0.1),
            "path chosen: tls 2001:db8::1 > [2001:db8::1]:4500",
        ),
        (PathChosen(1, None, PATH, 0.1), "path chosen: udp 192.0.2.1:4500 > 192.0.2.1:4500"),
        (TraversalDropped(1, None, PATH, 0.1), f"traversal dropped: {PATH}"),
        (
            FellBack(1, PATH, PATH, FallBackReason.DATA_LOST),
            f"fell back: {PATH} (less than half of the data arrived)",
        ),
        (KeepaliveLost(1, PATH), "keepalive lost"),
        (InnerMtuLowered(7, 1380, 1188), "inner MTU 1380 -> 1188"),
        (NumbersSkipped(131_072), "131072 sequence numbers skipped"),
        (PathValidated(bytes(4), PATH, 0.05), "path validated in 50.000 ms"),
    ],
)
def test_event_text(event, text):
    assert event_text(event) == text
