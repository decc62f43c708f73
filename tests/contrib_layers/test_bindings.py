"""What install() changes in Scapy, and that nothing else does."""

import pytest

SNAPSHOT = """
import scapy.all
from scapy.config import conf
from scapy.packet import Packet

def snapshot():
    layers = sorted(
        (cls for classes in conf.layers.ldict.values() for cls in classes if cls in stock),
        key=lambda cls: (cls.__module__, cls.__name__),
    )
    return [
        (cls, list(cls.payload_guess), dict(cls._overload_fields), list(cls.fields_desc),
         [list(field.owners) for field in cls.fields_desc if hasattr(field, "owners")])
        for cls in layers
    ] + [list(conf.layers), {name: list(layers) for name, layers in conf.layers.ldict.items()},
         dict(conf.exts.all_specs), list(conf.commands), conf.debug_dissector]

stock = set(conf.layers)
before = snapshot()
import builtins
names = set(vars(builtins))
"""
IMPORT_ALL = """
import contrib_layers
from contrib_layers import RREQ, bindings, descriptions, extensions, numbers, registration
from contrib_layers import shim, streams, tlv, vendor_extensions
"""

CHANGES = """
from scapy.contrib.ikev2 import IKEv2
from scapy.layers.inet import TCP, UDP
from scapy.layers.isakmp import ISAKMP
from scapy.layers.ipsec import ESP, NON_ESP, UDP
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ

def bound(lower, **fields):
    return [upper for guess, upper in lower.payload_guess if guess == fields]

def loaded(cls):
    return cls.__module__ in ("scapy.contrib.ikev2", "scapy.layers.http")

for _ in range(2):
    contrib_layers.install()
    assert bound(MobileIP, type=1) == [contrib_layers.RREQ]
    assert bound(MobileIP, type=3) == [contrib_layers.RREP]
    assert bound(NON_ESP) == [IKEv2]
    assert bound(UDP, dport=500) == bound(UDP, sport=500) == [IKEv2]
    assert bound(UDP, dport=4500) == [ESP]
    assert bound(TCP, dport=4500) == bound(TCP, sport=4500) == [contrib_layers.TCPStream]
    from scapy.layers.http import HTTP, HTTPRequest, HTTPResponse
    assert bound(TCP, dport=80) == bound(TCP, sport=8080) == [HTTP]
    body = {"Content_Type": b"application/octet-stream"}
    assert bound(HTTPRequest, **body) == bound(HTTPResponse, **body) == [contrib_layers.PostBody]
    assert MobileIPRRQ._overload_fields == {MobileIP: {"type": 1}}
    assert "_overload_fields" not in vars(contrib_layers.RREQ)
    ours = [getattr(shim, name) for name in shim.__all__]
    assert conf.layers.ldict["scapy.layers.mobsec"] == ours
    assert [cls for cls in conf.layers if cls not in stock and not loaded(cls)] == ours
    conf.layers.layers()
"""


def test_importing_changes_nothing_global(run_script):
    run_script(
        SNAPSHOT
        + IMPORT_ALL
        + "assert snapshot() == before\nassert set(vars(builtins)) == names\nRREQ(bytes(50))\n"
        + "conf.layers.layers()\nassert snapshot() == before"
    )


def test_install_changes_what_it_says_and_only_once(run_script):
    run_script(SNAPSHOT + IMPORT_ALL + CHANGES)


def test_a_subclass_made_by_a_user_is_listed_as_any_other(run_script):
    run_script(
        "from scapy.config import conf\nfrom contrib_layers import RREQ\n"
        "class Mine(RREQ): pass\nassert conf.layers[-1] is Mine and RREQ not in conf.layers"
    )


STOCK_SCRIPT = """
from scapy.all import IP, UDP, MobileIP, MobileIPRRP, MobileIPRRQ, Raw
{prepare}
crafted = IP(src="10.0.0.2", dst="192.0.2.1") / UDP() / MobileIP() / MobileIPRRQ(
    flags=0x22, lifetime=300, homeaddr="10.9.0.1", haaddr="192.0.2.1", coaddr="10.0.0.2", id=7)
assert crafted[UDP].dport == crafted[UDP].sport == 434 and crafted[MobileIP].type == 1
assert type(crafted[MobileIPRRQ]) is MobileIPRRQ and MobileIPRRP not in crafted
octets = bytes(crafted)
assert octets[28:].hex() == "0122012c0a090001c00002010a0000020000000000000007"
packet = IP(octets)
assert MobileIPRRQ in packet and packet.haslayer(MobileIPRRQ) and bytes(packet) == octets
request = packet[MobileIPRRQ]
assert isinstance(request, MobileIPRRQ) and request.underlayer is packet[MobileIP]
assert (request.flags, request.lifetime, request.id) == (0x22, 300, 7)
assert (packet.homeaddr, packet.haaddr, packet.coaddr) == ("10.9.0.1", "192.0.2.1", "10.0.0.2")
assert packet.sprintf("%MobileIP.type%") == "RRQ"
request.lifetime = 1
assert bytes(packet)[30:32] == b"\\0\\1"

reply = IP(bytes(IP() / UDP() / MobileIP() / MobileIPRRP(code=131, homeaddr="10.9.0.1", id=7)))
assert MobileIPRRP in reply and MobileIPRRQ not in reply
assert (reply[MobileIPRRP].code, reply[MobileIPRRP].id, reply.code) == (131, 7, 131)

tunnel = IP(bytes(IP() / UDP() / MobileIP(type=4) / b"\\4\\0\\0" / IP()))
assert tunnel[MobileIP].payload.name.startswith("Mobile IP Tunnel Data")
assert type(MobileIPRRQ(octets[29:])) is MobileIPRRQ
assert type(IP(octets)[MobileIP].payload).__name__ == "{name}"
"""


@pytest.mark.parametrize(
    ("prepare", "name"),
    [
        ("", "MobileIPRRQ"),
        ("import contrib_layers.bindings", "MobileIPRRQ"),
        ("import contrib_layers; contrib_layers.install()", "RREQ"),
    ],
)
def test_stock_scripts_work(run_script, prepare, name):
    run_script(STOCK_SCRIPT.format(prepare=prepare, name=name))


IKE = """
import sys
IKEv2 = sys.modules["scapy.contrib.ikev2"].IKEv2
ISAKMP = sys.modules["scapy.layers.isakmp"].ISAKMP
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, NAT_KEEPALIVE, NON_ESP
from scapy.packet import Raw
for port in (4500, 500):
    marker = bytes(4) if port == 4500 else b""
    for version, layer in ((0x10, ISAKMP), (0x20, IKEv2)):
        header = b"\\1" * 8 + bytes(8) + bytes([0, version, 34, 8, 0, 0, 0, 0, 0, 0, 0, 28])
        for ports in ({"sport": port, "dport": 9}, {"sport": 9, "dport": port}):
            octets = bytes(IP() / UDP(**ports) / Raw(marker + header))
            packet = IP(octets)
            assert type(packet.lastlayer()) is layer, (port, version, packet)
            assert (NON_ESP in packet) == (port == 4500) and bytes(packet) == octets
    crafted = IP() / UDP() / NON_ESP() / IKEv2(init_SPI=b"a" * 8)
    assert type(IP(bytes(crafted)).lastlayer()) is IKEv2
    crafted = IP() / UDP() / NON_ESP() / ISAKMP(init_cookie=b"a" * 8)
    assert type(IP(bytes(crafted)).lastlayer()) is ISAKMP
for octets, layer in ((b"\\xff", NAT_KEEPALIVE), (b"\\1" * 40, ESP)):
    packet = IP(bytes(IP() / UDP(sport=9, dport=4500) / Raw(octets)))
    assert type(packet[UDP].payload) is layer
"""
INSTALL = "import contrib_layers; contrib_layers.install()"


@pytest.mark.parametrize(
    "order",
    [
        [INSTALL],
        ["import scapy.layers.isakmp", "import scapy.contrib.ikev2", INSTALL],
        ["import scapy.contrib.ikev2", INSTALL, "import scapy.layers.isakmp"],
        ["import scapy.layers.isakmp", INSTALL, "import scapy.contrib.ikev2"],
        [INSTALL, "import scapy.contrib.ikev2", "import scapy.layers.isakmp"],
        [INSTALL, "import scapy.all", "scapy.all.load_layer('isakmp')"],
    ],
    ids=lambda order: " ; ".join(step.split()[-1].rpartition(".")[2] for step in order),
)
def test_ike_is_told_apart_by_its_version_in_every_order(run_script, order):
    run_script("\n".join([*order, IKE]))


STREAMS = """
from scapy.layers.http import HTTP
from scapy.layers.inet import IP, TCP, TCPerror
from scapy.packet import Raw, bind_bottom_up
from contrib_layers import StreamFrames

def seen(octets, **ports):
    return type(IP(bytes(IP() / TCP(**ports) / Raw(octets)))[TCP].payload)

FRAME = bytes([0, 14]) + b"abcdabcdabcd"
assert seen(FRAME, sport=9, dport=4500) is seen(FRAME, sport=4500, dport=9) is StreamFrames
assert seen(b"IKETCP" + FRAME, sport=9, dport=1234) is StreamFrames
assert seen(FRAME, sport=9, dport=1234) is Raw
bind_bottom_up(TCP, HTTP, dport=1234)
assert seen(b"IKETCP" + FRAME, sport=9, dport=1234) is HTTP
assert seen(FRAME, sport=9, dport=80) is HTTP
contrib_layers.install(tcp_ports=[80])
contrib_layers.install()
assert seen(FRAME, sport=9, dport=80) is StreamFrames
assert seen(b"GET / HTTP/1.1\\r\\n\\r\\n", sport=9, dport=80) is HTTP
assert seen(FRAME, sport=9, dport=8080) is HTTP
"""


def test_tcp_by_port_and_by_the_prefix(run_script):
    run_script(INSTALL + STREAMS)
