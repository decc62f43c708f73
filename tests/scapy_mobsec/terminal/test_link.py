"""SA bundle and the length of padded messages."""

from dataclasses import replace

import pytest
from terminals import CBC_SAS, MOBILE_LINK, NEW, PING, path_at_mobile

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
    assert link.outbound_spi == int.from_bytes(packets[0][:4], "big")
