"""A network as text, from what it really is: each line is a way from the middle to the hosts."""

from collections.abc import Iterable, Sequence

from scapy_mobsec.drivers.memory.network import SECOND, MemoryNetwork, Segment
from scapy_mobsec.packet.path import address_text

_DASH = " ── "
_SHOWN_STAYS = 3


def draw(network: MemoryNetwork) -> str:
    """Draw all segments with their elements, and all hosts that were ever there.

    What stands next to the middle comes first on a line, and the hosts last.
    """
    return "\n".join([network.core.name, *_inside(network.core)])


def _inside(segment: Segment) -> Iterable[str]:
    hosts = _hosts(segment)
    blocks = [[host] for host in hosts] + [_block(child) for child in segment.children]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        yield ("└─ " if last else "├─ ") + block[0]
        for line in block[1:]:
            yield ("   " if last else "│  ") + line


def _block(segment: Segment) -> list[str]:
    """Draw a segment: in one line if there is one host in it at most."""
    way = [segment.name, *(element.label() for element in reversed(segment.chain))]
    head = _DASH.join(word for word in way if word)
    hosts = _hosts(segment)
    if segment.children or len(hosts) != 1:
        return [head or "segment", *_inside(segment)]
    return [_DASH.join(word for word in (head, *hosts) if word)]


def _hosts(segment: Segment) -> list[str]:
    return [
        f"{name or 'host'} {address_text(address)}{_when(stays)}"
        for (address, name), stays in segment.guests.items()
    ]


def _when(stays: Sequence[tuple[int, int | None]]) -> str:
    """Tell the stays, of many only the first ones and the last one."""
    words = [word for stay in stays if (word := _stay(*stay))]
    if len(words) > _SHOWN_STAYS:
        hidden = len(words) - _SHOWN_STAYS
        words[_SHOWN_STAYS - 1 : -1] = [f"{hidden} more"]
    return f" ({', '.join(words)})" if words else ""


def _stay(begin: int, end: int | None) -> str:
    words = [f"from {begin / SECOND:g} s"] if begin else []
    if end is not None:
        words.append(f"until {end / SECOND:g} s")
    return " ".join(words)
