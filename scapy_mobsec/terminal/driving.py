"""What a terminal and its driver hand to each other: outputs that are to be sent and done, inputs
that came or happened.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.description import Description, HttpHeader


class Transmit(NamedTuple):
    """What the driver shall send: a UDP payload from `path.local` to `path.remote`, octets of a
    stream, an ESP packet (native), or a whole IP packet (native, AH).
    """

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Open:
    """What the driver shall do: open a stream; a local port of 0 may be any.

    `target`: where a tunnel leads to that the forward proxy at `path.remote` is asked for
    (`encap.connect`), "" without one. `tls`: whether what is carried lies inside TLS, which is
    inside the tunnel; `server_name`: to be asked for there, "" for none. It answers `receive` with
    Established, Closed or Refused.
    """

    path: Path
    target: str = ""
    tls: bool = False
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """What the driver shall do: close a stream."""

    path: Path


@dataclass(frozen=True, slots=True)
class Established:
    """A stream is open. `wanted`: the path of `Open`, None where this side accepted it.

    `headers`: IP, TCP and TLS as this side wrote them (wanted) or as they arrived (accepted), with
    CONNECT to a forward proxy, and `tunnel`: what that answered.
    """

    wanted: Path | None
    headers: Description
    tunnel: HttpHeader | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A stream ended, or could not be opened."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A forward proxy makes no tunnel for the stream of `Open`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Congested:
    """Whether more waits to be written to a stream than is good for it."""

    now: bool


Output: TypeAlias = Transmit | Open | Close
Input: TypeAlias = bytes | Established | Closed | Refused | Congested
