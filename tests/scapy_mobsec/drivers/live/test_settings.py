"""Files of terminals: what is read, and that each fault is told in one line without its value."""

import tomllib
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scapy_mobsec.drivers.live.carrier_texts import Target, parse_carriers
from scapy_mobsec.drivers.live.settings import (
    MAX_SIZE,
    Fault,
    GatewaySettings,
    MobileSettings,
    SettingsError,
    load_gateway,
    load_mobile,
    load_terminal,
)
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration

LINK = """
home = "10.10.1.1"
signalling = "10.10.0.1"
keys = "keys.toml"
inbound = "0x00001001"
outbound = "0x00001002"
"""
MOBILE = f"""
gateway = "203.0.113.2:4500"
state = "mobile.state"
[link]{LINK}
"""
GATEWAY = f"""
listen = ["udp:0.0.0.0:4500", "native"]
state = "gateway.state"
[[link]]{LINK}
"""
FULL_MOBILE = f"""
gateway = "vpn.example.net"
gateway_addresses = ["2001:db8::2"]
allow = ["udp:4500", "tcp:443", "https", "native"]
start = ["udp", "https"]
stagger = 0
decider = "mobile"
forced = true
keepalive = 15.5
lifetime = 600
nat64_prefix = "64:ff9b::/96"
spare = true
tls_verify = "{"ab" * 32}"
proxy = "http://192.0.2.8:3128"
local = ["198.51.100.2", "2001:db8:1::2"]
port = 0
state = "/var/lib/mobsec/mobile.state"
control = "mobile.sock"
tls_key_log = "tls.keys"
user = "nobody"
[tun]
name = "tun7"
address = "10.10.1.1/24"
mtu = 1280
routes = ["10.10.0.0/16"]
[link]{LINK}
ah_inbound = ["0x00002001"]
ah_outbound = "0x00002002"
mode = "l2tp"
[link.l2tp]
tunnel = 1
session = 2
mobile_tunnel = 3
mobile_session = 4
[link.foreign]
mobile = "192.168.1.2"
gateway = "203.0.113.2"
zero_udp = true
"""


@pytest.fixture
def load(tmp_path):
    def load(text, read=load_mobile):
        file = tmp_path / "mobsec.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(file)

    return load


def refusal(load, text, read=load_mobile):
    with pytest.raises(SettingsError) as raised:
        load(text, read)
    folder, _, rest = str(raised.value).partition("mobsec.toml: ")
    assert folder
    assert "\n" not in rest
    return rest


def test_a_short_file_has_the_defaults_of_terminals(load, tmp_path):
    mobile = load(MOBILE)
    default = MobileConfiguration.__dataclass_fields__
    assert mobile.gateway == Target("203.0.113.2", 4500)
    for name in ("allow", "start", "stagger", "decider", "forced", "keepalive", "lifetime"):
        assert getattr(mobile, name) == default[name].default
    for name in ("nat64_prefix", "spare", "tls_verify", "proxy"):
        assert getattr(mobile, name) == default[name].default
    assert mobile.link.inbound == (0x1001,)
    assert mobile.link.keys == tmp_path / "keys.toml"
    assert mobile.state == tmp_path / "mobile.state"
    assert mobile.file == tmp_path / "mobsec.toml"

    gateway = load(GATEWAY, load_gateway)
    default = OtherConfiguration.__dataclass_fields__
    for name in ("max_lifetime", "max_sas", "max_streams", "decider", "forced", "names"):
        assert getattr(gateway, name) == default[name].default
    assert [each.endpoint for each in gateway.listen] == [Endpoint.of("0.0.0.0", 4500), None]
    assert [each.home for each in gateway.links] == [ip_address("10.10.1.1")]


def test_a_full_file(load, tmp_path):
    mobile = load(FULL_MOBILE)
    assert mobile.gateway == Target("vpn.example.net", 4500)
    assert mobile.allow == parse_carriers(["udp:4500", "tcp:443", "https", "native"])
    assert mobile.start == (Encapsulation.UDP, Encapsulation.HTTP)
    assert mobile.decider is Decider.MOBILE
    assert mobile.tls_verify == b"\xab" * 32
    assert mobile.nat64_prefix == ip_address("64:ff9b::").packed[:12]
    assert mobile.proxy == Target("192.0.2.8", 3128)
    assert mobile.tls_key_log == tmp_path / "tls.keys"
    assert mobile.local == (ip_address("198.51.100.2"), ip_address("2001:db8:1::2"))
    assert mobile.state == Path("/var/lib/mobsec/mobile.state")
    assert str(mobile.tun.address[0]) == "10.10.1.1/24"
    assert mobile.link.l2tp.mobile_session == 4
    assert mobile.link.foreign.zero_udp is True
    document = tomllib.loads(FULL_MOBILE)
    assert type(mobile).model_fields.keys() == document.keys()
    assert type(mobile.link).model_fields.keys() == document["link"].keys()


def test_local_auto_is_no_address(load):
    assert load('local = "auto"\n' + MOBILE).local == ()
    assert load('local = "192.0.2.1"\n' + MOBILE).local == (ip_address("192.0.2.1"),)


FAULTS_OF_MOBILE = [
    ("gateway = 4500\n", "line "),
    ("lifetime = true\n", "lifetime: not a whole number"),
    ("spare = 1\n", "spare: neither true nor false"),
    ("stagger = '1'\n", "stagger: not a number"),
    ("forbidden = 1\n", "forbidden: no key that is known here"),
    ('"a b" = 1\n', "?: no key that is known here"),
    ("port = 65536\n", "port: should be less than or equal to 65535"),
    ("allow = ['udp', 'ftp:21']\n", "allow[1]: its name is none of native, udp"),
    ("allow = 1\n", "allow: not a list"),
    ("allow = []\n", "allow: empty"),
    ("tun = 1\n", "tun: not a table"),
    ("tun.mtu = 100\n", "tun.mtu: should be greater than or equal to 576"),
    ("tun.name = 'a b'\n", "tun.name: String should match pattern"),
    ("tun.routes = ['10.0.0.0/8', '1']\n", "tun.routes[1]: not a network, as 10.10.0.0/16"),
    ("proxy = 'http://u:secret@h:1'\n", "proxy: a proxy that wants a password is not supported"),
    ("tls_verify = 'secret'\n", "tls_verify: not a SHA-256 in 64 hexadecimal digits"),
    ("decider = 'secret'\n", "decider: not one of gateway, mobile, fixed"),
    ("user = ''\n", "user: String should match pattern"),
    ("control = 7\n", "control: not the name of a file"),
]


@pytest.mark.parametrize(("line", "reason"), FAULTS_OF_MOBILE)
def test_a_fault_is_told_with_its_key(load, line, reason):
    told = refusal(load, line + MOBILE)
    assert told.startswith(reason)
    assert "secret" not in told


FAULTS_OF_LINKS = [
    ("", 'home = "10.10.1.1"', "link[1].home: is not there"),
    ('home = "secret"', 'home = "10.10.1.1"', "link[1].home: not an IPv4 or IPv6 address"),
    ('outbound = "0x1234****"', 'outbound = "0x00001002"', "link[1].outbound: not an SPI"),
    ("inbound = [1]", 'inbound = "0x00001001"', "link[1].inbound[0]: not a text"),
    ('inbuond = "1"', 'inbound = "0x00001001"', "link[1].inbuond: no key that is known here"),
    ("", 'keys = "keys.toml"', "link[1].keys: is not there"),
    ('mode = "secret"', 'outbound = "0x00001002"', "link[1].mode: should be 'tunnel', "),
]


@pytest.mark.parametrize(("new", "old", "reason"), FAULTS_OF_LINKS)
def test_a_fault_of_a_link_is_told_with_its_index(load, new, old, reason):
    told = refusal(load, GATEWAY + "[[link]]" + LINK.replace(old, new), load_gateway)
    assert told.startswith(reason)
    assert "secret" not in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("state = 'a'\n", "listen: is not there"),
        ("listen = []\nlink = []\nstate = 'a'\n", "listen: empty"),
        ("listen = 'native'\nlink = []\nstate = 'a'\n", "link: empty"),
        ("listen = 'native'\nlinks = []\nstate = 'a'\n", "links: no key that is known here"),
    ],
)
def test_a_gateway_listens_and_has_a_link(load, text, reason):
    assert refusal(load, text, load_gateway).startswith(reason)


def test_what_is_no_toml_is_told_by_its_line(load):
    assert refusal(load, "\nstate = secret\n") == "line 2: not TOML"
    assert refusal(load, b"\xff\n") == "not TOML"
    assert refusal(load, "a = " + "[" * 5000) == "not TOML"


def test_a_file_that_cannot_be_read_is_told(load, tmp_path):
    with pytest.raises(SettingsError, match=r"/none\.toml: No such file or directory$"):
        load_mobile(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=r": Is a directory$"):
        load_gateway(tmp_path)
    with open(tmp_path / "mobsec.toml", "wb") as stream:
        stream.truncate(MAX_SIZE + 1)
    with pytest.raises(SettingsError, match=f": longer than {MAX_SIZE} octets$"):
        load_mobile(tmp_path / "mobsec.toml")


def test_what_terminals_refuse_is_told_of_the_file(load, tmp_path):
    mobile = load(MOBILE)
    file = str(tmp_path / "mobsec.toml")
    for error, told in [
        (ValueError("lifetime is not a number"), f"{file}: lifetime: is not a number"),
        (ValueError("no room"), f"{file}: no room"),
        (Fault("link.keys", "is empty"), f"{file}: link.keys: is empty"),
        (SettingsError("a: b"), "a: b"),
    ]:
        assert str(mobile.error(error)) == told


LINES = [*FULL_MOBILE.splitlines(), *GATEWAY.splitlines()]
VALUES = st.recursive(
    st.sampled_from(["true", "0", "-1", "1.5", "nan", "inf", '""', '"udp"', '"::1"', "1979-05-27"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda some: f"[{', '.join(some)}]")
        | inner.map(lambda one: f"{{a = {one}}}")
    ),
    max_leaves=3,
)


@settings(max_examples=150)
@given(st.data())
def test_any_damaged_file_is_read_or_a_settings_error(tmp_path_factory, data):
    lines = data.draw(st.sampled_from([FULL_MOBILE, GATEWAY])).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.integers(0, 3))
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, data.draw(st.sampled_from(LINES)))
        elif kind == 2:
            lines[at] = f"{lines[at].partition('=')[0] or 'a'} = {data.draw(VALUES)}"
        else:
            lines[at] = lines[at][: data.draw(st.integers(0, 40))]
        lines = lines or [""]
    file = tmp_path_factory.getbasetemp() / "damaged.toml"
    file.write_text("\n".join(lines))
    for read in (load_mobile, load_gateway):
        told = f"{file}: "
        try:
            read(file)
        except SettingsError as error:
            told = str(error)
        assert told.startswith(f"{file}: ")
        assert "\n" not in told


def test_a_file_of_either(load):
    assert isinstance(load(MOBILE, load_terminal), MobileSettings)
    assert isinstance(load(GATEWAY, load_terminal), GatewaySettings)
    assert refusal(load, "listen = 7", load_terminal).startswith("state: ")


def test_where_the_control_socket_is(load, tmp_path):
    assert load(MOBILE).control_file == tmp_path / "mobile.control"
    assert load(f'control = "c/x"{MOBILE}').control_file == tmp_path / "c/x"


@given(octets=st.binary(max_size=60))
def test_any_octets_are_read_or_a_settings_error(tmp_path_factory, octets):
    file = tmp_path_factory.getbasetemp() / "octets.toml"
    file.write_bytes(octets)
    with pytest.raises(SettingsError):
        load_mobile(file)
