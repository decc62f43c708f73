"""TLS as far as a network can tell: one round trip more, a server name, a certificate, records.

Nothing is encrypted: what is inside can be shown in a chart, and elements on the way keep to
what real ones can see. The handshake has the messages of TLS 1.3 (RFC 8446 section 2) with contents
of our own; a session that is resumed takes as long.
"""

from enum import IntEnum
from hashlib import sha256

from scapy_mobsec.drivers.memory.streams import Layer, StreamUser
from scapy_mobsec.registration.description import Description, TlsHeader

RECORD_HEADER = 5
MAX_RECORD = 1 << 14
_VERSION = b"\x03\x03"


class Content(IntEnum):
    """What a record carries (RFC 8446 section 5.1)."""

    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Handshake(IntEnum):
    """The first octet of a handshake record here."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    FINISHED = 20


class TlsError(Exception):
    """The octets are not TLS."""


class Records:
    """Takes records out of a stream of octets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Content, bytes]]:
        """Return the records that are whole by now. Raises TlsError."""
        self._buffer += data
        records = []
        while self._buffer:
            if self._buffer[0] not in Content.__members__.values():
                raise TlsError(f"record of type {self._buffer[0]}")
            end = RECORD_HEADER + int.from_bytes(self._buffer[3:RECORD_HEADER], "big")
            if len(self._buffer) < max(RECORD_HEADER, end):
                break
            content = bytes(self._buffer[RECORD_HEADER:end])
            records.append((Content(self._buffer[0]), content))
            del self._buffer[:end]
        return records


def record(content: Content, data: bytes) -> bytes:
    """Make one record."""
    return bytes((content,)) + _VERSION + len(data).to_bytes(2, "big") + data


class Tls(Layer):
    """One side of a TLS connection."""

    def __init__(self, above: StreamUser) -> None:
        super().__init__(above)
        self.server_name = ""
        self.certificate = b""
        self._records = Records()

    @property
    def headers(self) -> Description:
        tls = TlsHeader(sha256(self.certificate).digest(), self.server_name)
        return (*self._lower.headers, tls)

    def encode(self, data: bytes) -> bytes:
        return b"".join(
            record(Content.APPLICATION_DATA, data[start : start + MAX_RECORD])
            for start in range(0, len(data), MAX_RECORD)
        )

    def received(self, data: bytes) -> None:
        try:
            records = self._records.feed(data)
            for content, octets in records:
                if content is Content.HANDSHAKE and octets and not self.is_open:
                    self.handshake(octets[0], octets[1:])
                elif content is Content.APPLICATION_DATA and self.is_open:
                    super().received(octets)
                else:
                    raise TlsError("record out of place")
        except TlsError as error:
            self.fail(f"not TLS: {error}")

    def handshake(self, message: int, octets: bytes) -> None:
        """Take a handshake message. Raises TlsError."""
        raise NotImplementedError

    def _say(self, message: Handshake, octets: bytes = b"") -> None:
        self._lower.write(record(Content.HANDSHAKE, bytes((message,)) + octets))


class TlsClient(Tls):
    """Sends a hello, gets a certificate, and may go on."""

    def __init__(self, above: StreamUser, server_name: str = "") -> None:
        super().__init__(above)
        self.server_name = server_name

    def open(self) -> None:
        self._say(Handshake.CLIENT_HELLO, self.server_name.encode("ascii"))

    def handshake(self, message: int, octets: bytes) -> None:
        if message != Handshake.SERVER_HELLO:
            raise TlsError(f"handshake message {message}")
        self.certificate = octets
        self._say(Handshake.FINISHED)
        super().open()


class TlsServer(Tls):
    """Answers a hello with its certificate, and goes on when the client does."""

    def __init__(self, above: StreamUser, certificate: bytes) -> None:
        super().__init__(above)
        self.certificate = certificate
        self._greeted = False

    def open(self) -> None:
        """Wait for the client."""

    def handshake(self, message: int, octets: bytes) -> None:
        if message == Handshake.CLIENT_HELLO and not self._greeted:
            self._greeted = True
            self.server_name = octets.decode("ascii", "replace")
            self._say(Handshake.SERVER_HELLO, self.certificate)
        elif message == Handshake.FINISHED and self._greeted:
            super().open()
        else:
            raise TlsError(f"handshake message {message}")
