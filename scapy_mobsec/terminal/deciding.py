"""What X knows of the ways to Y in one attempt, and which one to use (rules 2, 5 and 6).

Three deciders: Y by SELECTED of its RREP with the highest ESP number, X by its own comparison, or
what was fixed beforehand. Whoever decides, only X's USE executes, and X never takes what it does
not allow. Traversal is dropped only without translation, seen by Y or by X in the RREP, where
native is supported by both, neither insists on traversal (FORCED), and after a native probe was
answered and its challenge too. Y, which
selects among what has proved itself to it, may see less than X and select native where it is the
last resort: X does not follow that.
"""

from collections.abc import Collection

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import RegistrationReply
from scapy_mobsec.terminal.choice import Decider, choose
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.paths import DATAGRAM
from scapy_mobsec.terminal.routes import allowed
from scapy_mobsec.translation import Translation

FIRST_PAUSE = 10.0
LONGEST_PAUSE = 600.0

_NATIVE_FIRST = (Encapsulation.NATIVE,)


class Findings:
    """Knowledge of one attempt. A path that passed carried an RREQ and its RREP."""

    def __init__(self, configuration: MobileConfiguration) -> None:
        self._decider = configuration.decider
        self._forced_here = self._forced = configuration.forced
        self._allowed = allowed(configuration)
        self._supported: tuple[Encapsulation, ...] | None = None
        self._selected: tuple[Encapsulation, ...] | None = None
        self._keepalives: dict[int, int] = {}
        self._newest = -1
        self._translations: dict[Encapsulation, tuple[Translation, ...]] = {}
        self._passed: dict[Encapsulation, Path] = {}

    def learn(
        self,
        reply: RegistrationReply,
        path: Path,
        translations: tuple[Translation, ...],
        sequence: int,
    ) -> None:
        """Take over what an accepted RREP says. `translations`: seen by either side.

        `sequence`: its ESP number; what it says of Y's choice counts if no later one was heard.
        """
        self._passed.setdefault(path.encapsulation, path)
        self._translations[path.encapsulation] = translations
        if sequence <= self._newest:
            return
        self._newest = sequence
        self._forced = self._forced_here or _is_forced(reply)
        if reply.supported is not None:
            self._supported = _encapsulations(reply.supported)
        items = (*(reply.supported or ()), *(reply.selected or ()))
        self._keepalives.update((item.code, item.keepalive) for item in items)
        self._selected = None if reply.selected is None else _encapsulations(reply.selected)

    def keepalive(self, encapsulation: Encapsulation, interval: float) -> float:
        """Return the seconds between signs of life, where X itself would take `interval`: the
        smaller of this and what Y says. 0 is none, and Y cannot change that.
        """
        asked = self._keepalives.get(encapsulation.code, 0)
        return min(interval, asked) if asked else interval

    def forget(self, path: Path) -> None:
        """This path does not carry data after all."""
        if self._passed.get(path.encapsulation) == path:
            del self._passed[path.encapsulation]

    def choice(self) -> Path | None:
        """Return the path that should be the current one, None if it may stay what it is."""
        if self._decider is Decider.FIXED:
            return None
        usable = self._usable(self._passed)
        if self._decider is Decider.OTHER:
            best = usable[:1]
            usable = tuple(each for each in self._selected or () if each in usable)
            if best != _NATIVE_FIRST:  # Y may not know yet that something else passed
                usable = tuple(each for each in usable if each is not Encapsulation.NATIVE)
        return self._passed[usable[0]] if usable else None

    def better(self, current: Encapsulation) -> tuple[Encapsulation, ...]:
        """Return what would be preferred to the current encapsulation, but did not pass yet."""
        if self._decider is Decider.FIXED:
            return ()
        usable = self._usable(self._allowed)
        if current in usable:
            usable = usable[: usable.index(current)]
        return tuple(each for each in usable if each not in self._passed)

    def _usable(self, passed: Collection[Encapsulation]) -> tuple[Encapsulation, ...]:
        supported = self._allowed if self._supported is None else self._supported
        seen = self._translations
        datagrams = [each for each in DATAGRAM if each in seen]  # a proxy says nothing of them
        found = [one for each in datagrams or seen for one in seen[each]]
        return choose(bool(found), supported, passed, self._allowed, forced=self._forced)


class BackOff:
    """When to probe better encapsulations again: after 10 s, doubling to 10 min."""

    def __init__(self, now: float) -> None:
        self._pause = FIRST_PAUSE
        self.due = now + self._pause

    def failed(self, now: float) -> None:
        """What was tried does not carry data."""
        self.due = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def postpone(self, now: float) -> None:
        """A round begins, or something better came into use: what is better still can wait."""
        self.due = now + self._pause


def _is_forced(reply: RegistrationReply) -> bool:
    """Tell whether Y keeps the traversal even without translation."""
    return bool(reply.attempt and reply.attempt.flags & AttemptFlag.FORCED)


def _encapsulations(items: tuple[EncapsulationItem, ...]) -> tuple[Encapsulation, ...]:
    names = {code.value: code.name for code in EncapsulationCode}
    return tuple(
        dict.fromkeys(Encapsulation[names[item.code]] for item in items if item.code in names)
    )
