"""The `udp` carrier: what a UDP datagram of ESP traversal carries (RFC 3948).

ESP goes as it is, IKE behind four zero octets (the non-ESP marker, section 2.2), and a single
octet 0xFF keeps a NAT mapping alive (section 2.3). No datagram here depends on another.
"""

from enum import Enum

from scapy_mobsec.drops import Drop, DropReason

NON_ESP_MARKER = bytes(4)
KEEPALIVE = b"\xff"


class Content(Enum):
    """What one datagram carries."""

    ESP = "esp"
    IKE = "ike"
    KEEPALIVE = "keepalive"


_ESP, _IKE = Content.ESP, Content.IKE  # a look-up in an Enum is slow


def classify(payload: bytes) -> Content:
    """Tell what a UDP payload carries (RFC 3948 section 2).

    Raises Drop(TRUNCATED) where it is neither a keepalive nor as long as an SPI.
    """
    if len(payload) >= 4:
        return _IKE if payload[:4] == NON_ESP_MARKER else _ESP
    if payload == KEEPALIVE:
        return Content.KEEPALIVE
    raise Drop(DropReason.TRUNCATED, f"{len(payload)} octets cannot hold an SPI")


def unwrap(payload: bytes) -> tuple[Content, bytes]:
    """Take ESP packet or IKE message out of a UDP payload; a keepalive has no octets.

    Raises Drop as `classify` does.
    """
    content = classify(payload)
    return content, payload if content is _ESP else payload[4:]


def wrap(content: Content, message: bytes = b"") -> bytes:
    """Make the UDP payload that carries an ESP packet, an IKE message or a keepalive."""
    if content is Content.ESP:
        return message
    return NON_ESP_MARKER + message if content is Content.IKE else KEEPALIVE
