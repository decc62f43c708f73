"""TLS 1.3 records (RFC 8446), sealed, and opened with the secrets of a key log.

Nothing is agreed on or verified here but the seal of each record: signatures, Finished and versions
before 1.3 are for a TLS library. Not read: early data, and resumed sessions have no certificate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Cutter
from scapy_mobsec.encap.key_log import KeyLog

RECORD_HEADER = 5
MAX_PLAINTEXT = 1 << 14
MAX_CIPHERTEXT = MAX_PLAINTEXT + 256
"""Octets of one record (section 5.2)."""
MAX_HANDSHAKE = 64 << 10
"""Octets of one handshake message; a certificate chain takes a few thousand."""
MAX_WAITING = 64 << 10
"""Octets of records that wait for the hello of the other end."""

_LEGACY_VERSION = b"\x03\x03"
_TLS_1_3 = b"\x03\x04"
_HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that asks for another ClientHello (section 4.1.3)."""
_TAG_LENGTH = 16


class Content(IntEnum):
    """What a record carries (section 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Handshake(IntEnum):
    """The handshake messages that matter here (section 4)."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    FINISHED = 20
    KEY_UPDATE = 24


class Extension(IntEnum):
    """Extensions of the hellos (section 4.2)."""

    SERVER_NAME = 0
    SUPPORTED_GROUPS = 10
    SIGNATURE_ALGORITHMS = 13
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    KEY_SHARE = 51


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """A suite of section B.4; `code` on the wire, key length in octets."""

    code: int
    aead: type[AESGCM] | type[ChaCha20Poly1305]
    key_length: int
    hash: type[SHA256] | type[SHA384]


AES_128_GCM = CipherSuite(0x1301, AESGCM, 16, SHA256)
SUITES = {
    suite.code: suite
    for suite in (
        AES_128_GCM,
        CipherSuite(0x1302, AESGCM, 32, SHA384),
        CipherSuite(0x1303, ChaCha20Poly1305, 32, SHA256),
    )
}


class Protection:
    """Seals or opens the records of one way, in order, under one traffic secret."""

    def __init__(self, suite: CipherSuite, secret: bytes) -> None:
        self._suite, self._secret = suite, secret
        self._aead = suite.aead(self._expand(b"key", suite.key_length))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._sequence = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label with an empty context (section 7.1)."""
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
        return HKDFExpand(self._suite.hash(), length, info).derive(self._secret)

    def updated(self) -> "Protection":
        """Return what comes after a KeyUpdate (section 7.2)."""
        return Protection(self._suite, self._expand(b"traffic upd", self._suite.hash.digest_size))

    def seal(self, content: Content, data: bytes) -> bytes:
        """Return the next record."""
        header = _header(Content.APPLICATION_DATA, len(data) + 1 + _TAG_LENGTH)
        return header + self._aead.encrypt(self._nonce(), data + bytes((content,)), header)

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Return the content of the next record. Raises Drop(BAD_TLS_RECORD, MALFORMED_TLS)."""
        header, sealed = record[:RECORD_HEADER], record[RECORD_HEADER:]
        try:
            inner = self._aead.decrypt(self._nonce(), sealed, header).rstrip(b"\0")
        except InvalidTag:
            raise Drop(DropReason.BAD_TLS_RECORD, f"number {self._sequence - 1}") from None
        if not inner:
            raise _malformed("record without a type")
        return inner[-1], inner[:-1]

    def _nonce(self) -> bytes:
        """XOR of iv and sequence number (section 5.3)."""
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return nonce


def plain_record(content: Content, data: bytes) -> bytes:
    """Return a record that is not sealed."""
    return _header(content, len(data)) + data


def vector(size: int, octets: bytes) -> bytes:
    """Return octets behind their length, which takes `size` octets (section 3.4)."""
    return len(octets).to_bytes(size, "big") + octets


def message(kind: Handshake, body: bytes) -> bytes:
    """Return a handshake message."""
    return bytes((kind,)) + vector(3, body)


def _header(content: Content, length: int) -> bytes:
    return bytes((content,)) + _LEGACY_VERSION + length.to_bytes(2, "big")


def _malformed(detail: str) -> Drop:
    return Drop(DropReason.MALFORMED_TLS, detail)


def measure_record(data: bytes, offset: int) -> int:
    """Return where a record ends (see Cutter). Raises Drop(MALFORMED_TLS)."""
    if len(data) > offset and data[offset] not in _CONTENTS:
        raise _malformed(f"record of type {data[offset]}")
    if len(data) - offset < RECORD_HEADER:
        return offset + RECORD_HEADER
    length = data[offset + 3] << 8 | data[offset + 4]
    if data[offset + 1] != _LEGACY_VERSION[0] or length > MAX_CIPHERTEXT:
        raise _malformed(f"record of {length} octets")
    return offset + RECORD_HEADER + length


_CONTENTS = frozenset(Content)


def _measure_message(data: bytes, offset: int) -> int:
    if len(data) - offset < 4:
        return offset + 4
    length = int.from_bytes(data[offset + 1 : offset + 4], "big")
    if length > MAX_HANDSHAKE:
        raise _malformed(f"handshake message of {length} octets")
    return offset + 4 + length


class _Octets:
    """Takes fields off the front. Raises Drop(MALFORMED_TLS) where there are too few octets."""

    def __init__(self, octets: bytes) -> None:
        self._rest = octets

    def __bool__(self) -> bool:
        return bool(self._rest)

    def take(self, count: int) -> bytes:
        if len(self._rest) < count:
            raise _malformed("field beyond the end")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def _extensions(octets: bytes) -> dict[int, bytes]:
    rest, found = _Octets(octets), {}
    while rest:
        kind = rest.number(2)
        found[kind] = rest.vector(2)
    return found


def _host_name(extension: bytes) -> str:
    """Return the host name (RFC 6066 section 3), which can be shown to people."""
    names = _Octets(_Octets(extension).vector(2))
    while names:
        kind, name = names.number(1), names.vector(2).decode("latin-1")
        if kind == 0:
            if not (name.isascii() and name.isprintable() and len(name) <= 255):
                raise _malformed("server name")
            return name
    return ""


class _Way:
    """What one end sends: the records that are not read yet, and what opens them."""

    def __init__(self) -> None:
        self.records = Cutter(measure_record)
        self.messages = Cutter(_measure_message)
        self.waiting: list[bytes] = []
        self.protection: Protection | None = None
        self.traffic: Protection | None = None
        self.finished = False
        """Its handshake is done: what comes is application data."""


class TlsReader:
    """Reads both ways of one connection, from its first octet on.

    server_name: that the client asks for, "" without one. certificate: of the server, DER, b""
    before it was seen. Each violation is the end of it.
    """

    def __init__(self, keys: KeyLog) -> None:
        self.client_random = b""
        self.server_name = ""
        self.certificate = b""
        self._keys = keys
        self._client, self._server = _Way(), _Way()
        self._failure: Drop | None = None
        self._awaits_hello = True
        """The server answers a ClientHello that was not read yet."""

    def receive(self, data: bytes, *, from_client: bool) -> bytes:
        """Return the application data that is whole with these octets, cut anywhere.

        What either says before the hello of the other is there comes with a later call, which may
        have no octets; so does a violation before which there was data, and then each call raises
        Drop(NO_TLS_SECRET, MALFORMED_TLS, BAD_TLS_RECORD).
        """
        if self._failure:
            raise self._failure
        way = self._client if from_client else self._server
        opened: list[bytes] = []
        try:
            way.waiting += way.records.cut(data)
        except Drop as drop:
            self._failure = drop
        try:
            self._read_waiting(way, opened)
        except Drop as drop:
            self._failure = drop
        if self._failure and not opened:
            raise self._failure
        return b"".join(opened)

    def _read_waiting(self, way: _Way, opened: list[bytes]) -> None:
        while way.waiting:
            record = way.waiting[0]
            if self._is_early(way, record):
                if sum(map(len, way.waiting)) > MAX_WAITING:
                    raise _malformed("no hello of the other end")
                break
            del way.waiting[0]
            opened += self._read(way, record)

    def has_finished(self, *, client: bool) -> bool:
        """Whether the handshake of one side is done: what it says then is application data."""
        return (self._client if client else self._server).finished

    def _is_early(self, way: _Way, record: bytes) -> bool:
        """Whether a record can be read only when the other end has said more."""
        if way is self._server:
            return self._awaits_hello
        is_data = record[0] == Content.APPLICATION_DATA
        return is_data and way.protection is None and bool(self.client_random)

    def _read(self, way: _Way, record: bytes) -> Iterator[bytes]:
        content, data = record[0], record[RECORD_HEADER:]
        if content == Content.APPLICATION_DATA:
            if way.protection is None:
                raise _malformed("data before the hello")
            content, data = way.protection.open(record)
        elif content == Content.HANDSHAKE and way.protection:
            raise _malformed("handshake in clear behind the hello")
        if content == Content.HANDSHAKE:
            for each in way.messages.cut(data):
                self._take(way, each[0], each[4:])
        elif content == Content.APPLICATION_DATA:
            if not way.finished:
                raise _malformed("data before Finished")
            yield data

    def _take(self, way: _Way, kind: int, body: bytes) -> None:
        """Take a handshake message."""
        if way.protection is None:
            if way is self._client and kind == Handshake.CLIENT_HELLO:
                self._client_hello(body)
            elif way is self._server and kind == Handshake.SERVER_HELLO and self.client_random:
                self._server_hello(body)
            else:
                raise _malformed(f"handshake message {kind} in clear")
        elif kind == Handshake.CERTIFICATE and way is self._server:
            rest = _Octets(body)
            rest.vector(1)
            self.certificate = _Octets(rest.vector(3)).vector(3)
        elif kind == Handshake.FINISHED and not way.finished:
            way.finished, way.protection = True, way.traffic
        elif kind == Handshake.KEY_UPDATE:
            if not way.finished:
                raise _malformed("KeyUpdate before Finished")
            way.protection = way.protection.updated()

    def _client_hello(self, body: bytes) -> None:
        rest = _Octets(body)
        rest.take(2)
        self._awaits_hello, self.client_random = False, rest.take(32)
        rest.vector(1)
        rest.vector(2)
        rest.vector(1)
        extensions = _extensions(rest.vector(2)) if rest else {}
        if Extension.EARLY_DATA in extensions:
            raise Drop(DropReason.NO_TLS_SECRET, "early data")
        if name := extensions.get(Extension.SERVER_NAME):
            self.server_name = _host_name(name)
        if self._keys.secrets_of(self.client_random) is None:
            raise Drop(DropReason.NO_TLS_SECRET, "no secrets")

    def _server_hello(self, body: bytes) -> None:
        rest = _Octets(body)
        rest.take(2)
        random = rest.take(32)
        rest.vector(1)
        suite = SUITES.get(rest.number(2))
        rest.take(1)
        extensions = _extensions(rest.vector(2)) if rest else {}
        if suite is None or extensions.get(Extension.SUPPORTED_VERSIONS) != _TLS_1_3:
            raise Drop(DropReason.NO_TLS_SECRET, "another version or suite")
        secrets = self._keys.secrets_of(self.client_random)
        if random == _HELLO_RETRY or secrets is None:
            self._awaits_hello = random == _HELLO_RETRY
            return
        self._client.protection = Protection(suite, secrets.client_handshake)
        self._client.traffic = Protection(suite, secrets.client_traffic)
        self._server.protection = Protection(suite, secrets.server_handshake)
        self._server.traffic = Protection(suite, secrets.server_traffic)
