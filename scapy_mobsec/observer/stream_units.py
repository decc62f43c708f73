"""Frames (RFC 9329) and capsules (RFC 9297) in mid-stream: the next one is found by its SPI."""

from collections.abc import Callable
from enum import Enum

from contrib_layers.numbers import CAPSULE_DATAGRAM
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap.capsule import measure_capsule, unwrap_capsule, write_varint
from scapy_mobsec.encap.carrier import Carried, Cutter, Violation
from scapy_mobsec.encap.tcp import measure_frame
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.packet.path import Encapsulation

SHORTEST_UNIT = 16
"""Octets: no ESP packet fits into less, and no SPI lies deeper in a unit."""

_IKE = bytes(4)


class Kind(Enum):
    """What a stream is; what is read inside TLS is one of the others."""

    TCP = Encapsulation.TCP
    HTTP = Encapsulation.HTTP
    POST = Encapsulation.HTTP_POST
    TLS = Encapsulation.TLS
    OTHER = None


class UnitReader:
    """Reads frames or capsules from the beginning of one of them on."""

    ready = True

    def __init__(self, kind: Kind) -> None:
        self._is_http = kind is Kind.HTTP
        self._cutter = Cutter(measure_capsule if self._is_http else measure_frame)

    def receive(self, data: bytes) -> list[Carried]:
        """Return what is whole. Raises Violation."""
        carried: list[Carried] = []
        try:
            for unit in self._cutter.cut(data):
                if payload := unwrap_capsule(unit) if self._is_http else unit[2:]:
                    carried.append(Carried.of(payload))
        except Drop as drop:
            raise Violation(drop, carried) from drop
        return carried


def find_unit(
    data: bytes, kinds: tuple[Kind, ...], knows_spi: Callable[[int], bool]
) -> tuple[Kind, int] | None:
    """Return where the first frame or capsule that carries a known SPI begins, and which it is.

    If what comes behind it is there too, it must be one that could follow.
    """
    for at in range(2, len(data) - 3):
        spi = int.from_bytes(data[at : at + 4], "big")
        if spi < FIRST_SPI or not knows_spi(spi):
            continue
        for kind in kinds:
            start = _capsule_before(data, at) if kind is Kind.HTTP else at - 2
            if start is not None and _is_followed(data, start, kind, knows_spi):
                return kind, start
    return None


def _capsule_before(data: bytes, at: int) -> int | None:
    """Return where a CAPSULE_DATAGRAM capsule begins whose UDP payload is at `at`."""
    for size in (4, 2, 1):
        start = at - size - 2
        if start < 0 or data[start] != CAPSULE_DATAGRAM or data[at - 1]:
            continue
        length = int.from_bytes(data[start + 1 : at - 1], "big") & ((1 << (8 * size - 2)) - 1)
        if write_varint(length) == data[start + 1 : at - 1]:
            return start
    return None


def _is_followed(data: bytes, start: int, kind: Kind, knows_spi: Callable[[int], bool]) -> bool:
    measure = measure_capsule if kind is Kind.HTTP else measure_frame
    try:
        end = measure(data, start)
        if end - start < SHORTEST_UNIT:
            return False
        measure(data, min(end, len(data)))
    except Drop:
        return False
    if kind is Kind.HTTP:
        return end >= len(data) or data[end] == CAPSULE_DATAGRAM
    spi = data[end + 2 : end + 6]
    return len(spi) < 4 or spi == _IKE or knows_spi(int.from_bytes(spi, "big"))
