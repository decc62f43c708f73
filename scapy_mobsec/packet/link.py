"""From a captured frame to the IP packet in it, by the link type of the capture.

Link types are the LINKTYPE_ numbers of tcpdump.org; each layout is a row of a table here.
"""

from scapy_mobsec.drops import Drop, DropReason

ETHERNET = 1
RAW = 101

_RAW = frozenset({12, 14, RAW, 228, 229})
_BSD_LOOPBACK = frozenset({0, 108})

_ETHERTYPE_AT = {ETHERNET: (12, 14), 113: (14, 16), 276: (0, 20)}
"""Ethernet, Linux cooked v1 and v2: where the EtherType is, where its payload starts."""

_IP = frozenset({0x0800, 0x86DD})
_VLAN = frozenset({0x8100, 0x88A8, 0x9100})
_MAX_VLAN_TAGS = 8
_PPPOE_SESSION = 0x8864

_PPP = frozenset({9, 50})
_PPP_ADDRESS = b"\xff\x03"
"""Address and control of RFC 1662 section 3.1, which may be left out."""
_IP_IN_PPP = frozenset({b"\x00\x21", b"\x00\x57"})
"""Protocols of RFC 1332 and RFC 5072."""

_ADDRESS_FAMILIES = frozenset({2, 10, 24, 28, 30})
"""AF_INET, and the numbers AF_INET6 has on Linux, NetBSD and OpenBSD, FreeBSD, Darwin."""


def ip_of_frame(frame: bytes, link_type: int) -> bytes | None:
    """Return the IP packet of a frame (link padding still behind it), None if it carries none.

    Raises Drop: UNKNOWN_LINK_TYPE (also for more than 8 VLAN tags), TRUNCATED.
    """
    if link_type in _RAW:
        return frame
    if link_type in _BSD_LOOPBACK:
        return _ip_of_loopback(frame)
    if link_type in _PPP:
        return _ip_of_ppp(frame.removeprefix(_PPP_ADDRESS))
    if link_type not in _ETHERTYPE_AT:
        raise Drop(DropReason.UNKNOWN_LINK_TYPE, str(link_type))
    type_at, start = _ETHERTYPE_AT[link_type]
    for _ in range(_MAX_VLAN_TAGS + 1):
        if start > len(frame):
            raise Drop(DropReason.TRUNCATED, "link layer")
        ethertype = frame[type_at] << 8 | frame[type_at + 1]
        if ethertype == _PPPOE_SESSION:
            # RFC 2516 section 4: 6 octets of header, the second of which is 0 in a session
            discovery = frame[start + 1 : start + 2] > b"\0"
            return None if discovery else _ip_of_ppp(frame[start + 6 :])
        if ethertype not in _VLAN:
            return frame[start:] if ethertype in _IP else None
        # IEEE 802.1Q: 2 octets of tag, then the EtherType of what follows
        type_at, start = start + 2, start + 4
    raise Drop(DropReason.UNKNOWN_LINK_TYPE, f"more than {_MAX_VLAN_TAGS} VLAN tags")


def _ip_of_ppp(frame: bytes) -> bytes | None:
    """Take off the protocol number, 2 octets."""
    if len(frame) < 2:
        raise Drop(DropReason.TRUNCATED, "link layer")
    return frame[2:] if frame[:2] in _IP_IN_PPP else None


def _ip_of_loopback(frame: bytes) -> bytes | None:
    """Take off the address family, 4 octets in the byte order of whichever host captured."""
    if len(frame) < 4:
        raise Drop(DropReason.TRUNCATED, "link layer")
    families = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[:4], "little")
    return None if _ADDRESS_FAMILIES.isdisjoint(families) else frame[4:]
