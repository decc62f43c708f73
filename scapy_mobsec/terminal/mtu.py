"""How long inner packets of X may be (rule 13).

As long as fits on the longest way of each datagram carrier that is allowed: an outer packet of 1500
octets, which a NAT64 may have given an IPv6 header. A stream cuts packets as it likes.
Within an attempt the length only falls: by a notice of the network, or where padded RREQs had no
answer while shorter ones on the same path had. Two must be lost, for one may be for another reason.
A link with AH SAs has room for the longest packet of those, too; their lengths have the IP header.
"""

from collections.abc import Collection, Mapping

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.link import Link

OUTER_MTU = 1500
SMALLEST_OUTER_MTU = 576
"""What every host takes (RFC 791 section 3.1); a notice of less is not believed."""

DEFAULT_INNER_MTU = 1380

_HEADERS: Mapping[Encapsulation, int] = {Encapsulation.NATIVE: 40, Encapsulation.UDP: 48}
"""IPv6, which NAT64 can make of IPv4, and UDP."""

_AH_OVER_IPV6 = Path(Encapsulation.NATIVE, Endpoint(bytes(16)), Endpoint(bytes(16)), ah=True)
"""The longest way of AH."""

_LOST_TO_BE_SURE = 2


class PathMtu:
    """What is known in one attempt."""

    def __init__(self, encapsulations: Collection[Encapsulation]) -> None:
        """`encapsulations`: all that are allowed."""
        headers = (_HEADERS[each] for each in encapsulations if each in _HEADERS)
        self._headers = max(headers, default=None)
        self.outer = OUTER_MTU
        self._longest_answered = 0

    @property
    def esp_room(self) -> int | None:
        """Octets of the longest ESP packet that is not fragmented, None if any length passes."""
        return None if self._headers is None else self.outer - self._headers

    def inner_mtu(self, link: Link) -> int:
        """Return the octets of the longest inner packet of a link, in its mode."""
        length = DEFAULT_INNER_MTU
        while length and not self._fits(link, length):
            length -= 1
        return length

    def _fits(self, link: Link, length: int) -> bool:
        room = self.esp_room
        if link.outbound and room is not None and link.sealed_length(length) > room:
            return False
        return not link.outbound_ah or link.sealed_length(length, _AH_OVER_IPV6) <= self.outer

    def passes(self, length: int) -> bool:
        """Tell whether so long a sealed packet was answered."""
        return length <= self._longest_answered

    def too_big(self, outer_mtu: int) -> None:
        """The network said so."""
        self.outer = min(self.outer, max(outer_mtu, SMALLEST_OUTER_MTU))

    def answered(self, lengths: Mapping[int, int], identification: int) -> bool:
        """Take the answer to one of the RREQs of an exchange, whose packets had `lengths`.

        Return whether longer ones were lost.
        """
        length = lengths.get(identification, 0)
        self._longest_answered = max(self._longest_answered, length)
        longer = [each for each in lengths.values() if each > self._longest_answered]
        return len(longer) >= _LOST_TO_BE_SURE

    def lower(self, *, ah: bool = False) -> None:
        """What is longer than all that was answered does not pass."""
        headers = 0 if ah else self._headers
        if headers is not None:
            self.too_big(self._longest_answered + headers)
