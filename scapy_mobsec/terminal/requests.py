"""How X writes its RREQs (docs/wire-format.md)."""

from collections.abc import Callable

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.description import Description, EncapsulationItem
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    RegistrationRequest,
    Report,
    build_request,
    pad_request,
)
from scapy_mobsec.registration.serial import is_newer_attempt
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.exchange import Exchange, IdentificationSource
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.routes import dialed
from scapy_mobsec.terminal.signalling import if_ipv4

LATE_CONFIRMS = 65_536
"""Identifications below those of an attempt, 15 microseconds, for CONFIRMs of older attempts."""


class Requests:
    """The RREQs of one link, with the counters that they take: attempt and Identification."""

    def __init__(
        self,
        configuration: MobileConfiguration,
        link: Link,
        describe_sent: Callable[[Path], Description],
        last_identification: int | None,
    ) -> None:
        self._link = link
        self._describe_sent = describe_sent
        self.identifications = IdentificationSource(last_identification)
        self.attempt = configuration.last_attempt
        self._first: int | None = None  # Identification of this attempt
        self._late = 0
        self.configure(configuration)

    def configure(self, configuration: MobileConfiguration) -> None:
        """Ask for something else from now on."""
        self._configuration = configuration
        items = sorted(configuration.allow, key=lambda item: item.code)
        self.supported = tuple(EncapsulationItem(item.code, item.flags) for item in items)

    def next_attempt(self) -> None:
        """Begin another attempt."""
        self.attempt = (self.attempt + 1) % (1 << 32)
        self._first, self._late = None, 0

    def correct(self, identification: int, attempt: int) -> None:
        """Go on above both of Y's counters, with another attempt (code 133)."""
        self.identifications.skip(identification)
        if is_newer_attempt(attempt, self.attempt):
            self.attempt = attempt
        self.next_attempt()

    def go_on_after(self, identification: int, attempt: int) -> None:
        """Go on after an RREQ that somebody else wrote, in its attempt if that is newer."""
        self.identifications.skip(identification)
        if is_newer_attempt(attempt, self.attempt):
            self.attempt, self._first, self._late = attempt, identification, 0

    def write(
        self, exchange: Exchange, identification: int, report: Report | None, length: int
    ) -> bytes:
        """Return an RREQ that makes an ESP packet, or by AH an IP packet, of at least `length`
        octets.
        """
        if self._first is None:
            self._first = identification
        path = exchange.path
        flags = exchange.plan.flags
        if self._configuration.forced:
            flags |= AttemptFlag.FORCED
        request = RegistrationRequest(
            identification=identification,
            lifetime=exchange.lifetime,
            home_address=if_ipv4(self._link.home_address),
            home_agent=if_ipv4(dialed(self._configuration, path).address),
            care_of_address=if_ipv4(path.local.address),
            attempt=Attempt(self.attempt, int(flags), exchange.index, exchange.count),
            sent=self._describe_sent(path),
            supported=self.supported,
            report=report,
            home=self._link.told_home,
        )
        return build_request(pad_request(request, self._link.message_length(length, path)))

    def confirm(self, reply: RegistrationReply, path: Path, now: float) -> bytes:
        """Return the CONFIRM that answers the challenge of an RREP, on the path it came by.

        It names the attempt of the challenge: Y takes no other.
        """
        number = reply.attempt.number if reply.attempt else self.attempt
        request = RegistrationRequest(
            identification=self._identification(number, now),
            lifetime=self._configuration.lifetime,
            home_address=if_ipv4(self._link.home_address),
            home_agent=if_ipv4(dialed(self._configuration, path).address),
            care_of_address=if_ipv4(path.local.address),
            attempt=Attempt(number, int(AttemptFlag.CONFIRM)),
            sent=self._describe_sent(path),
            response=reply.challenge,
            home=self._link.told_home,
        )
        return build_request(request)

    def _identification(self, attempt: int, now: float) -> int:
        """Return that of a CONFIRM: of an older attempt it makes no RREQ of this one stale."""
        if attempt == self.attempt or self._first is None:
            return self.identifications.next(now)
        self._late = (self._late + 1) % LATE_CONFIRMS
        return (self._first - LATE_CONFIRMS + self._late) % (1 << 64)
