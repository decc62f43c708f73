"""How a link stands, as both terminals tell it; the figures are those of what passed."""

from dataclasses import replace

from terminals import (
    AH_LINKS,
    AH_TO_MOBILE,
    AH_TO_OTHER,
    HOME,
    OTHER,
    PING,
    PONG,
    START,
    SUPPORTED,
    TO_MOBILE,
    TO_OTHER,
    TRANSLATED,
    Pair,
    path_at_mobile,
    path_at_other,
)

from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.transitions import MobileState, OtherState
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.status import LinkStatus, SaStatus


def test_before_anything():
    pair = Pair()
    sas = (SaStatus(TO_MOBILE.spi, False, False, 0), SaStatus(TO_OTHER.spi, False, True, 0))
    assert pair.mobile.status() == LinkStatus(HOME, MobileState.DETACHED, 0, None, (), sas, 0)
    sas = tuple(replace(sa, outbound=not sa.outbound) for sa in sas[::-1])
    assert pair.other.status(HOME) == LinkStatus(HOME, OtherState.UNBOUND, None, None, (), sas, 0)
    assert pair.other.home_addresses == (HOME,)


def test_registered_with_data_both_ways():
    pair = Pair()
    pair.register(source=TRANSLATED)
    pair.mobile.send(PING, pair.now)
    data = pair.from_mobile().data
    pair.to_other(data)
    pair.other.send(PONG, pair.now)
    answer = pair.from_other().data
    pair.to_mobile(answer)
    at_mobile, at_other = pair.mobile.status(), pair.other.status(HOME)
    assert at_mobile.state is MobileState.REGISTERED
    assert at_other.state is OtherState.BOUND
    assert at_mobile.attempt == at_other.attempt == 1
    assert at_other.expires == START + 0.025 + 3600
    assert at_other.path == path_at_other(TRANSLATED)
    (path,) = at_other.paths
    assert path.path == at_other.path
    assert path.current
    assert path.validated
    assert (path.received_packets, path.sent_packets) == (1, 1)
    (path,) = at_mobile.paths
    assert path.path == path_at_mobile(pair.mobile.path.local)
    assert (path.received_packets, path.sent_packets) == (1, 1)
    assert at_mobile.sas[1].sequence == at_other.sas[0].sequence == 3  # RREQ, CONFIRM, data


def test_data_that_waits():
    pair = Pair()
    mobile = MobileTerminal(
        MobileConfiguration(
            pair.mobile._configuration.link, OTHER, allow=SUPPORTED, start=(Encapsulation.TCP,)
        ),
        random_bytes=pair.random.randbytes,
    )
    mobile.move([Endpoint.of("198.51.100.2")], START)
    mobile.send(PING, START)
    assert mobile.status().waiting == 1


def test_sas_of_ah():
    pair = Pair()
    mobile = MobileTerminal(
        MobileConfiguration(AH_LINKS[0], OTHER), random_bytes=pair.random.randbytes
    )
    mobile.move([Endpoint.of("198.51.100.2")], START)
    found = {(sa.spi, sa.outbound): sa.sequence for sa in mobile.status().sas if sa.ah}
    assert found == {(AH_TO_MOBILE.spi, False): 0, (AH_TO_OTHER.spi, True): 1}
