"""Configurations out of settings, and terminals that go on from a store."""

import re
import socket
from dataclasses import fields

import pytest

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode
from scapy_mobsec.drivers.live import making
from scapy_mobsec.drivers.live.making import (
    gateway_configuration,
    look_up,
    mobile_configuration,
    resume_gateway,
    resume_mobile,
)
from scapy_mobsec.drivers.live.settings import SettingsError, load_gateway, load_mobile
from scapy_mobsec.drivers.store import Store, StoreError
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.events import Registered

NATIVE, UDP, TCP, TLS, HTTP, HTTP_POST = EncapsulationCode
V4, V6 = (Endpoint.of(text).address for text in ("203.0.113.2", "2001:db8::2"))
AT_MOBILE, AT_GATEWAY = Endpoint.of("198.51.100.2", 4500), Endpoint.of("203.0.113.2", 4500)

SA = """
[[esp]]
spi = "0x0000{:04x}"
suite = "aes-gcm-16"
encryption_key = "{}"
"""
LINK = """
home = "10.10.1.{}"
signalling = "10.10.0.1"
keys = "keys.toml"
inbound = "0x0000{:04x}"
outbound = "0x0000{:04x}"
"""


class Files:
    """A mobile terminal's file, and a gateway's for it and another one."""

    def __init__(self, folder):
        self.folder = folder
        keys = folder / "keys.toml"
        spis = (0x1001, 0x1002, 0x2001, 0x2002)
        keys.write_text("".join(SA.format(spi, f"{n:02x}" * 20) for n, spi in enumerate(spis)))
        keys.chmod(0o600)

    def mobile(self, lines="", gateway="203.0.113.2"):
        file = self.folder / "mobile.toml"
        link = f"[link]{LINK.format(1, 0x1002, 0x1001)}"
        file.write_text(f'gateway = "{gateway}"\nstate = "mobile.state"\n{lines}\n{link}')
        return load_mobile(file)

    def gateway(self, lines="", listen='"udp:0.0.0.0:4500"', links=None):
        file = self.folder / "gateway.toml"
        if links is None:
            links = [LINK.format(1, 0x1001, 0x1002), LINK.format(2, 0x2001, 0x2002)]
        text = "".join(f"[[link]]{link}" for link in links)
        file.write_text(f'listen = [{listen}]\nstate = "gateway.state"\n{lines}\n{text}')
        return load_gateway(file)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def refusal(make, *arguments):
    with pytest.raises(SettingsError) as raised:
        make(*arguments)
    return re.search(r"\w+\.toml: .*", str(raised.value))[0]


def unchanged(one, other):
    return {
        each.name for each in fields(one) if getattr(one, each.name) == getattr(other, each.name)
    }


def test_all_that_a_mobile_terminal_can_be_told_has_a_key(files):
    lines = """
gateway_addresses = ["2001:db8::2"]
allow = ["udp:4500", "https", "native"]
start = ["udp", "https"]
stagger = 0.5
decider = "mobile"
forced = true
keepalive = 15
lifetime = 600
nat64_prefix = "64:ff9b::/96"
spare = true
tls_verify = "abababababababababababababababababababababababababababababababab"
proxy = "192.0.2.8:3128"
"""
    made = mobile_configuration(files.mobile(lines))
    assert made.link.inbound[0].spi == 0x1002
    assert made.link.outbound.spi == 0x1001
    assert made.other_terminal == Endpoint.of("203.0.113.2", 4500)
    assert made.other_addresses == (V6,)
    assert made.allow == (
        EncapsulationItem(UDP, port=4500),
        EncapsulationItem(HTTP, ITEM_INSIDE_TLS, 443),
        EncapsulationItem(NATIVE),
    )
    assert made.start == (Encapsulation.UDP, Encapsulation.HTTP)
    assert made.decider is Decider.MOBILE
    assert made.proxy == Endpoint.of("192.0.2.8", 3128)
    default = mobile_configuration(files.mobile())
    assert unchanged(made, default) == {"link", "other_terminal", "last_attempt"}


def test_all_that_a_gateway_can_be_told_has_a_key(files):
    lines = """
supported = ["udp:4500", "https:443"]
keepalive = 9
max_lifetime = 600
max_sas = 100
max_streams = 10
decider = "fixed"
forced = true
addresses = ["2001:db8::2"]
names = ["vpn.example.net"]
alternates = ["203.0.113.3:4500"]
"""
    made = gateway_configuration(files.gateway(lines))
    assert made.supported == (
        EncapsulationItem(UDP, port=4500, keepalive=9),
        EncapsulationItem(HTTP, ITEM_INSIDE_TLS, 443),
    )
    assert [address_text(each.home_address) for each in made.links] == ["10.10.1.1", "10.10.1.2"]
    assert made.alternates == (Endpoint.of("203.0.113.3", 4500),)
    default = gateway_configuration(files.gateway())
    assert unchanged(made, default) == {"links"}


def test_what_a_gateway_listens_for_is_supported_cheapest_first(files):
    listen = '"https:0.0.0.0:443", "http:0.0.0.0:80", "udp:0.0.0.0:4500", "udp:[::]:4500", "native"'
    assert gateway_configuration(files.gateway(listen=listen)).supported == (
        EncapsulationItem(NATIVE),
        EncapsulationItem(UDP, port=4500, keepalive=20),
        EncapsulationItem(HTTP, ITEM_INSIDE_TLS, 443),
        EncapsulationItem(HTTP, port=80),
    )


def test_a_name_of_the_gateway_is_looked_up_and_asked_for(files):
    asked = []

    def resolve(name):
        asked.append(name)
        return V6, V4

    settings = files.mobile('allow = ["udp", "tls", "http:h:80"]', gateway="VPN.example.net:500")
    made = mobile_configuration(settings, resolve)
    assert asked == ["VPN.example.net"]
    assert made.other_terminal == Endpoint(V6, 500)
    assert made.other_addresses == (V4,)
    assert [item.host for item in made.allow] == ["", "vpn.example.net", "h"]


def test_a_name_without_address_is_told(files):
    settings = files.mobile(gateway="vpn.example.net")

    def fail(name):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    told = "mobile.toml: gateway: vpn.example.net: "
    assert refusal(mobile_configuration, settings, fail) == f"{told}Name or service not known"
    assert refusal(mobile_configuration, settings, lambda name: ()) == f"{told}has no address"


def test_the_resolver_of_the_machine(monkeypatch):
    def answers(name, port, **_):
        found = ("192.0.2.1", 0), ("2001:db8::1", 0, 0, 0), ("192.0.2.1", 0)
        return [(0, 0, 0, "", each) for each in found]

    monkeypatch.setattr(making.socket, "getaddrinfo", answers)
    assert [address_text(each) for each in look_up("a")] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://192.0.2.8:3128"}, "192.0.2.8"),
        ({"ALL_PROXY": "http://192.0.2.9:3128"}, "192.0.2.9"),
        ({"https_proxy": "192.0.2.8:3128", "no_proxy": "a, 203.0.113.2"}, None),
        ({"https_proxy": "192.0.2.8:3128", "no_proxy": "*"}, None),
        ({"https_proxy": "192.0.2.8:3128", "no_proxy": "3.2, ,example.net"}, "192.0.2.8"),
    ],
)
def test_the_proxy_of_the_environment(files, monkeypatch, variables, proxy):
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = mobile_configuration(files.mobile('proxy = "environment"'))
    assert made.proxy == (Endpoint.of(proxy, 3128) if proxy else None)


def test_a_proxy_with_a_password_is_refused_without_it(files, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:secret@192.0.2.8:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    assert refusal(mobile_configuration, files.mobile('proxy = "environment"')) == (
        "mobile.toml: proxy: of the environment: a proxy that wants a password is not supported"
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("lifetime = 0", "lifetime: is not a whole number in 1..65535: 0"),
        ("stagger = nan", "stagger: is not a number from 0 to 65535: nan"),
        ('allow = ["http", "https"]', "allow: names an encapsulation twice"),
        ('start = ["tcp"]', "start: names an encapsulation that is not allowed"),
        ('forced = true\nproxy = "h"', "proxy: h: nobody there"),
    ],
)
def test_what_a_mobile_terminal_refuses_is_told_by_its_key(files, lines, reason):
    def resolve(name):
        raise OSError(1, "nobody there")

    told = refusal(mobile_configuration, files.mobile(lines), resolve)
    assert told.startswith(f"mobile.toml: {reason}")


def test_what_a_gateway_refuses_is_told_by_its_key(files):
    told = refusal(gateway_configuration, files.gateway('names = ["VPN"]'))
    assert told.startswith("gateway.toml: names: is not a tuple, each printable ASCII")
    links = [LINK.format(1, 0x1001, 0x1002), LINK.format(1, 0x2001, 0x2002)]
    with Store(files.folder / "gateway.state", create=True) as store:
        told = refusal(resume_gateway, files.gateway(links=links), store)
    assert told == "gateway.toml: link[1]: home address is in use"


class Running:
    """Both terminals, each with its store, and UDP without a network between them."""

    def __init__(self, files, *, create=False):
        mobile, gateway = files.mobile(), files.gateway()
        self.stores = Store(mobile.state, create=create), Store(gateway.state, create=create)
        self.mobile, self.save_mobile = resume_mobile(mobile, self.stores[0])
        self.gateway, self.save_gateway = resume_gateway(gateway, self.stores[1])
        self.sent = []

    def run(self, now):
        while True:
            self.save_mobile()
            self.save_gateway()
            up, down = self.mobile.transmits(now), self.gateway.transmits(now)
            if not up and not down:
                return
            for each in up:
                self.sent.append(each.data)
                self.gateway.receive(each.data, Path(Encapsulation.UDP, *each.path.ends[::-1]), now)
            for each in down:
                self.sent.append(each.data)
                self.mobile.receive(each.data, Path(Encapsulation.UDP, *each.path.ends[::-1]), now)

    def close(self):
        for store in self.stores:
            store.close()


def test_both_go_on_from_their_stores(files):
    home = Endpoint.of("10.10.1.1").address
    first = Running(files, create=True)
    first.mobile.move([AT_MOBILE], 1000.0)
    first.run(1000.0)
    first.close()
    second = Running(files)
    assert second.gateway.state(home) is OtherState.BOUND
    assert second.gateway.path(home) == Path(Encapsulation.UDP, AT_GATEWAY, AT_MOBILE)
    second.mobile.move([AT_MOBILE], 1001.0)
    second.run(1001.0)
    events = iter(second.mobile.next_event, None)
    assert any(isinstance(event, Registered) for event in events)
    assert second.mobile.attempt > first.mobile.attempt
    numbers = [data[:8] for data in first.sent + second.sent]
    assert len(set(numbers)) == len(numbers)
    second.close()


def test_without_state_static_keys_are_refused(files):
    with pytest.raises(StoreError, match="make new keys"):
        Running(files)


def test_state_of_other_sas_is_told(files):
    running = Running(files, create=True)
    running.mobile.move([AT_MOBILE], 1000.0)
    running.run(1000.0)
    running.close()
    mobile, gateway = files.folder / "mobile.toml", files.folder / "gateway.toml"
    for file in (mobile, gateway):
        file.write_text(file.read_text().replace("0x00001001", "0x00002001"))
        file.write_text(file.read_text().replace("0x00001002", "0x00002002"))
    with Store(files.folder / "mobile.state") as store:
        told = refusal(resume_mobile, load_mobile(mobile), store)
    assert told.startswith("mobile.toml: state: ")
    gateway.write_text(gateway.read_text().rpartition("[[link]]")[0])
    with Store(files.folder / "gateway.state") as store:
        told = refusal(resume_gateway, load_gateway(gateway), store)
    assert told.startswith("gateway.toml: link[0]: ")


def test_what_a_full_disk_did_not_take_is_saved_later(files):
    running = Running(files, create=True)
    store = running.stores[1]
    running.mobile.move([AT_MOBILE], 1000.0)
    with pytest.MonkeyPatch.context() as patch:
        saves = []

        def fail(snapshots):
            saves.append(list(snapshots))
            raise StoreError("full")

        running.save_mobile()
        for each in running.mobile.transmits(1000.0):
            running.gateway.receive(
                each.data, Path(Encapsulation.UDP, AT_GATEWAY, AT_MOBILE), 1000.0
            )
        patch.setattr(store, "save_bindings", fail)
        for _ in range(2):
            with pytest.raises(StoreError):
                running.save_gateway()
    assert [len(each) for each in saves] == [1, 1]
    assert store.load_bindings() == []
    running.save_gateway()
    assert len(store.load_bindings()) == 1
    running.close()
