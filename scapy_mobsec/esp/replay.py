"""The anti-replay window of an inbound SA (RFC 4303 section 3.4.3 and Appendix A).

Three steps, and their order is the caller's duty: `infer` the full number (ESN only), `check` it
before the ICV is verified, `update` only after. Each takes the same time whatever the numbers. A
window is one integer with a bit a packet, which takes no memory before the first packet.
"""

from scapy_mobsec.drops import Drop, DropReason

MAX_SEQUENCE = 2**32 - 1
MAX_EXTENDED_SEQUENCE = 2**64 - 1
_HALF = 2**31


class ReplayWindow:
    """The newest `size` sequence numbers up to `highest`, and which of them were seen.

    `size` 0 refuses no replay and nothing old (for the passive decoding of captures).
    Everything at or below `ceiling` is refused: a restarted receiver forgot what it saw there.
    """

    __slots__ = ("_ceiling", "_reach", "_seen", "highest", "size")

    def __init__(self, size: int = 1024, ceiling: int = 0) -> None:
        """Raises ValueError if `size` is not in 0..2^31 or `ceiling` is not a 64-bit number."""
        if not 0 <= size <= _HALF:
            raise ValueError(f"replay window of {size} packets")
        if not 0 <= ceiling <= MAX_EXTENDED_SEQUENCE:
            raise ValueError(f"replay ceiling {ceiling} is not a sequence number")
        self.size = size
        self.highest = ceiling
        self._ceiling = ceiling
        self._seen = 0  # bit n: highest - n was seen; bits beyond the window say nothing
        self._reach = size or _HALF

    @property
    def is_unused(self) -> bool:
        """Whether nothing was accepted yet, since the start or a restart."""
        return self.highest == self._ceiling

    def expect(self, high: int) -> None:
        """Let `infer` take every number for one with this upper half, until the first `update`.

        For who joins an SA late and refuses no replay: `size` is 0.
        """
        self._ceiling = self.highest = (high << 32) + _HALF

    def infer(self, low: int) -> int:
        """Complete the 32 bits on the wire to an extended number (RFC 4303 Appendix A2.2).

        It is the only number with these low bits in the 2^32 from the left edge of the window on.
        """
        left = self.highest - self._reach + 1
        sequence = left + ((low - left) & MAX_SEQUENCE)
        if sequence < 0:
            return sequence + 2**32
        if sequence > MAX_EXTENDED_SEQUENCE:
            return sequence - 2**32
        return sequence

    def check(self, sequence: int) -> None:
        """Raise Drop if `sequence` is zero, too old or seen before. Changes nothing."""
        if sequence > self.highest:
            return
        if not sequence:
            raise Drop(DropReason.SEQUENCE_ZERO)
        if not self.size:
            return
        if sequence <= self.highest - self.size or sequence <= self._ceiling:
            raise Drop(DropReason.TOO_OLD, f"{sequence}, highest {self.highest}")
        if self._seen >> self.highest - sequence & 1:
            raise Drop(DropReason.REPLAYED, str(sequence))

    def update(self, sequence: int) -> None:
        """Note a checked `sequence` as seen, now that its ICV is good."""
        ahead = sequence - self.highest
        if ahead > 0:
            self.highest = sequence
            # A jump beyond the window empties it; a shift would take as much memory as the jump.
            seen = self._seen << ahead | 1 if ahead < self.size else 1
            if seen.bit_length() > 2 * self.size:
                seen &= (1 << self.size) - 1
            self._seen = seen
        elif self.size:
            self._seen |= 1 << -ahead
        elif self.is_unused:
            self.highest = sequence
