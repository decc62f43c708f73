"""TLS 1.2 and 1.3 of a stream, by Python's `ssl` on octets alone.

TLS is camouflage here, as ESP protects what it carries: a client verifies nobody, and tells whose
certificate it saw (`tls_verify` of the terminal compares that). Sessions are kept by server, so
that the next handshake with it is shorter: a round trip with TLS 1.2, octets with TLS 1.3.
"""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from scapy_mobsec.drivers.live.connection import CLOSED_BY_PEER
from scapy_mobsec.drivers.stream_layers import Layer, StreamUser
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.tls import TlsReader
from scapy_mobsec.registration.description import Description, TlsHeader

MAX_SESSIONS = 16
"""Servers with which a client may go on; the oldest is forgotten."""

MAX_READ = 65_536

Server: TypeAlias = tuple[str, str]
"""Where a client goes, and the name that it asks for there."""


class ClientTls:
    """What the TLS connections of a client have in common. `key_log`: a file for their secrets, in
    the format that Wireshark reads. Raises OSError if that cannot be written.
    """

    def __init__(self, key_log: str = "") -> None:
        self.context = _context(ssl.PROTOCOL_TLS_CLIENT, key_log)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self._last: dict[Server, ssl.SSLObject] = {}

    def keep(self, server: Server, connection: ssl.SSLObject) -> None:
        """Remember the last connection that was established with a server."""
        self._last.pop(server, None)
        self._last[server] = connection
        if len(self._last) > MAX_SESSIONS:
            del self._last[next(iter(self._last))]

    def session(self, server: Server) -> ssl.SSLSession | None:
        """Return a session to go on with, None if there is none.

        With TLS 1.3 it comes some time after the handshake, so it is asked for as late as this.
        """
        last = self._last.get(server)
        return last.session if last else None


class ServerTls:
    """What the TLS connections of a server have in common: certificate and key, files in PEM.

    The first certificate is the server's own. Raises OSError (ssl.SSLError if they do not fit
    together), ValueError without a certificate.
    """

    def __init__(self, certificate: str, key: str, key_log: str = "") -> None:
        self.context = _context(ssl.PROTOCOL_TLS_SERVER, key_log)
        self.context.load_cert_chain(certificate, key)
        self.certificate_sha256 = certificate_sha256(Path(certificate).read_text("ascii"))


def certificate_sha256(pem: str) -> bytes:
    """Return the SHA-256 of the first certificate in a text. Raises ValueError without one."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = pem.partition(begin)
    body, ended, _ = rest.partition(end)
    if not (found and ended):
        raise ValueError("no certificate")
    return sha256(ssl.PEM_cert_to_DER_cert(begin + body + end)).digest()


def _context(protocol: int, key_log: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)  # nothing older than TLS 1.2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if key_log:
        os.close(os.open(key_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        context.keylog_filename = key_log
    return context


class TlsLayer(Layer):
    """One side of a TLS connection."""

    _tls: ssl.SSLObject

    def __init__(
        self, above: StreamUser, make: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]
    ) -> None:
        super().__init__(above)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = make(self._incoming, self._outgoing)

    @property
    def headers(self) -> Description:
        return (*self._lower.headers, self._header())

    def encode(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def write(self, data: bytes) -> None:
        with suppress(ssl.SSLError):  # it has ended: what is written is lost
            super().write(data)

    def open(self) -> None:
        """Begin the handshake, or wait for the other side to do so."""
        self._go_on()

    def received(self, data: bytes) -> None:
        self._incoming.write(data)
        self._go_on()

    def close(self) -> None:
        if self.is_open:
            with suppress(ssl.SSLError):  # this side has said its end, and waits for no other
                self._tls.unwrap()
            self._flush()
        super().close()

    def _header(self) -> TlsHeader:
        raise NotImplementedError

    def _go_on(self) -> None:
        """Do all that the octets allow that came so far."""
        try:
            if not self.is_open:
                self._tls.do_handshake()
                self._flush()
                self._established()
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._failed(error)

    def _established(self) -> None:
        super().open()

    def _read(self) -> None:
        while carried := self._tls.read(MAX_READ):
            super().received(carried)
        self._lower.close()
        self._above.closed(CLOSED_BY_PEER)

    def _flush(self) -> None:
        if octets := self._outgoing.read():
            self._lower.write(octets)

    def _failed(self, error: ssl.SSLError) -> None:
        """End it with the alert that says why."""
        self._flush()
        self._lower.close()
        self._above.closed(f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}")


class TlsClient(TlsLayer):
    """The side that asks; `server` is where it goes, with the name to ask for, "" for none."""

    def __init__(self, above: StreamUser, shared: ClientTls, server: Server) -> None:
        """Raises ValueError for a name that cannot be asked for."""
        self._shared, self._server = shared, server
        session, wrap = shared.session(server), shared.context.wrap_bio
        super().__init__(
            above,
            lambda incoming, outgoing: wrap(
                incoming, outgoing, server_hostname=server[1] or None, session=session
            ),
        )

    @property
    def is_resumed(self) -> bool:
        """Whether the handshake was that of a session that was kept."""
        return bool(self._tls.session_reused)

    def _established(self) -> None:
        self._shared.keep(self._server, self._tls)
        super()._established()

    def _header(self) -> TlsHeader:
        certificate = self._tls.getpeercert(binary_form=True) or b""
        return TlsHeader(sha256(certificate).digest(), self._server[1])


class TlsServer(TlsLayer):
    """The side that is asked."""

    def __init__(self, above: StreamUser, shared: ServerTls) -> None:
        self._shared = shared
        self._hello: TlsReader | None = TlsReader(KeyLog())
        self._asked = ""
        wrap = shared.context.wrap_bio
        super().__init__(
            above, lambda incoming, outgoing: wrap(incoming, outgoing, server_side=True)
        )

    def received(self, data: bytes) -> None:
        if self._hello:
            self._read_name(self._hello, data)
        super().received(data)

    def _read_name(self, hello: TlsReader, data: bytes) -> None:
        """Read the name that is asked for, as far as it can be shown to people.

        Not by a callback of `ssl`, which writes a traceback for names that are no ASCII.
        """
        try:
            hello.receive(data, from_client=True)
        except Drop:  # for nothing more is read without secrets
            self._asked, self._hello = hello.server_name, None

    def _header(self) -> TlsHeader:
        return TlsHeader(self._shared.certificate_sha256, self._asked)
