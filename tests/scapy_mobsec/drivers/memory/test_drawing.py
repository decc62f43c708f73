from wires import CLIENT, SERVER

from scapy_mobsec.drivers.memory import Delay, Firewall, MemoryNetwork, Napt, Tap, draw
from scapy_mobsec.drivers.simulation import BEHIND_NAT, UNTRANSLATED, build_topology


def test_a_network_is_drawn_as_it_is_built():
    network = MemoryNetwork()
    network.core.attach(SERVER.address, print, "Y")
    home = network.core.segment([Napt("192.0.2.1")], ["192.0.2.1"], "home")
    inner = home.segment([Delay(0.002, 0.001), Firewall(inbound=False)], ["10.0.0.2"])
    inner.attach(CLIENT.address, print, "X")
    home.segment([Tap("empty")], [])
    assert draw(network).splitlines() == [
        "internet",
        "├─ Y 203.0.113.2",
        "└─ home ── NAT 192.0.2.1",
        "   ├─ firewall (nothing unasked) ── 2 ms +0..1 ms ── X 10.0.0.2",
        "   └─ tap empty",
    ]


def test_who_was_where_and_when():
    topology = build_topology()
    topology.network.run_for(1)
    topology.move(UNTRANSLATED)
    topology.network.run_for(0.5)
    topology.move(BEHIND_NAT)
    text = draw(topology.network)
    assert "X 198.51.100.2 (from 1 s until 1.5 s)" in text
    assert "NAT 192.0.2.1 ── 25 ms ── tap mobile ── X 10.0.0.2 (from 1.5 s)" in text


def test_all_stays_at_a_place_are_drawn_until_they_are_too_many():
    topology = build_topology()
    for _ in range(3):
        topology.move(UNTRANSLATED)
        topology.network.run_for(1)
        topology.move(BEHIND_NAT)
        topology.network.run_for(1)
    assert "X 198.51.100.2 (until 1 s, from 2 s until 3 s, from 4 s until 5 s)" in draw(
        topology.network
    )
    topology.move(UNTRANSLATED)
    assert "(until 1 s, from 2 s until 3 s, 1 more, from 6 s)" in draw(topology.network)
