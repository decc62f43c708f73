"""Security associations on octets: `OutboundSa` makes ESP packets, `InboundSa` opens them.

RFC 4303: packet format (section 2), padding 1, 2, 3, ... (2.4), sequence numbers and their end
(3.3.3), replay check before the ICV and window update after it (3.4.3), ESN with the high-order
half unsent (2.2.1). Tunnel mode is next header 4 or 41; any other one is handed on alike.
An SA serves one thread.

    ESP packet = SPI (4) | sequence number (4) | IV | ciphertext of (payload | padding | padding
                 length (1) | next header (1)) | ICV
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.replay import MAX_EXTENDED_SEQUENCE, MAX_SEQUENCE, ReplayWindow
from scapy_mobsec.esp.suites import Suite

_HEADER = Struct(">II")
_PADDING = tuple(bytes(range(1, 1 + length)) for length in range(256))
_new_tuple = tuple.__new__  # half the price of calling a named tuple


@dataclass(frozen=True, slots=True)
class SaParameters:
    """What both ends of one SA share. `encryption_key` ends with the salt where the suite has one.

    `integrity_key` is None with a suite that has none. With another suite None means not known:
    packets of such an SA are opened unverified, and none can be sealed. `esn_high`: the upper half
    of an extended number to begin with, for who joins an SA late.
    """

    spi: int
    suite: Suite
    encryption_key: bytes = field(repr=False)
    integrity_key: bytes | None = field(default=None, repr=False)
    esn: bool = False
    esn_high: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for an SPI that no packet carries or a key of a wrong length."""
        suite = self.suite
        if not 0 < self.spi < 2**32:
            raise ValueError(f"SPI {self.spi} is not in 1..2^32-1")
        if not 0 <= self.esn_high <= MAX_SEQUENCE:
            raise ValueError(f"upper half of a number {self.esn_high} is not in 0..2^32-1")
        if len(self.encryption_key) - suite.salt_length not in suite.key_lengths:
            wanted = ", ".join(str(n + suite.salt_length) for n in sorted(suite.key_lengths))
            raise ValueError(
                f"{suite.name}: encryption key of {len(self.encryption_key)} octets, not {wanted}"
            )
        if self.integrity_key is None:
            return
        if not suite.integrity_key_length:
            raise ValueError(f"{suite.name} has no integrity key")
        if len(self.integrity_key) != suite.integrity_key_length:
            raise ValueError(
                f"{suite.name}: integrity key of {len(self.integrity_key)} octets, "
                f"not {suite.integrity_key_length}"
            )

    @property
    def verifiable(self) -> bool:
        """Whether the keys suffice to compute the ICV."""
        has_key = self.integrity_key is not None or not self.suite.integrity_key_length
        return has_key and self.suite.verifiable


class Opened(NamedTuple):
    """What an ESP packet carried. A named tuple costs half of what a frozen dataclass does."""

    payload: bytes
    next_header: int
    sequence: int
    """64 bits with ESN."""
    verified: bool
    """False: decrypted without an integrity key, so anybody may have written it."""


class InboundSa:
    """The receiving end of an SA: opens packets and keeps their replay window."""

    __slots__ = (
        "_block_length",
        "_body",
        "_esn",
        "_overhead",
        "_protection",
        "_spi",
        "_verified",
        "parameters",
        "replay",
    )

    def __init__(self, parameters: SaParameters, *, window: int = 1024, ceiling: int = 0) -> None:
        """`window`: width in packets, 0 for no replay check. `ceiling`: highest number that is
        refused from the start. Raises ValueError as `ReplayWindow` does.
        """
        suite = parameters.suite
        self.parameters = parameters
        self.replay = ReplayWindow(window, ceiling)
        self._protection = suite.protection(parameters.encryption_key, parameters.integrity_key)
        self._spi = parameters.spi
        self._esn = parameters.esn
        self._verified = parameters.verifiable
        self._block_length = suite.block_length
        self._body = _HEADER.size + suite.iv_length
        self._overhead = self._body + suite.icv_length

    def open(self, packet: bytes) -> Opened:
        """Verify and decrypt an ESP packet, from its SPI on. Only Drop escapes, for any octets.

        Drop reasons: ESP_TOO_SHORT, ESP_UNALIGNED, UNKNOWN_SPI (a packet of another SA),
        SEQUENCE_ZERO, TOO_OLD, REPLAYED, BAD_ICV, BAD_PADDING. A dropped packet leaves the replay
        window as it was, and so does an unverified one: nothing vouches for its number.
        Ciphertext must be whole cipher blocks; the alignment to 4 octets (RFC 4303 section 2.4) is
        kept by `seal` but not demanded of a peer.
        """
        replay, body = self.replay, self._body
        encrypted = len(packet) - self._overhead
        if encrypted < 2:
            raise Drop(DropReason.ESP_TOO_SHORT, f"{len(packet)} octets")
        if encrypted % self._block_length:
            raise Drop(DropReason.ESP_UNALIGNED, f"{encrypted} octets")
        spi, sequence = _HEADER.unpack_from(packet)
        if spi != self._spi:
            raise Drop(DropReason.UNKNOWN_SPI, f"0x{spi:08x}")
        high = b""
        if self._esn:
            sequence = replay.infer(sequence)
            high = (sequence >> 32).to_bytes(4)
        replay.check(sequence)
        plaintext = self._protection.decrypt(packet[:8], high, packet[8:body], packet[body:])
        pad_length, next_header = plaintext[-2], plaintext[-1]
        end = len(plaintext) - 2 - pad_length
        if end < 0 or not plaintext.startswith(_PADDING[pad_length], end):
            raise Drop(DropReason.BAD_PADDING)
        if self._verified:
            replay.update(sequence)
        return _new_tuple(Opened, (plaintext[:end], next_header, sequence, self._verified))


class OutboundSa:
    """The sending end of an SA: gives every packet the next sequence number, each only once."""

    __slots__ = (
        "_alignment",
        "_esn",
        "_iv_length",
        "_last_sequence",
        "_overhead",
        "_protection",
        "_random_bytes",
        "_random_iv",
        "_spi",
        "next_sequence",
        "parameters",
    )

    def __init__(
        self,
        parameters: SaParameters,
        *,
        random_bytes: Callable[[int], bytes],
        first_sequence: int = 1,
        last_sequence: int | None = None,
    ) -> None:
        """Seal with the numbers `first_sequence` to `last_sequence` (None: the largest of the SA).

        `random_bytes` has the shape and strength of os.urandom. The numbers must never have been
        used with these keys before. Raises ValueError for numbers that the SA cannot have, or if
        the integrity key is missing.
        """
        limit = MAX_EXTENDED_SEQUENCE if parameters.esn else MAX_SEQUENCE
        if last_sequence is None:
            last_sequence = limit
        if first_sequence < 1 or last_sequence > limit:
            raise ValueError(
                f"sequence numbers {first_sequence}..{last_sequence} are not in 1..{limit}"
            )
        if not parameters.verifiable:
            raise ValueError(f"{parameters.suite.name}: no integrity key to seal with")
        suite = parameters.suite
        self.parameters = parameters
        self._protection = suite.protection(parameters.encryption_key, parameters.integrity_key)
        self._random_bytes = random_bytes
        self._random_iv = not suite.counter_iv
        self._spi, self._esn, self._iv_length = parameters.spi, parameters.esn, suite.iv_length
        self._overhead = _HEADER.size + suite.iv_length + suite.icv_length
        self.next_sequence = first_sequence
        """The number of the next packet; one above the last number when exhausted."""
        self._last_sequence = last_sequence
        # Padding also right-aligns the last two octets in a word of 4 (RFC 4303 section 2.4).
        self._alignment = max(suite.block_length, 4)

    def seal(self, payload: bytes, next_header: int) -> bytes:
        """Make the next ESP packet. `next_header`: IP protocol number of the payload, 0..255.

        Raises Drop(SEQUENCE_EXHAUSTED) rather than let the number wrap.
        """
        sequence = self.next_sequence
        if sequence > self._last_sequence:
            raise Drop(DropReason.SEQUENCE_EXHAUSTED, f"last was {self._last_sequence}")
        pad_length = -(len(payload) + 2) % self._alignment
        plaintext = b"".join((payload, _PADDING[pad_length], bytes((pad_length, next_header))))
        # The number is spent before the cipher sees it: no failure can use it for two packets.
        self.next_sequence = sequence + 1
        header = _HEADER.pack(self._spi, sequence & MAX_SEQUENCE)
        high = (sequence >> 32).to_bytes(4) if self._esn else b""
        length = self._iv_length
        iv = self._random_bytes(length) if self._random_iv else sequence.to_bytes(length)
        return header + iv + self._protection.encrypt(header, high, iv, plaintext)

    def skip(self, count: int) -> bool:
        """Leave out the next `count` numbers; False, and none is, if the last one would be."""
        if self.next_sequence + count > self._last_sequence:
            return False
        self.next_sequence += count
        return True

    def sealed_length(self, payload_length: int) -> int:
        """Octets of the ESP packet that a payload of so many octets becomes."""
        length = payload_length + 2
        return self._overhead + length + -length % self._alignment
