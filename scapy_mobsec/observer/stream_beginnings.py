"""What the first octets of a TCP stream tell: of a client, of who answers, of TLS."""

import re
from collections.abc import Callable

from scapy_mobsec.encap.http import BASE
from scapy_mobsec.encap.stream import detect
from scapy_mobsec.observer.stream_units import Kind, end_of_head, is_of_channel
from scapy_mobsec.packet.path import Encapsulation

MAX_BEGINNING = 4096
"""Octets by which the end that opened a stream must have shown what it is."""
GET = b"GET "
ANSWER = b"HTTP/1."
CONNECT = b"CONNECT "
TLS_BEGINNING = b"\x16\x03"
CLIENT, SERVER = b"\x01", b"\x02"
"""Types of a hello, after the header of its record."""
END_OF_HELLO = 6

_TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
_CONNECT_UDP = re.compile(rb"GET (?:https?://[^/ ]*)?([^ ?#]*)/[^/ ]+/[0-9]+/ HTTP/1\.1")
_LENGTH = re.compile(rb"(?i)\nContent-Length: *([0-9]{1,9})\r?\n")
_END_OF_SPI = 6
"""Octets of a frame."""


def begins(data: bytes, beginning: bytes) -> bool:
    """Whether octets begin so, as far as they are there."""
    return data.startswith(beginning[: len(data)])


def is_hello(octets: bytes, kind: bytes) -> bool:
    """Whether octets begin as a record with such a hello, as far as they are there."""
    is_record = bool(octets) and begins(octets, TLS_BEGINNING)
    return is_record and octets[END_OF_HELLO - 1 : END_OF_HELLO] in (b"", kind)


def is_tls_record(octets: bytes) -> bool:
    """Whether any record of TLS begins here."""
    return bool(_TLS_RECORD.match(octets))


def kind_of_client(first: bytes, knows_spi: Callable[[int], bool]) -> Kind | None:
    """Tell the kind by what a client says first, None while that does not show.

    Raises Drop(WRONG_PREFIX) if no client of any kind begins so.
    """
    encapsulation = detect(first)
    is_ours: bool | None = None
    if encapsulation is Encapsulation.TCP:
        is_ours = True
    elif encapsulation is Encapsulation.HTTP and b"\n" in first:
        is_ours = _CONNECT_UDP.match(first) is not None
    elif encapsulation is Encapsulation.HTTP_POST:
        is_ours = _is_of_channel(first, knows_spi)
    if is_ours is None and len(first) <= MAX_BEGINNING:
        return None
    return Kind(encapsulation) if is_ours else Kind.OTHER


def base_of(request: bytes) -> str:
    """Return what stands before the target in a request for connect-udp."""
    match = _CONNECT_UDP.match(request)
    return (match[1].decode("latin-1") if match else "") or BASE


def _is_of_channel(first: bytes, knows_spi: Callable[[int], bool]) -> bool | None:
    """Tell by the beginning whether a POST is of http-post; None while that does not show."""
    end = end_of_head(first)
    if not end or is_of_channel(first[:end]):
        return True if end else None
    length = _LENGTH.search(first, 0, end)
    if length is None or int(length[1]) < _END_OF_SPI:
        return False
    spi = first[end + 2 : end + _END_OF_SPI]
    return knows_spi(int.from_bytes(spi, "big")) if len(spi) == 4 else None
