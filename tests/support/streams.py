"""Feeding stream carriers: one list of carried messages and one verdict, however it is cut."""

from scapy_mobsec.encap.carrier import Violation
from scapy_mobsec.encap.udp import Content

ESP = bytes.fromhex("0a0b0c0d00000001") + bytes(range(40))
IKE = bytes(range(28))
MESSAGES = [
    (Content.ESP, ESP),
    (Content.IKE, IKE),
    (Content.KEEPALIVE, b""),
    (Content.IKE, b""),
    (Content.ESP, b"\xff\xff\xff\xff"),
    (Content.ESP, b"\x01" * 1400),
]


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def feed(carrier, parts):
    """Return (what was carried, the DropReason or None)."""
    carried = []
    try:
        for part in parts:
            carried += carrier.receive(part)
    except Violation as violation:
        return [*carried, *violation.carried], violation.reason
    return carried, None


def contents(carried):
    return [(each.content, each.message) for each in carried]
