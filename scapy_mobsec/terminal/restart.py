"""What Y knows of a link after a restart (rule 14): its numbers, its binding and its current path.

Of the paths only the current one is kept; a stream is gone with the process that had it, so data
waits for the next attempt. What X is told is at most older than the last move: then X's next probe
is of a newer attempt than Y knows, and its USE moves the binding: one registration.
"""

from dataclasses import dataclass

from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.binding import BindingRecord
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.counters import AhNumbers
from scapy_mobsec.terminal.paths import AMPLIFICATION, DATAGRAM, REPLY_RESERVE, PathState, Traffic


@dataclass(frozen=True, slots=True)
class BindingSnapshot:
    """One link of Y. `next_sequence`, `ceilings`, `ah`: as in `MobileSnapshot`.

    `path`: the current one, None without any; `validated`: it has proved itself.
    `received_octets`: what came by it, for rule 3. `lifetime`: seconds granted;
    `expires`: when it is over, None if it never is.
    """

    home_address: bytes
    next_sequence: int
    ceilings: tuple[tuple[int, int], ...]
    binding: BindingRecord
    path: Path | None
    validated: bool
    received_octets: int
    lifetime: int
    expires: float | None
    ah: AhNumbers | None = None


def take_snapshot(link: BoundLink) -> BindingSnapshot:
    """Return what a restarted Y has to know of a link."""
    current = link.current
    return BindingSnapshot(
        home_address=link.home_address,
        next_sequence=link.reservation.next_sequence,
        ceilings=link.reservation.ceilings,
        binding=link.binding.record(),
        path=link.path,
        validated=bool(current and current.validated),
        received_octets=current.traffic.received_octets if current else 0,
        lifetime=link.lifetime,
        expires=link.expires,
        ah=link.ah_numbers,
    )


def restore(link: BoundLink, snapshot: BindingSnapshot) -> None:
    """Let a new link go on from a snapshot. Raises ValueError as `Link.resume` does."""
    link.resume(snapshot.next_sequence, snapshot.ceilings, snapshot.ah)
    link.binding.restore(snapshot.binding)
    link.lifetime, link.expires = snapshot.lifetime, snapshot.expires
    path = snapshot.path
    if path and path.encapsulation in DATAGRAM:
        # What was sent since is not known: of the credit is left what data leaves for RREPs.
        received = snapshot.received_octets
        sent = max(AMPLIFICATION * received - REPLY_RESERVE, 0)
        traffic = Traffic(received_octets=received, sent_octets=sent)
        link.current = PathState(path, traffic, validated=snapshot.validated)
        link.paths.add(link.current, None)
    elif link.binding.state is OtherState.BOUND:
        link.binding.suspend()
