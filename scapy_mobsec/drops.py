"""Why a packet is not accepted: the one list of reasons, and the one exception of the parsers."""

from enum import Enum


class DropReason(Enum):
    """Name of each reason; the value is the sentence a person reads."""

    TRUNCATED = "shorter than its headers say"
    MALFORMED_IP = "not a well-formed IP packet"
    MALFORMED_UDP = "not a well-formed UDP datagram"
    MALFORMED_TCP = "not a well-formed TCP segment"
    TCP_GAP = "octets of a TCP stream that the capture does not have"
    BAD_CHECKSUM = "wrong checksum"
    UNKNOWN_LINK_TYPE = "link layer that is not understood"
    FRAGMENT_OVERLAP = "IP fragments that overlap"
    FRAGMENT_LIMIT = "too many IP fragments at once"
    FRAGMENT_MISSING = "IP datagram of which a fragment did not come"
    ESP_TOO_SHORT = "too short for its ESP suite"
    ESP_UNALIGNED = "ESP ciphertext that is not whole cipher blocks"
    UNKNOWN_SPI = "no SA with this SPI"
    UNREADABLE = "decrypted, without an integrity key, to nonsense"
    SA_LIMIT = "more SAs than are followed at once"
    MALFORMED_IKE = "not a well-formed IKE message"
    IKE_FRAGMENT_LIMIT = "IKE message of too many fragments"
    CUT_BY_CAPTURE = "cut short by the capture's snap length"
    BAD_ICV = "integrity check failed"
    REPLAYED = "sequence number already seen"
    SEQUENCE_FORGOTTEN = "sequence number below those remembered: new or replayed, nothing tells"
    TOO_OLD = "sequence number left of the replay window"
    MALFORMED_AH = "not a well-formed Authentication Header"
    SEQUENCE_ZERO = "sequence number zero"
    SEQUENCE_EXHAUSTED = "no sequence number left"
    BAD_PADDING = "ESP padding that is not 1, 2, 3, ..."
    POORLY_FORMED = "poorly formed registration message"
    UNKNOWN_CRITICAL_VENDOR_EXTENSION = "critical vendor extension that is not known"
    UNKNOWN_CARRIER = "encapsulation that is not carried here"
    UNKNOWN_STREAM = "octets of a stream that is not open"
    UNEXPECTED_IKE = "IKE message, but no key exchange is under way"
    UNKNOWN_NEXT_HEADER = "next header that the mode of the link does not carry"
    OUTSIDE_POLICY = "inner packet that the policy of the link does not allow"
    NOT_CARRIED = "packet that the mode of the link cannot carry"
    MALFORMED_L2TP = "not a well-formed L2TP data message"
    WRONG_SESSION = "L2TP data message of another tunnel or session"
    WRONG_IDENTITY = "registration of another home address"
    STALE_ATTEMPT = "attempt older than the last one"
    STALE_IDENTIFICATION = "Identification already used, or too old"
    UNSENT_PACKET = "ICMP message about a packet that was not sent"
    CARRIER_MISMATCH = "sent in one encapsulation, arrived in another"
    UNEXPECTED_MESSAGE = "registration message that the present state does not allow"
    WRONG_RESPONSE = "answer to no challenge of this path"
    NO_CREDIT = "too much for a path that is not validated"
    STREAM_LIMIT = "too many streams at once"
    UNSOLICITED_REPLY = "reply to no outstanding request"
    UNKNOWN_HOME = "no link with this home address"
    NO_PATH = "no path to send on"
    QUEUE_FULL = "queue full"
    WAITED_TOO_LONG = "waited too long for a stream to open"
    CONGESTED = "stream that takes no more for now"
    STREAM_CLOSED = "held for a stream that closed"
    WRONG_PREFIX = "stream that begins with nothing that is known"
    NO_PLACE = "stream without its beginning in which no packet of a known SPI was found"
    NO_FIRST_CONNECTION = "by the second connection of a channel whose first one is not known"
    BAD_FRAME_LENGTH = "stream frame shorter than its length field"
    MESSAGE_TOO_LONG = "message that the carrier cannot hold"
    MALFORMED_CAPSULE = "not a well-formed capsule"
    CAPSULE_TOO_LONG = "capsule longer than any UDP payload"
    MALFORMED_HTTP = "not HTTP as it should be"
    HTTP_UNWANTED = "HTTP request for something else"
    HTTP_FOREIGN_TARGET = "HTTP request to reach another host"
    HTTP_REFUSED = "refused by an HTTP server or proxy"
    MALFORMED_TLS = "not TLS 1.3 as it should be"
    BAD_TLS_RECORD = "TLS record that its secret does not open"
    NO_TLS_SECRET = "TLS without secrets to read it, or none that is read"


class Drop(Exception):
    """A packet is not accepted. The only exception that leaves a parser, whatever the octets."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value
