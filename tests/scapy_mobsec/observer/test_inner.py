"""Protected packets in clear: of tunnel mode as they were, of transport mode with a new header."""

import pytest
from frames import (
    GATEWAY,
    HOME,
    INNER_HOST,
    NEW,
    TO_GATEWAY,
    Bench,
    Keys,
    ah,
    gcm,
    request,
    signalling,
)

from scapy_mobsec.observer.inner import inner_packet, is_shown
from scapy_mobsec.packet.ip import IPV6, NO_NEXT_HEADER, build_ip, build_udp, parse_ip

PING = build_ip(HOME, INNER_HOST, 1, b"ping")
PING6 = build_ip(bytes(15) + b"\1", bytes(15) + b"\2", 58, b"ping")


def inner_of(bench, *packets):
    bench.see(*packets)
    return [inner_packet(seen) for seen in bench.packets]


def test_tunnel_mode_as_it_was(bench):
    asking = signalling(request())
    packets = (
        bench.up(),
        bench.up(payload=PING6, next_header=IPV6),
        bench.native(bench.seal(TO_GATEWAY)),
        bench.up(NEW, payload=asking),
    )
    assert inner_of(bench, *packets) == [PING, PING6, PING, asking]


def test_transport_mode_has_the_outer_addresses_and_the_checksum_of_the_endpoints(bench):
    datagram = build_udp(HOME, INNER_HOST, 1701, 1701, b"inner")
    (packet,) = inner_of(bench, bench.up(NEW, payload=datagram, next_header=17))
    ip = parse_ip(packet)
    assert (ip.source, ip.destination, ip.protocol) == (NEW.address, GATEWAY.address, 17)
    assert ip.payload == datagram


def test_what_ah_protected():
    bench = Bench(Keys(ah(0x3003)))
    assert inner_of(bench, bench.by_ah(0x3003)) == [PING]


def test_behind_ah_what_esp_protected():
    bench = Bench(Keys(ah(0x3003), gcm(TO_GATEWAY)))
    packet = bench.by_ah(0x3003, payload=bench.seal(TO_GATEWAY), next_header=50)
    assert inner_of(bench, packet) == [None, PING]


def test_only_what_a_key_opens_and_only_once(bench):
    packet = bench.up()
    broken = packet[:-1] + bytes((packet[-1] ^ 1,))
    others = broken, bench.udp(bench.seal(0x5005)), bench.udp(b"\xff")
    dummy = bench.up(payload=b"x", next_header=NO_NEXT_HEADER)
    assert inner_of(bench, packet, packet, *others, dummy) == [PING, *[None] * 5]


def test_what_counts_is_shown(bench):
    octets, failed = bench.up(), bytearray(bench.up())
    failed[-1] ^= 1
    dummy = bench.up(next_header=NO_NEXT_HEADER, payload=b"x")
    bench.see(octets, octets, bytes(failed), dummy, bench.udp(b"\xff"))
    assert [is_shown(seen) for seen in bench.packets] == [True, False, False, False, False]


def test_no_ip_packet_in_the_tunnel(bench):
    assert inner_of(bench, bench.up(payload=b"no IP")) == [None]


@pytest.mark.parametrize(("length", "is_there"), [(65_515, True), (65_516, False)])
def test_a_payload_of_a_stream_may_be_too_long_for_a_header(bench, length, is_there):
    bench.see(bench.up())
    (seen,) = bench.packets
    opened = seen.opened._replace(payload=bytes(length), next_header=17)
    assert (inner_packet(seen._replace(opened=opened, inner=None)) is not None) is is_there
