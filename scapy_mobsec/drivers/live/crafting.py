"""Registration messages as Scapy packets to edit: of sessions, and RREQs without one."""

import time
from collections.abc import Mapping
from ipaddress import ip_address

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import SecurityAssociation
from scapy.packet import Packet

import contrib_layers
from contrib_layers.tlv import Element
from scapy_mobsec.drivers.packets import ip_packet
from scapy_mobsec.packet.ip import UDP as UDP_PROTOCOL
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.messages import Attempt, RegistrationRequest, build_request
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal.signalling import build_signalling, if_ipv4


def craft_rreq(
    sa: SecurityAssociation,
    home: str,
    signalling: str,
    *,
    attempt: int = 1,
    identification: int | None = None,
    lifetime: int = 3600,
) -> Packet:
    """Return the inner packet of an RREQ, to edit and to seal with `sa.encrypt`, without a session.

    sa: of Scapy, for ESP in tunnel mode: `tunnel_header` and `nat_t_header` (None: native) say
    where it goes, and SENT says the same. home, signalling: the inner addresses. identification:
    None for the present time. Installs the layers. Raises ValueError.

    >>> from scapy.all import ESP, IP, UDP, SecurityAssociation
    >>> from contrib_layers import Sent
    >>> ip, udp = IP(src="10.0.0.2", dst="203.0.113.2"), UDP(sport=4500, dport=4500)
    >>> keys = {"crypt_algo": "AES-GCM", "crypt_key": bytes(20)}
    >>> sa = SecurityAssociation(ESP, 0x1001, tunnel_header=ip, nat_t_header=udp, **keys)
    >>> q = craft_rreq(sa, "10.10.1.1", "10.10.0.1")
    >>> q.summary()
    'IP / UDP / MobileIP / RREQ #1 via udp 10.0.0.2:4500 > 203.0.113.2:4500'
    >>> q[Sent].headers[1].sport = 31337
    >>> sa.encrypt(q).summary()
    'IP / UDP 10.0.0.2:ipsec_nat_t > 203.0.113.2:ipsec_nat_t / ESP'
    """
    outer, udp = sa.tunnel_header, sa.nat_t_header
    if outer is None:
        raise ValueError("sa has no tunnel_header")
    ports = (udp.sport, udp.dport) if udp else (0, 0)
    encapsulation = Encapsulation.UDP if udp else Encapsulation.NATIVE
    local, remote = Endpoint.of(outer.src, ports[0]), Endpoint.of(outer.dst, ports[1])
    inner = ip_address(home).packed, ip_address(signalling).packed
    if identification is None:
        identification = ntp_timestamp(time.time())
    request = RegistrationRequest(
        identification,
        lifetime,
        if_ipv4(inner[0]),
        if_ipv4(remote.address),
        if_ipv4(local.address),
        attempt=Attempt(attempt),
        sent=describe(encapsulation, local, remote, sa.spi),
    )
    return message_packet(*inner, build_request(request))


def message_packet(source: bytes, destination: bytes, message: bytes) -> Packet:
    """Return the inner packet of a registration message, to edit: what follows from the rest,
    lengths and checksums, is not set. Addresses packed. Installs the layers.
    """
    contrib_layers.install()
    packet = ip_packet(inner_message(source, destination, message))
    _forget_lengths(packet)
    return packet


def inner_message(source: bytes, destination: bytes, message: bytes) -> bytes:
    """Return the inner IP packet of a registration message. Addresses packed."""
    udp = build_signalling(source, destination, message)
    return build_ip(source, destination, UDP_PROTOCOL, udp)


_COMPUTED: Mapping[type[Packet], tuple[str, ...]] = {
    IP: ("ihl", "len", "chksum"),
    IPv6: ("plen",),
    UDP: ("len", "chksum"),
}


def _forget_lengths(packet: Packet) -> None:
    layer: Packet = packet
    while layer:
        for name in _COMPUTED.get(type(layer), ()):
            layer.delfieldval(name)
        if isinstance(layer, Element):
            layer.length = None
        for value in tuple(layer.fields.values()):
            for each in value if isinstance(value, list) else ():
                if isinstance(each, Packet):
                    _forget_lengths(each)
        layer = layer.payload
