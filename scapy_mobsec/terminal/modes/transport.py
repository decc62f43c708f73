"""Transport mode between two fixed home addresses, whatever the addresses outside.

The stacks of both ends and all checksums see the home addresses only. The IP header is stripped on
sending and built anew from the SA on receipt, as BEET mode does (draft-nikander-esp-beet-mode).
What is in the header and not in the SA does not come through: TTL, DSCP, identification.

A packet whose meaning would be lost with its header is refused by name: IPv4 options, IPv6
extension headers, and fragments (RFC 4303 section 3.3.4: transport mode protects whole packets).
A registration is UDP 434 -> 434 between the home addresses.

A foreign peer makes its checksums over its own addresses. For one the difference is put right in
both directions, by RFC 3948 section 3.1.2 (a) or, on receipt of UDP over IPv4, (c).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import (
    ICMPV6,
    IPV4,
    IPV6,
    MAX_LENGTH,
    NO_NEXT_HEADER,
    TCP,
    UDP,
    addresses,
    build_ip,
    internet_checksum,
    parse_ip,
)
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.terminal.signalling import (
    Inner,
    build_signalling,
    is_signalling,
    parse_signalling,
)

_IPV4_HEADER, _IPV6_HEADER = 20, 40
_EXTENSION_HEADERS = frozenset({0, 43, 44, 60})
_NOT_CARRIED = _EXTENSION_HEADERS | {IPV4, IPV6}
"""IP in IP is not carried: the other end of an SA that sends it is in tunnel mode."""

_CHECKSUM_AT: Mapping[int, int] = {TCP: 16, UDP: 6, ICMPV6: 2}
"""Protocols whose checksum covers the addresses, and where it is."""


@dataclass(frozen=True, slots=True)
class ForeignChecksums:
    """The addresses that a foreign peer's checksums cover: X's and Y's, as that peer knows them.

    `zero_udp`: on receipt write no UDP checksum over IPv4 instead of one put right.
    """

    mobile: bytes
    other: bytes
    zero_udp: bool = False


@dataclass(frozen=True, slots=True)
class Transport:
    """Settings of transport mode. `foreign`: how to understand a peer without home addresses."""

    foreign: ForeignChecksums | None = None

    def make(self, home: bytes, other: bytes, *, at_mobile: bool) -> "TransportMode":
        return TransportMode(home, other, at_mobile=at_mobile, foreign=self.foreign)


class TransportMode:
    """Transport mode, seen from one end: inner packets run between both home addresses only."""

    shows_home: ClassVar[bool] = False

    def __init__(
        self,
        home: bytes,
        other: bytes,
        *,
        at_mobile: bool,
        foreign: ForeignChecksums | None = None,
    ) -> None:
        """Raises ValueError where the foreign addresses are of another family."""
        if foreign and not len(foreign.mobile) == len(foreign.other) == len(home):
            raise ValueError("foreign addresses are of another family than the home addresses")
        self._from, self._to = (home, other) if at_mobile else (other, home)
        self._foreign = foreign
        self._header = _IPV4_HEADER if len(home) == 4 else _IPV6_HEADER

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        return build_signalling(self._from, self._to, message), UDP

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        if addresses(packet) != (self._from, self._to):
            pair = " > ".join(map(address_text, addresses(packet)))
            raise Drop(DropReason.OUTSIDE_POLICY, f"{pair} is not between the home addresses")
        payload, protocol = self._strip(packet)
        if protocol == UDP and is_signalling(payload):
            raise Drop(DropReason.OUTSIDE_POLICY, "registration from outside the terminal")
        return self.wrap_payload(payload, protocol)

    def wrap_payload(self, payload: bytes, protocol: int) -> tuple[bytes, int]:
        """Return payload and next header for what has no IP header, its checksum over the home
        addresses.
        """
        foreign = self._foreign
        if foreign:
            old = self._from + self._to
            payload = _recalculated(payload, protocol, old, foreign.mobile + foreign.other)
        return payload, protocol

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        payload, protocol = opened.payload, opened.next_header
        if protocol == NO_NEXT_HEADER:
            return Inner.DUMMY, b""
        if protocol in _NOT_CARRIED:
            raise Drop(DropReason.UNKNOWN_NEXT_HEADER, str(protocol))
        if self._header + len(payload) > MAX_LENGTH:
            raise Drop(DropReason.MALFORMED_IP, f"payload of {len(payload)} octets")
        if protocol == UDP and is_signalling(payload):
            packet = build_ip(self._to, self._from, protocol, payload)
            return Inner.SIGNALLING, parse_signalling(parse_ip(packet))
        foreign = self._foreign
        if foreign and foreign.zero_udp and protocol == UDP and len(self._to) == 4:
            payload = _with_checksum(payload, _CHECKSUM_AT[UDP], 0)
        elif foreign:
            new = self._to + self._from
            payload = _recalculated(payload, protocol, foreign.mobile + foreign.other, new)
        return Inner.DATA, build_ip(self._to, self._from, protocol, payload)

    def _strip(self, packet: bytes) -> tuple[bytes, int]:
        """Return what follows the IP header, and its protocol. Raises Drop."""
        ip = parse_ip(packet)
        if len(ip.source) == 4:
            extended = (packet[0] & 0x0F) * 4 != _IPV4_HEADER
        else:
            extended = packet[6] in _EXTENSION_HEADERS
        if extended or ip.is_fragment or ip.protocol in _NOT_CARRIED:
            kind = "options or extension headers" if extended else f"protocol {ip.protocol}"
            raise Drop(DropReason.NOT_CARRIED, "fragment" if ip.is_fragment else kind)
        if ip.protocol == NO_NEXT_HEADER:
            raise Drop(DropReason.NOT_CARRIED, "no payload")
        return ip.payload, ip.protocol


def _recalculated(payload: bytes, protocol: int, old: bytes, new: bytes) -> bytes:
    """Turn a checksum over the addresses `old` into one over `new` (RFC 1624, equation 3).

    Fragments never come here; what is too short for its checksum stays as it is.
    """
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(payload) < at + 2:
        return payload
    checksum = int.from_bytes(payload[at : at + 2])
    if protocol == UDP and not checksum:
        return payload  # not computed
    # HC' = ~(~HC + ~m + m'); complements sum up like the words themselves.
    complement = (0xFFFF - checksum).to_bytes(2) + bytes(octet ^ 0xFF for octet in old) + new
    checksum = internet_checksum(complement)
    if protocol == UDP and not checksum:
        checksum = 0xFFFF
    return _with_checksum(payload, at, checksum)


def _with_checksum(payload: bytes, at: int, checksum: int) -> bytes:
    if len(payload) < at + 2:
        return payload
    return b"".join((payload[:at], checksum.to_bytes(2), payload[at + 2 :]))
