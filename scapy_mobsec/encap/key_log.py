"""Secrets of TLS 1.3 connections, in the lines that SSLKEYLOGFILE makes programs write.

Format: draft-ietf-tls-keylogfile. A line is a label, the random of the ClientHello and a secret,
both in hex. Lines with other labels (TLS 1.2, early data, exporters) are stepped over.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

MAX_CONNECTIONS = 65_536
"""Whose secrets are kept."""

_LINE = re.compile(r"([A-Z][A-Z0-9_]{0,63}) ((?:[0-9a-fA-F]{2}){1,1024}) ((?:[0-9a-fA-F]{2})+)")
_RANDOM_LENGTH = 32
_SECRET_LENGTHS = (32, 48)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Traffic secrets of one connection (RFC 8446 section 7.1), of SHA-256 or SHA-384."""

    client_handshake: bytes
    server_handshake: bytes
    client_traffic: bytes
    server_traffic: bytes


_LABELS = {
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET": "client_handshake",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET": "server_handshake",
    "CLIENT_TRAFFIC_SECRET_0": "client_traffic",
    "SERVER_TRAFFIC_SECRET_0": "server_traffic",
}


class KeyLog:
    """Secrets by the random of the ClientHello."""

    def __init__(self) -> None:
        self._known: dict[bytes, dict[str, bytes]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def read(self, lines: Iterable[str]) -> None:
        """Add what lines say, comments (#) and empty ones aside. Raises ValueError."""
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                self._read_line(text)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None

    def _read_line(self, text: str) -> None:
        parts = _LINE.fullmatch(text)
        if parts is None:
            raise ValueError("not a label, a random and a secret")
        name = _LABELS.get(parts[1])
        if name is None:
            return
        random, secret = bytes.fromhex(parts[2]), bytes.fromhex(parts[3])
        if len(random) != _RANDOM_LENGTH or len(secret) not in _SECRET_LENGTHS:
            raise ValueError(f"{parts[1]} with {len(random)} and {len(secret)} octets")
        self._note(random, {name: secret})

    def add(self, client_random: bytes, secrets: Secrets) -> None:
        """Add the secrets of one connection. Raises ValueError if there are too many."""
        names = (each.name for each in fields(Secrets))
        self._note(client_random, {name: getattr(secrets, name) for name in names})

    def _note(self, client_random: bytes, named: Mapping[str, bytes]) -> None:
        if client_random not in self._known and len(self._known) >= MAX_CONNECTIONS:
            raise ValueError(f"secrets of more than {MAX_CONNECTIONS} connections")
        self._known.setdefault(client_random, {}).update(named)

    def secrets_of(self, client_random: bytes) -> Secrets | None:
        """Return the secrets of a connection, None unless all are there."""
        known = self._known.get(client_random, {})
        return Secrets(**known) if len(known) == len(_LABELS) else None

    def text(self) -> str:
        """Return all secrets as lines."""
        return "".join(
            f"{label} {random.hex()} {known[name].hex()}\n"
            for random, known in self._known.items()
            for label, name in _LABELS.items()
            if name in known
        )
