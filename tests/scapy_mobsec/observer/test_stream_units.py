"""Where the next frame or capsule begins in mid-stream, and the reading on from there."""

import pytest
from frames import TO_GATEWAY, TO_MOBILE

from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.carrier import Carried, Violation
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer.stream_units import Kind, UnitReader, find_unit

IKE = bytes(range(28))


def known(spi):
    return spi in (TO_GATEWAY, TO_MOBILE)


SPI = TO_GATEWAY.to_bytes(4, "big")
ESP = SPI + bytes(range(1, 29))
OTHER = b"\1\2\3\4" + bytes(28)
BOTH = (Kind.HTTP, Kind.TCP)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (wrap_frame(Content.ESP, ESP), (Kind.TCP, 0)),
        (b"xyz" + wrap_frame(Content.ESP, ESP) + b"\0", (Kind.TCP, 3)),
        (wrap_frame(Content.ESP, ESP) + wrap_frame(Content.IKE, IKE), (Kind.TCP, 0)),
        (wrap_frame(Content.ESP, ESP) + wrap_frame(Content.ESP, OTHER), None),
        (wrap_frame(Content.ESP, ESP) + b"\0\0", None),
        (b"xyz" + wrap_capsule(ESP), (Kind.HTTP, 3)),
        (wrap_capsule(ESP) + wrap_capsule(ESP), (Kind.HTTP, 0)),
        (wrap_capsule(ESP + bytes(1000)), (Kind.HTTP, 0)),
        (wrap_capsule(ESP + bytes(20_000)), (Kind.HTTP, 0)),
        (wrap_frame(Content.ESP, OTHER), None),
        (b"\0\6" + SPI + bytes(30), None),
        (SPI + bytes(30), None),
        (b"", None),
    ],
)
def test_units_are_found(data, found):
    assert find_unit(data, BOTH, known) == found


@pytest.mark.parametrize(
    ("kind", "wrap", "empty", "bad", "reason"),
    [
        (Kind.TCP, lambda esp: wrap_frame(Content.ESP, esp), b"\0\2", b"\0\1", "BAD_FRAME_LENGTH"),
        (Kind.HTTP, wrap_capsule, b"\x17\1x", b"\0\0", "MALFORMED_CAPSULE"),
    ],
)
def test_units_are_read_up_to_a_fault(kind, wrap, empty, bad, reason):
    reader, octets = UnitReader(kind), wrap(ESP)
    assert reader.receive(octets + empty + octets[:9]) == [Carried(Content.ESP, ESP)]
    with pytest.raises(Violation) as caught:
        reader.receive(octets[9:] + bad)
    assert caught.value.carried == (Carried(Content.ESP, ESP),)
    assert caught.value.reason is DropReason[reason]
