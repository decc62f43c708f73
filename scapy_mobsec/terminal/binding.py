"""What Y holds for one link: which registrations are fresh (rule 1), and what each does (rule 2).

Fresh: the attempt is not older than the last one, and the Identification is new.
The current path changes only by
(a) the first accepted RREQ of an attempt newer than the one that set it: at once, before anything
    is validated, because that is the fast handover. After expiry or suspension the same attempt
    suffices, after de-registration it does not. Any other RREQ of that attempt renews the lifetime
    only, and with lifetime 0 it de-registers;
(b) a RESPONSE while no validated path is current; (c) a USE above the last one, on a path that was
    validated in this attempt, elsewhere it counts as PROBE; (d) a proven rebinding;
(e) failure, expiry, de-registration and the loss of a stream, which take it away.
A PROBE raises only the staleness limit. A CONFIRM belongs to the present attempt or is stale.
"""

from dataclasses import dataclass

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.flat import RequestValues
from scapy_mobsec.registration.serial import (
    is_newer,
    is_newer_attempt,
    is_newer_identification,
    ntp_timestamp,
)
from scapy_mobsec.registration.transitions import OTHER, Machine, OtherEvent, OtherState

REMEMBERED_IDENTIFICATIONS = 64

_PROBE_OR_CONFIRM = int(AttemptFlag.PROBE | AttemptFlag.CONFIRM)
_CONFIRM, _USE = int(AttemptFlag.CONFIRM), int(AttemptFlag.USE)
_MOVE, _RENEW, _CHOOSE = OtherEvent.MOVE, OtherEvent.RENEW, OtherEvent.CHOOSE
_WITHOUT_PATH = (OtherState.EXPIRED, OtherState.SUSPENDED)


class IdentificationWindow:
    """Tells fresh values of Identification from stale ones.

    A new attempt must be above the highest of the one before; within an attempt any value not yet
    seen is fresh, because RREQs overtake each other. The 64 highest are kept; at or below `floor`
    everything is stale.
    """

    def __init__(self) -> None:
        self.highest: int | None = None
        self._floor: int | None = None
        self._seen: dict[int, None] = {}  # the lowest first

    def check(self, identification: int, *, new_attempt: bool) -> None:
        """Raises Drop(STALE_IDENTIFICATION)."""
        floor = self.highest if new_attempt else self._floor
        if identification in self._seen or not (
            floor is None or is_newer_identification(identification, floor)
        ):
            raise Drop(DropReason.STALE_IDENTIFICATION, f"0x{identification:016x}")

    def add(self, identification: int, *, new_attempt: bool) -> None:
        """Remember a value that passed `check`."""
        if new_attempt:
            self._floor = self.highest
            self._seen.clear()
        self._seen[identification] = None
        highest = self.highest
        if highest is None or is_newer_identification(identification, highest):
            self.highest = identification
        else:  # overtaken on the way, which is rare
            ordered = sorted(self._seen, key=lambda value: (value - highest - 1) % (1 << 64))
            self._seen = dict.fromkeys(ordered)
        if len(self._seen) > REMEMBERED_IDENTIFICATIONS:
            self._floor = next(iter(self._seen))
            del self._seen[self._floor]

    def resume(self, highest: int | None) -> None:
        """Go on after a restart: nothing up to `highest` is fresh."""
        self.highest = self._floor = highest
        self._seen.clear()


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """What of a binding outlives a restart: its state, and the numbers that it compares with."""

    state: OtherState
    last_attempt: int | None
    path_attempt: int | None
    last_identification: int
    highest_identification: int | None
    last_use: int | None


class Binding:
    """The registration state of one link at Y; it knows neither paths nor messages to come.

    `proven` says whether a request came by a path that was validated in the attempt it names.
    """

    __slots__ = (
        "_identifications",
        "_last_use",
        "_path_attempt",
        "last_attempt",
        "last_identification",
        "machine",
    )

    def __init__(self) -> None:
        self.machine = Machine(OTHER, OtherState.UNBOUND)
        """Its state, which nothing but this class changes."""
        self._identifications = IdentificationWindow()
        self._path_attempt: int | None = None
        self._last_use: int | None = None
        self.last_identification = 0
        """Of the last accepted request that asked for an answer."""
        self.last_attempt: int | None = None
        """Highest attempt number accepted: older ones are stale."""

    @property
    def state(self) -> OtherState:
        """Where it stands."""
        return self.machine.state

    def record(self) -> BindingRecord:
        """Return what is to be kept over a restart."""
        return BindingRecord(
            state=self.state,
            last_attempt=self.last_attempt,
            path_attempt=self._path_attempt,
            last_identification=self.last_identification,
            highest_identification=self._identifications.highest,
            last_use=self._last_use,
        )

    def restore(self, record: BindingRecord) -> None:
        """Go on after a restart."""
        self.machine = Machine(OTHER, record.state)
        self._identifications.resume(record.highest_identification)
        self._path_attempt, self._last_use = record.path_attempt, record.last_use
        self.last_attempt = record.last_attempt
        self.last_identification = record.last_identification

    def check(self, request: RequestValues, proven: bool = False) -> OtherEvent | None:
        """Return what a request would do, None if it only probes; change nothing.

        Raises Drop: STALE_ATTEMPT, STALE_IDENTIFICATION, UNEXPECTED_MESSAGE.
        """
        number, last = request.number, self.last_attempt
        new_attempt = last is None or is_newer_attempt(number, last)
        if number != last and (not new_attempt or request.flags & _CONFIRM):
            kind = "CONFIRM of " if request.flags & _CONFIRM else ""
            raise Drop(DropReason.STALE_ATTEMPT, f"{kind}{number}, last was {last}")
        self._identifications.check(request.identification, new_attempt=new_attempt)
        event = self._event(request, proven)
        if event is not None:
            self.machine.check(event)
        return event

    def accept(self, request: RequestValues, event: OtherEvent | None) -> None:
        """Take over a request that passed `check`; `event`: what that returned."""
        number, identification = request.number, request.identification
        self._identifications.add(identification, new_attempt=number != self.last_attempt)
        self.last_attempt = number
        if not request.flags & _CONFIRM:
            self.last_identification = identification
        if event is None:
            return
        self.machine.fire(event)
        if event is _CHOOSE:
            self._last_use = identification
        if event is not _RENEW:
            self._path_attempt = number

    def choose(self, *, of_this_attempt: bool = True) -> None:
        """A path becomes the current one without an RREQ: by (b), by (d), or after a failure."""
        self.machine.fire(OtherEvent.CHOOSE)
        if of_this_attempt:
            self._path_attempt = self.last_attempt

    def suspend(self) -> None:
        """The current path is lost."""
        self.machine.fire(OtherEvent.SUSPEND)

    def expire(self) -> None:
        """The lifetime is over."""
        self.machine.fire(OtherEvent.EXPIRE)

    def corrected_identification(self, identification: int, now: float) -> int:
        """Return the Identification of a reply with code 133 (RFC 5944 section 5.7.1).

        Low word copied; high word max(our time, high word of the highest accepted + 1).
        """
        high = ntp_timestamp(now) >> 32
        if self._identifications.highest is not None:
            above = ((self._identifications.highest >> 32) + 1) % (1 << 32)
            high = above if is_newer(above, high, 32) else high
        return high << 32 | identification & 0xFFFF_FFFF

    def _event(self, request: RequestValues, proven: bool) -> OtherEvent | None:
        if request.flags & _PROBE_OR_CONFIRM:
            return None
        if request.flags & _USE:
            above = self._last_use is None or is_newer_identification(
                request.identification, self._last_use
            )
            return _CHOOSE if proven and above else None
        if request.lifetime == 0:
            return OtherEvent.DEREGISTER
        set_by = self._path_attempt
        if set_by is None or is_newer_attempt(request.number, set_by):
            return _MOVE
        if self.machine.state in _WITHOUT_PATH:
            return _MOVE
        return _RENEW
