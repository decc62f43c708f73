"""Packet charts: what passed a tap, decrypted, one line a packet."""

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.simulation import HOME, SIGNALLING
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.packet.ip import parse_ip
from scapy_mobsec.registration.messages import RegistrationRequest, parse_message
from scapy_mobsec.terminal.modes.tunnel import TunnelMode
from scapy_mobsec.terminal.signalling import Inner

PINGS = {8: "ping", 0: "pong"}


def chart(packets, sas, start_ns):
    """Lines like `25 ms  192.0.2.1:31337 > 203.0.113.2:4500  RREQ #2`."""
    to_other, to_mobile = (InboundSa(sa, window=0) for sa in sas)
    lines = []
    for time_ns, packet in packets:
        to_y = packet.payload[:4] == to_other.parameters.spi.to_bytes(4, "big")
        opened = (to_other if to_y else to_mobile).open(packet.payload)
        meaning = _meaning(*TunnelMode(HOME, SIGNALLING, at_mobile=not to_y).unwrap(opened))
        milliseconds = (time_ns - start_ns) / 1e6
        lines.append(f"{milliseconds:.0f} ms  {packet.source} > {packet.destination}  {meaning}")
    return lines


def _flags(message):
    return "".join(f" {flag.name}" for flag in AttemptFlag if message.attempt.flags & flag)


def _meaning(inner, octets):
    if inner is Inner.DATA:
        icmp = parse_ip(octets).payload
        return f"{PINGS[icmp[0]]} {icmp[7]}"
    message = parse_message(octets)
    if isinstance(message, RegistrationRequest):
        end = " lifetime 0" if not message.lifetime else ""
        return f"RREQ #{message.attempt.number}{_flags(message)}{end}"
    use = _flags(message)
    found = f" {len(message.translations)} translations" if message.translations else ""
    return f"RREP #{message.attempt.number} code {message.code}{use}{found}"
