"""SA bundle, the length of padded messages, and which SA a path takes."""

from dataclasses import replace

import pytest
from terminals import (
    AH_LINKS,
    AH_ONLY_LINKS,
    AH_TO_OTHER,
    CBC_SAS,
    MOBILE_LINK,
    NEW,
    OTHER,
    PING,
    TO_OTHER,
    path_at_mobile,
)

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import InboundAh
from scapy_mobsec.packet.ip import addresses
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.link import Link, PathState


def a_link(parameters):
    return Link(parameters, at_mobile=True, random_bytes=bytes)


@pytest.mark.parametrize(
    ("parameters", "step"),
    [(MOBILE_LINK, 4), (replace(MOBILE_LINK, inbound=CBC_SAS[:1], outbound=CBC_SAS[1]), 16)],
    ids=["gcm", "cbc"],
)
@pytest.mark.parametrize("wanted", [0, 1, 100, 500, 1200, 1201, 1202, 1203, 1216])
def test_the_length_of_a_message_that_fills_an_esp_packet(parameters, step, wanted):
    link = a_link(parameters)
    length = link.message_length(wanted)
    sealed = len(link.seal_message(bytes(length)))
    assert wanted <= sealed
    assert not length or sealed < wanted + step


def test_current_path():
    link = a_link(MOBILE_LINK)
    assert link.path is None
    link.current = PathState(path_at_mobile(NEW))
    assert link.path == path_at_mobile(NEW)


def test_data_and_messages_share_the_sequence_numbers():
    link = a_link(MOBILE_LINK)
    packets = [link.seal_data(PING), link.seal_message(b"x"), link.seal_data(PING)]
    assert [packet[4:8] for packet in packets] == [bytes((0, 0, 0, n)) for n in (1, 2, 3)]
    assert link.outbound_spi() == int.from_bytes(packets[0][:4], "big")


AH_PATHS = [
    Path(Encapsulation.NATIVE, Endpoint(NEW.address), Endpoint(OTHER.address), ah=True),
    Path(Encapsulation.NATIVE, Endpoint(bytes(16)), Endpoint(bytes(range(16))), ah=True),
]


@pytest.mark.parametrize("path", AH_PATHS, ids=["IPv4", "IPv6"])
def test_a_path_of_ah_takes_whole_packets_with_its_addresses(path):
    link = a_link(AH_LINKS[0])
    packet = link.seal_data(PING, path)
    assert addresses(packet) == (path.local.address, path.remote.address)
    assert InboundAh(AH_TO_OTHER).open(packet).payload == PING
    assert link.data_length(PING, path) == len(packet)
    length = link.message_length(1200, path)
    assert len(link.seal_message(bytes(length), path)) == 1200
    assert link.outbound.next_sequence == 1


def test_each_path_has_its_sa_or_none():
    both = a_link(replace(AH_LINKS[0], ah=replace(AH_LINKS[0].ah, outbound=an_ah_sa(0x9999))))
    assert both.outbound_spi(AH_PATHS[0]) == 0x9999
    assert both.outbound_spi(path_at_mobile(NEW)) == both.outbound_spi() == TO_OTHER.spi
    for parameters, path in (
        (MOBILE_LINK, AH_PATHS[0]),
        (AH_ONLY_LINKS[0], path_at_mobile(NEW)),
        (AH_ONLY_LINKS[0], None),
    ):
        with pytest.raises(Drop) as caught:
            a_link(parameters).seal_data(PING, path)
        assert caught.value.reason is DropReason.NO_PATH


def an_ah_sa(spi):
    return replace(AH_TO_OTHER, spi=spi)


@pytest.mark.parametrize("path", AH_PATHS, ids=["IPv4", "IPv6"])
def test_what_does_not_fit_into_an_ip_packet_takes_no_number(path):
    link = a_link(AH_LINKS[0])
    with pytest.raises(Drop) as caught:
        link.seal(bytes(65_500), 4, path)
    assert caught.value.reason is DropReason.MESSAGE_TOO_LONG
    assert link.outbound_ah.next_sequence == 1
