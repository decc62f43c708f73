"""Every number of the wire format: message types, extension types, codes, flags.

The one place for them. Layers, codec and views take their numbers and names from here.
The format itself is described in docs/wire-format.md.
"""

from enum import IntEnum, IntFlag

MOBILE_IP_PORT = 434
NATT_PORT = 4500
IKE_PORT = 500

STREAM_PREFIX = b"IKETCP"
"""What the originator of a stream writes first (RFC 9329 section 4)."""

CAPSULE_DATAGRAM = 0
"""Type of the capsule that carries a UDP payload (RFC 9297 section 3.5)."""

MAX_UDP_PAYLOAD = 65527
"""Octets of a UDP payload in a capsule (RFC 9298 section 5)."""

MAX_CAPSULE = MAX_UDP_PAYLOAD + 8
"""Octets of the value of a capsule that is read: the longest context id, and a UDP payload."""

POST_PATH = "/mobsec"
"""Path of http-post, unless an encapsulation item names another."""

VENDOR_ID = 32473
"""Private enterprise number of our vendor extensions; reserved for documentation by RFC 5612."""

MAX_VENDOR_VALUE = 247
"""Octets of value that fit into one Normal Vendor Extension (255 less the 8 octets before it)."""

LIFETIME_INFINITE = 65535


class MessageType(IntEnum):
    """Mobile IPv4 message types (RFC 5944 section 3, RFC 3519 section 3)."""

    RREQ = 1
    RREP = 3
    TUNNEL_DATA = 4


class RequestFlag(IntFlag):
    """Flags of an RREQ, most significant bit first (RFC 5944 section 3.3)."""

    S = 0x80
    B = 0x40
    D = 0x20
    M = 0x10
    G = 0x08
    R = 0x04
    T = 0x02
    X = 0x01


class ReplyCode(IntEnum):
    """Code of an RREP (RFC 5944 section 3.4; 140: RFC 3115)."""

    ACCEPTED = 0
    UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    FAILED_AUTHENTICATION = 131
    IDENTIFICATION_MISMATCH = 133
    POORLY_FORMED = 134
    UNKNOWN_CRITICAL_VENDOR_EXTENSION = 140


class ExtensionType(IntEnum):
    """Mobile IP extension types that are known here (RFC 5944, RFC 3519, RFC 2794, RFC 3115)."""

    PADDING = 0
    MOBILE_HOME_AUTHENTICATION = 32
    MOBILE_FOREIGN_AUTHENTICATION = 33
    FOREIGN_HOME_AUTHENTICATION = 34
    CRITICAL_VENDOR = 38
    UDP_TUNNEL_REPLY = 44
    NAI = 131
    NORMAL_VENDOR = 134
    UDP_TUNNEL_REQUEST = 144


LONG_EXTENSION_TYPES = frozenset({36, 38, 40, 41, 42, 43})
"""Types whose extensions have the long form: type, sub-type, 2 octets of length."""


class VendorType(IntEnum):
    """Vendor types of our Normal Vendor Extensions."""

    SENT = 1
    OBSERVED = 2
    TRANSLATIONS = 3
    SUPPORTED = 4
    SELECTED = 5
    ATTEMPT = 6
    CHALLENGE = 7
    RESPONSE = 8
    PAD = 9
    REPORT = 10
    ADDRESSES = 11
    HOME = 12


class AttemptFlag(IntFlag):
    """Flags of ATTEMPT."""

    FORCED = 0x01
    PROBE = 0x02
    CONFIRM = 0x04
    USE = 0x08
    OTHER_PORT = 0x10
    OTHER_ADDRESS = 0x20


class HeaderType(IntEnum):
    """Types of header descriptors: IP protocol numbers where there is one."""

    IPV4 = 4
    TCP = 6
    UDP = 17
    IPV6 = 41
    ESP = 50
    AH = 51
    TLS = 128
    HTTP = 129


class EncapsulationCode(IntEnum):
    """How an ESP packet is carried."""

    NATIVE = 0
    UDP = 1
    TCP = 2
    TLS = 3
    HTTP = 4
    HTTP_POST = 5


ITEM_INSIDE_TLS = 0x01
"""Flag of an encapsulation item: the encapsulation (http, http-post) runs inside TLS."""

HTTP_VERSION = 0x11


class FieldCode(IntEnum):
    """Which field of a header was changed on the way."""

    SOURCE_ADDRESS = 1
    DESTINATION_ADDRESS = 2
    SOURCE_PORT = 3
    DESTINATION_PORT = 4
    WHOLE_HEADER = 5
    TLS_CERTIFICATE = 6
    HTTP_REQUEST = 7
    HTTP_INTERMEDIARY = 8


class NatureCode(IntEnum):
    """What kind of translation changed it."""

    ADDRESS = 1
    PORT = 2
    ADDRESS_AND_PORT = 3
    PROTOCOL = 4
    PROXIED = 5
    INTERCEPTED = 6
    REWRITTEN = 7


NOT_IN_SENT = 255
"""Descriptor index of a translation whose header is not in the SENT list."""
