"""A link as Y has it: with its registration state, its paths, and the data that waits for one."""

from collections.abc import Callable

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.path import Path
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.config import LinkParameters
from scapy_mobsec.terminal.counters import UnansweredReplies
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.paths import (
    CHALLENGE_LIFE,
    LONGEST_CHALLENGE_LIFE,
    AdmittedPaths,
    PathState,
)
from scapy_mobsec.terminal.rebinding import Rebinding
from scapy_mobsec.terminal.signalling import if_ipv4
from scapy_mobsec.terminal.streams import Stream

FIRST_RETRY = 1.0
"""Seconds until a suspended path is challenged again, for the first time."""


class BoundLink(Link):
    """One link of Y. `retry`: the pause before the next challenge on the suspended path.

    `challenge_life`: seconds after which a challenge has failed.
    """

    def __init__(self, parameters: LinkParameters, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(parameters, at_mobile=False, random_bytes=random_bytes)
        self.identity = if_ipv4(self.home_address)
        """What the fixed part of each message has for the home address."""
        self.binding = Binding()
        self.paths = AdmittedPaths()
        self.rebinding = Rebinding()
        self.waiting: list[bytes] = []  # few at most; an empty deque has 760 octets
        self.streams: dict[Path, Stream] = {}  # authentic ones, the oldest first
        self.suspended: PathState | None = None
        self.retry = FIRST_RETRY
        self.challenge_life = CHALLENGE_LIFE
        self.lifetime = 0
        self.expires: float | None = None
        self.unanswered = UnansweredReplies()

    def answered_after(self, seconds: float) -> None:
        """A challenge was answered: the next ones have twice as long, within limits."""
        self.challenge_life = min(max(CHALLENGE_LIFE, 2 * seconds), LONGEST_CHALLENGE_LIFE)

    def state_of(self, path: Path) -> PathState | None:
        """Return what is known of a path: admitted, current or suspended."""
        state = self.paths.get(path)
        return self.kept(path) if state is None else state

    def states(self) -> list[PathState]:
        """Return what is known of all its paths."""
        kept = (each for each in (self.current, self.suspended) if each)
        return [*self.paths, *(each for each in kept if not self.paths.get(each.path))]

    def kept(self, path: Path) -> PathState | None:
        """Return what is known of a path for being current or suspended, whatever the attempt."""
        current, suspended = self.current, self.suspended
        if current is not None and current.path == path:
            return current
        return suspended if suspended is not None and suspended.path == path else None

    def is_newest(self, opened: Opened) -> bool:
        """Tell whether a packet that was just opened has the highest number so far of its SA."""
        return any(sa.replay.highest == opened.sequence for sa in self.inbound) or any(
            sa.replay.highest == opened.sequence for sa in self.inbound_ah
        )

    def signalling_length(self, length: int, path: Path | None = None) -> int:
        """Return the octets of the packet for a registration message of so many. Raises Drop."""
        return self._length(self.message_overhead + length, path)

    def reply_flags(self, state: PathState) -> int:
        """Return the flags of an RREP: USE says that its path is the current one."""
        return _USE if state is self.current else 0

    def proven(self, path: Path, attempt: int) -> bool:
        """Tell whether a path was validated in this attempt."""
        state = self.paths.get(path)
        return bool(state and state.validated and attempt == self.binding.last_attempt)


_USE = int(AttemptFlag.USE)
