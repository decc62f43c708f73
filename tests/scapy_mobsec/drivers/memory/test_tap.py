from wires import CLIENT, EXTERNAL, a_packet, two_hosts

from scapy_mobsec.drivers.memory import EPOCH, SECOND, Delay, Napt, Tap
from scapy_mobsec.packet.ip import parse_ip, parse_udp


def test_a_tap_records_whole_packets_where_it_stands():
    inside, outside = Tap("inside"), Tap()
    network, segment, _, _ = two_hosts(inside, Delay(0.5), Napt(EXTERNAL), outside)
    network.run_for(1)
    segment.send(a_packet())
    network.run_for(1)
    start = EPOCH * SECOND + SECOND
    ((time_ns, octets),) = inside.capture()
    assert (time_ns, parse_ip(octets).source) == (start, CLIENT.address)
    ((time_ns, octets),) = outside.capture()
    ip = parse_ip(octets)
    assert (time_ns, ip.source) == (start + SECOND // 2, bytes((192, 0, 2, 1)))
    assert parse_udp(ip, verify=True).payload == b"payload"
    assert (inside.label(), outside.label()) == ("tap inside", "tap")
