"""The handover on other kinds of links, and what carries its pings."""

import pytest
from stories import count, told

from scapy_mobsec.drivers.simulation import BEHIND_NAT, INNER_HOST, SIGNALLING
from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.packet.ip import UDP, parse_ip, parse_udp
from scapy_mobsec.terminal.events import AhTranslated, PacketDropped, Registered


def test_ah_until_a_translator_comes_and_again_behind_it():
    result, mobile, other = told("ah")
    paths = [str(event.path) for event in mobile if isinstance(event, Registered)]
    assert paths == [
        "ah 198.51.100.2 > 203.0.113.2",
        "udp 10.0.0.2:4500 > 203.0.113.2:4500",
        "ah 198.51.100.2 > 203.0.113.2",
    ]
    assert count(mobile, AhTranslated) == 1
    assert {each.reason for each in other if isinstance(each, PacketDropped)} == {
        DropReason.BAD_ICV
    }
    assert any(line == "0 ms  ah 198.51.100.2 > 203.0.113.2  ping 0" for line in result.ladder)


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
