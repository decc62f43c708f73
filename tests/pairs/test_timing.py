"""How long data waits at a handover: exact in virtual time, and as docs/evidence/timing.md says."""

import pytest
from generated import read_part
from timing import ROUND_TRIPS, WAYS, measure, table

from scapy_mobsec.drivers.memory import SECOND

HANDSHAKES = {
    "native": 0,
    "udp": 0,
    "tcp": 1,
    "tls": 2,
    "tls, spare stream": 0,
    "http": 2,
    "http in TLS": 3,
    "http-post": 1,
    "http-post in TLS": 2,
}


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize("way", WAYS)
def test_first_data_after_the_move(way, round_trip):
    """Half a round trip to the server, one to the client, and the handshakes of the stream.

    Data of Y has to wait for another POST than that with the RREQ.
    """
    one = round_trip * SECOND
    handover = measure(way, round_trip)
    assert handover.to_server == (0.5 + HANDSHAKES[way]) * one
    next_post = way.startswith("http-post")
    assert handover.to_client == (1 + HANDSHAKES[way] + next_post) * one
    assert handover.octets >= 1280


def test_the_document_says_what_is_measured():
    assert read_part("evidence/timing.md", "handovers") == table()
