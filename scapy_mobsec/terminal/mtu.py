"""How long inner packets of X may be (rule 13).

As long as fits on the longest way of each datagram carrier that is allowed: an outer packet of 1500
octets, which a NAT64 may have given an IPv6 header. A stream cuts packets as it likes.
Within an attempt the length only falls: by a notice of the network, or where padded RREQs had no
answer while shorter ones on the same path had. Two must be lost, for one may be for another reason.
"""

from collections.abc import Collection, Mapping

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.link import Link

OUTER_MTU = 1500
SMALLEST_OUTER_MTU = 576
"""What every host takes (RFC 791 section 3.1); a notice of less is not believed."""

DEFAULT_INNER_MTU = 1380

_HEADERS: Mapping[Encapsulation, int] = {Encapsulation.NATIVE: 40, Encapsulation.UDP: 48}
"""IPv6, which NAT64 can make of IPv4, and UDP."""

_LOST_TO_BE_SURE = 2


class PathMtu:
    """What is known in one attempt."""

    def __init__(self, encapsulations: Collection[Encapsulation]) -> None:
        """`encapsulations`: all that are allowed."""
        headers = (_HEADERS[each] for each in encapsulations if each in _HEADERS)
        self._headers = max(headers, default=None)
        self._outer = OUTER_MTU
        self._longest_answered = 0

    @property
    def esp_room(self) -> int | None:
        """Octets of the longest ESP packet that is not fragmented, None if any length passes."""
        return None if self._headers is None else self._outer - self._headers

    def inner_mtu(self, link: Link) -> int:
        """Return the octets of the longest inner packet of a link, in its mode."""
        length, room = DEFAULT_INNER_MTU, self.esp_room
        while room is not None and length and link.sealed_length(length) > room:
            length -= 1
        return length

    def passes(self, esp_length: int) -> bool:
        """Tell whether so long an ESP packet was answered."""
        return esp_length <= self._longest_answered

    def too_big(self, outer_mtu: int) -> None:
        """The network said so."""
        self._outer = min(self._outer, max(outer_mtu, SMALLEST_OUTER_MTU))

    def answered(self, lengths: Mapping[int, int], identification: int) -> bool:
        """Take the answer to one of the RREQs of an exchange, whose ESP packets had `lengths`.

        Return whether longer ones were lost.
        """
        length = lengths.get(identification, 0)
        self._longest_answered = max(self._longest_answered, length)
        longer = [each for each in lengths.values() if each > self._longest_answered]
        return len(longer) >= _LOST_TO_BE_SURE

    def lower(self) -> None:
        """What is longer than all that was answered does not pass."""
        if self._headers is not None:
            self.too_big(self._longest_answered + self._headers)
