"""What stands at one link, for people: read from a terminal, which goes on unchanged."""

from collections.abc import Iterable
from dataclasses import dataclass

from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.transitions import MobileState, OtherState
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.paths import PathState


@dataclass(frozen=True, slots=True)
class PathStatus:
    """A path of the present attempt. Octets are of ESP packets, packets those that carry data.

    `validated`: it answered a challenge; X, whose part it is to answer, has none.
    """

    path: Path
    current: bool
    validated: bool
    received_octets: int
    sent_octets: int
    received_packets: int
    sent_packets: int


@dataclass(frozen=True, slots=True)
class SaStatus:
    """`sequence`: the highest number that was sent, or received; after a restart, before anything
    is, the highest that may have been. 0 if none was.
    """

    spi: int
    ah: bool
    outbound: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """`attempt`: the last one, None before the first. `expires`: when the registration ends unless
    it is renewed, where this end knows. `waiting`: packets of data that wait to be sent.
    """

    home_address: bytes
    state: MobileState | OtherState
    attempt: int | None
    path: Path | None
    paths: tuple[PathStatus, ...]
    sas: tuple[SaStatus, ...]
    waiting: int
    expires: float | None = None


def path_statuses(link: Link, states: Iterable[PathState]) -> tuple[PathStatus, ...]:
    """Return how paths of a link stand."""
    return tuple(
        PathStatus(
            each.path,
            each is link.current,
            each.validated,
            each.traffic.received_octets,
            each.traffic.sent_octets,
            each.traffic.received_data,
            each.traffic.sent_data,
        )
        for each in states
    )


def sa_statuses(link: Link) -> tuple[SaStatus, ...]:
    """Return how the SAs of a link stand."""
    found = [
        SaStatus(sa.parameters.spi, ah, False, sa.replay.highest)
        for ah, sas in ((False, link.inbound), (True, link.inbound_ah))
        for sa in sas
    ]
    found += [
        SaStatus(sa.parameters.spi, ah, True, sa.next_sequence - 1)
        for ah, sa in ((False, link.outbound), (True, link.outbound_ah))
        if sa
    ]
    return tuple(found)
