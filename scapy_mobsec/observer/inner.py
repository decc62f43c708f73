"""The packet that ESP or AH protected, in clear, as the inner side of a terminal would see it."""

from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.packet.ip import ESP, IPV4, IPV6, addresses, build_ip

_SHOWN = frozenset({PacketType.RREQ, PacketType.RREP, PacketType.DATA})


def is_shown(seen: SeenPacket) -> bool:
    """Whether what a packet protected is shown: it was opened, counts, and is no dummy."""
    return seen.opened is not None and seen.type in _SHOWN


def inner_packet(seen: SeenPacket) -> bytes | None:
    """Return the IP packet that was protected, None where there is none.

    Tunnel mode: its octets. Transport mode: an IP header made anew, with the outer addresses at the
    point of capture and the inner protocol, before the payload as it was: the checksum in that is
    the one that the endpoints computed, with their own addresses (RFC 3948 section 3.1.2).
    None: not opened, a number that the SA had before, a dummy, or no IP packet in the tunnel; ESP
    behind AH, of which the packet is told by itself.
    """
    opened, outer = seen.opened, seen.outer
    if opened is None or opened.next_header == ESP or not is_shown(seen):
        return None
    if opened.next_header in (IPV4, IPV6):
        return opened.payload if seen.inner is not None else None
    try:
        return build_ip(outer.source, outer.destination, opened.next_header, opened.payload)
    except ValueError:  # longer than any packet that an IP header can be put before
        return None


def inner_addresses(opened: Opened) -> tuple[bytes, bytes] | None:
    """Source and destination of the inner packet, None in transport mode. Raises Drop."""
    tunnelled = opened.next_header in (IPV4, IPV6)
    return addresses(opened.payload) if tunnelled else None
