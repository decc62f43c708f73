"""TLS 1.3 (RFC 8446) as it is on the wire: hellos, sealed records, one round trip more.

Nothing is agreed on: the client draws the traffic secrets and writes them to the key log of the
network, where the server finds them. So the key shares are octets by chance, Finished proves
nothing, and there is no CertificateVerify. A session that is resumed takes as long.
"""

from hashlib import sha256

from scapy_mobsec.drivers.memory.network import MemoryNetwork
from scapy_mobsec.drivers.stream_layers import Layer, StreamUser
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.key_log import Secrets
from scapy_mobsec.encap.tls import (
    AES_128_GCM,
    MAX_PLAINTEXT,
    Content,
    Extension,
    Handshake,
    Protection,
    TlsReader,
    message,
    plain_record,
    vector,
)
from scapy_mobsec.registration.description import Description, TlsHeader

_LEGACY_VERSION, _TLS_1_3 = b"\x03\x03", b"\x03\x04"
_X25519 = b"\x00\x1d"
_SUITE = AES_128_GCM.code.to_bytes(2, "big")
_NO_SESSION_ID = vector(1, b"")
_NO_COMPRESSION = b"\0"
_LENGTH = 32
"""Octets of all that is drawn: randoms, key shares, secrets, what Finished says."""


def client_hello(random: bytes, share: bytes, server_name: str) -> bytes:
    """Make a ClientHello (section 4.1.2)."""
    extensions = [
        (Extension.SUPPORTED_VERSIONS, vector(1, _TLS_1_3)),
        (Extension.SUPPORTED_GROUPS, vector(2, _X25519)),
        (Extension.SIGNATURE_ALGORITHMS, vector(2, b"\x04\x03")),
        (Extension.KEY_SHARE, vector(2, _X25519 + vector(2, share))),
    ]
    if server_name:
        name = b"\0" + vector(2, server_name.encode("ascii"))
        extensions.insert(0, (Extension.SERVER_NAME, vector(2, name)))
    suites, methods = vector(2, _SUITE), vector(1, _NO_COMPRESSION)
    body = (_LEGACY_VERSION, random, _NO_SESSION_ID, suites, methods)
    return message(Handshake.CLIENT_HELLO, b"".join(body) + _extensions(extensions))


def server_hello(random: bytes, share: bytes) -> bytes:
    """Make a ServerHello (section 4.1.3)."""
    body = (_LEGACY_VERSION, random, _NO_SESSION_ID, _SUITE, _NO_COMPRESSION)
    extensions = [
        (Extension.SUPPORTED_VERSIONS, _TLS_1_3),
        (Extension.KEY_SHARE, _X25519 + vector(2, share)),
    ]
    return message(Handshake.SERVER_HELLO, b"".join(body) + _extensions(extensions))


def _extensions(listed: list[tuple[Extension, bytes]]) -> bytes:
    return vector(2, b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in listed))


def _certificate(certificate: bytes) -> bytes:
    """Make a Certificate message with one entry (section 4.4.2)."""
    return message(
        Handshake.CERTIFICATE, b"\0" + vector(3, vector(3, certificate) + vector(2, b""))
    )


class Tls(Layer):
    """One side of a TLS connection; what it says in the handshake it reads as the other does."""

    _is_server: bool

    def __init__(self, above: StreamUser, network: MemoryNetwork) -> None:
        super().__init__(above)
        self._keys = network.tls_keys
        self._random = network.new_random()
        self._reader = TlsReader(self._keys)
        self._sealing: Protection | None = None

    @property
    def server_name(self) -> str:
        return self._reader.server_name

    @property
    def certificate(self) -> bytes:
        """The server's, as this side saw or sent it."""
        return self._reader.certificate

    @property
    def headers(self) -> Description:
        tls = TlsHeader(sha256(self.certificate).digest(), self.server_name)
        return (*self._lower.headers, tls)

    def encode(self, data: bytes) -> bytes:
        sealing = self._sealing
        if sealing is None:
            raise RuntimeError("the handshake is not done")
        return b"".join(
            sealing.seal(Content.APPLICATION_DATA, data[start : start + MAX_PLAINTEXT])
            for start in range(0, len(data), MAX_PLAINTEXT)
        )

    def received(self, data: bytes) -> None:
        try:
            carried = self._reader.receive(data, from_client=self._is_server)
            self.go_on()
        except Drop as drop:
            self.fail(f"not TLS: {drop.detail}")
            return
        if carried:
            super().received(carried)

    def go_on(self) -> None:
        """Say what is due now in the handshake. Raises Drop."""
        raise NotImplementedError

    def _finished(self) -> bytes:
        return message(Handshake.FINISHED, self._random.randbytes(_LENGTH))

    def _secrets(self) -> Secrets:
        """Those of this connection. Raises Drop if its client is not of this network."""
        secrets = self._keys.secrets_of(self._reader.client_random)
        if secrets is None:
            raise Drop(DropReason.NO_TLS_SECRET, "no secrets")
        return secrets


class TlsClient(Tls):
    """Sends a hello, gets a certificate, and may go on."""

    _is_server = False

    def __init__(self, above: StreamUser, network: MemoryNetwork, server_name: str = "") -> None:
        super().__init__(above, network)
        self._asked = server_name

    def open(self) -> None:
        random, share, *secrets = (self._random.randbytes(_LENGTH) for _ in range(6))
        self._keys.add(random, Secrets(*secrets))
        hello = plain_record(Content.HANDSHAKE, client_hello(random, share, self._asked))
        self._reader.receive(hello, from_client=True)
        self._lower.write(hello)

    def go_on(self) -> None:
        if self.is_open or not self._reader.has_finished(client=False):
            return
        secrets = self._secrets()
        handshake = Protection(AES_128_GCM, secrets.client_handshake)
        self._lower.write(handshake.seal(Content.HANDSHAKE, self._finished()))
        self._sealing = Protection(AES_128_GCM, secrets.client_traffic)
        super().open()


class TlsServer(Tls):
    """Answers a hello with its certificate, and goes on when the client does."""

    _is_server = True

    def __init__(self, above: StreamUser, network: MemoryNetwork, certificate: bytes) -> None:
        super().__init__(above, network)
        self._own = certificate

    def open(self) -> None:
        """Wait for the client."""

    def go_on(self) -> None:
        if self._sealing is None and self._reader.client_random:
            self._greet(self._secrets())
        if not self.is_open and self._reader.has_finished(client=True):
            super().open()

    def _greet(self, secrets: Secrets) -> None:
        hello = server_hello(*(self._random.randbytes(_LENGTH) for _ in range(2)))
        extensions = message(Handshake.ENCRYPTED_EXTENSIONS, vector(2, b""))
        sealed = extensions + _certificate(self._own) + self._finished()
        handshake = Protection(AES_128_GCM, secrets.server_handshake)
        flight = plain_record(Content.HANDSHAKE, hello)
        flight += handshake.seal(Content.HANDSHAKE, sealed)
        self._reader.receive(flight, from_client=False)
        self._lower.write(flight)
        self._sealing = Protection(AES_128_GCM, secrets.server_traffic)
