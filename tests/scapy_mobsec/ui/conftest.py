import pytest
from frames import NEW, Bench, request, signalling

from scapy_mobsec.esp.sa import InboundSa


@pytest.fixture
def bench():
    """An observer that knows the keys, and both ends' senders."""
    return Bench()


@pytest.fixture
def unverified(bench, monkeypatch):
    """Data, a move with an RREQ, and data again; no integrity key is known."""
    opening = InboundSa.open
    monkeypatch.setattr(
        InboundSa, "open", lambda sa, packet: opening(sa, packet)._replace(verified=False)
    )
    bench.see(bench.up(), bench.up(NEW, payload=signalling(request())), bench.up(NEW))
    return bench
