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
    "http-post": 2,  # no handshake, but the POST with the RREQ is answered first
    "http-post in TLS": 3,
}


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize("way", WAYS)
def test_first_data_after_the_move(way, round_trip):
    """Half a round trip to the server, one to the client, and the handshakes of the stream."""
    one = round_trip * SECOND
    handover = measure(way, round_trip)
    assert handover.to_server == (0.5 + HANDSHAKES[way]) * one
    assert handover.to_client == (1 + HANDSHAKES[way]) * one
    assert handover.octets >= 1280


def test_the_document_says_what_is_measured():
    assert read_part("evidence/timing.md", "handovers") == table()
