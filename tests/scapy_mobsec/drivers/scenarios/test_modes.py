"""The handover in the other modes: every ping is answered, whatever carries it."""

import pytest
from stories import told

from scapy_mobsec.drivers.simulation import BEHIND_NAT, INNER_HOST, SIGNALLING
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.packet.ip import UDP, parse_ip, parse_udp


@pytest.mark.parametrize(
    ("name", "peer", "next_headers"),
    [("transport", SIGNALLING, {1, UDP}), ("l2tp", INNER_HOST, {UDP})],
)
def test_what_esp_carries(name, peer, next_headers):
    result, _, _ = told(name)
    assert result.path.local == BEHIND_NAT
    assert len(result.inner_mobile) == result.pings
    assert {parse_ip(packet).source for _, packet in result.inner_mobile} == {peer}
    sa = InboundSa(result.sas[0], window=0)
    payloads = [parse_udp(parse_ip(packet)).payload for _, packet in result.captures["mobile"]]
    to_other = [one for one in payloads if one[:4] == sa.parameters.spi.to_bytes(4)]
    assert {sa.open(packet).next_header for packet in to_other} == next_headers
