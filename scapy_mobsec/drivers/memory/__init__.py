"""The simulated internet: terminals on a network in memory, in virtual time.

`MemoryNetwork` has the clock and the segment in the middle; a `Segment` is reached through a chain
of elements (`links`, `nat`, `firewall`, `tap`, ...); a `Host` runs a terminal.
"""

from scapy_mobsec.drivers.memory.attacker import Attacker
from scapy_mobsec.drivers.memory.chart import chart, explained
from scapy_mobsec.drivers.memory.drawing import draw
from scapy_mobsec.drivers.memory.firewall import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_NATIVE_OUT,
    NO_UDP,
    ONLY_TCP_443,
    Block,
    Firewall,
)
from scapy_mobsec.drivers.memory.host import Host, MobileHost
from scapy_mobsec.drivers.memory.http_relay import Rewriting, Upgrade
from scapy_mobsec.drivers.memory.links import Delay, Duplication, Loss, Mtu, Reordering
from scapy_mobsec.drivers.memory.nat import (
    Dependence,
    Napt,
    Nat64,
    Ports,
    nat64_address,
    port_forwarding,
    random_ports,
)
from scapy_mobsec.drivers.memory.network import (
    EPOCH,
    SECOND,
    Direction,
    Element,
    MemoryNetwork,
    Segment,
)
from scapy_mobsec.drivers.memory.packet import Packet
from scapy_mobsec.drivers.memory.proxies import ForwardProxy, Interceptor, ReverseProxy
from scapy_mobsec.drivers.memory.tap import Tap

__all__ = [
    "EPOCH",
    "NO_NATIVE",
    "NO_NATIVE_IN",
    "NO_NATIVE_OUT",
    "NO_UDP",
    "ONLY_TCP_443",
    "SECOND",
    "Attacker",
    "Block",
    "Delay",
    "Dependence",
    "Direction",
    "Duplication",
    "Element",
    "Firewall",
    "ForwardProxy",
    "Host",
    "Interceptor",
    "Loss",
    "MemoryNetwork",
    "MobileHost",
    "Mtu",
    "Napt",
    "Nat64",
    "Packet",
    "Ports",
    "Reordering",
    "ReverseProxy",
    "Rewriting",
    "Segment",
    "Tap",
    "Upgrade",
    "chart",
    "draw",
    "explained",
    "nat64_address",
    "port_forwarding",
    "random_ports",
]
