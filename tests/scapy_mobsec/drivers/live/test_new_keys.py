"""New pairs: both ends start from what was made, and nothing is replaced."""

import stat
from dataclasses import replace
from ipaddress import ip_address

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from scapy_mobsec.drivers.live import new_keys
from scapy_mobsec.drivers.live.carrier_texts import CARRIER_NAMES, parse_carriers, parse_target
from scapy_mobsec.drivers.live.making import (
    gateway_configuration,
    mobile_configuration,
    resume_gateway,
    resume_mobile,
)
from scapy_mobsec.drivers.live.new_keys import (
    MAX_MOBILES,
    NEW_SUITES,
    NewKeysError,
    Wanted,
    make_new_keys,
)
from scapy_mobsec.drivers.live.settings import load_gateway, load_mobile
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.transitions import OtherState

WANTED = Wanted(
    parse_target("203.0.113.2"),
    parse_carriers("udp"),
    ip_address("10.10.1.1"),
    ip_address("10.10.0.1"),
)
ADDRESS = bytes([203, 0, 113, 2])


def both(folder, name="mobile"):
    """Both configurations, as terminals get them."""
    mobile = mobile_configuration(load_mobile(folder / f"{name}.toml"), lambda name: (ADDRESS,))
    return mobile, gateway_configuration(load_gateway(folder / "gateway.toml"))


def check_match(mobile, link):
    here = mobile.link
    assert (here.home_address, here.signalling_address) == (
        link.home_address,
        link.signalling_address,
    )
    assert here.mode == link.mode
    assert (here.outbound,) == link.inbound
    assert here.inbound == (link.outbound,)
    if link.ah or here.ah:
        assert (here.ah.outbound,) == link.ah.inbound
        assert here.ah.inbound == (link.ah.outbound,)


def test_a_pair_registers(tmp_path):
    make_new_keys(tmp_path, WANTED)
    mobile_settings = load_mobile(tmp_path / "mobile.toml")
    gateway_settings = load_gateway(tmp_path / "gateway.toml")
    x, y = Endpoint.of("198.51.100.2", 4500), Endpoint(ADDRESS, 4500)
    with Store(mobile_settings.state) as one, Store(gateway_settings.state) as other:
        mobile, save_mobile = resume_mobile(mobile_settings, one)
        gateway, save_gateway = resume_gateway(gateway_settings, other)
        mobile.move([x], 1000.0)
        for _ in range(4):
            save_mobile()
            for each in mobile.transmits(1000.0):
                gateway.receive(each.data, Path(Encapsulation.UDP, y, x), 1000.0)
            save_gateway()
            for each in gateway.transmits(1000.0):
                mobile.receive(each.data, Path(Encapsulation.UDP, x, y), 1000.0)
    assert gateway.state(WANTED.home.packed) is OtherState.BOUND


@pytest.mark.parametrize("suite", NEW_SUITES)
def test_every_suite(tmp_path, suite):
    make_new_keys(tmp_path, replace(WANTED, suite=suite))
    mobile, gateway = both(tmp_path)
    check_match(mobile, gateway.links[0])
    assert mobile.link.outbound.suite.name == suite
    assert mobile.link.outbound.esn


@pytest.mark.parametrize("mode", ["tunnel", "transport", "l2tp"])
@pytest.mark.parametrize("home", ["10.10.1.1", "fd00::1:1"])
def test_every_mode_and_family_with_ah_and_several_mobile_terminals(tmp_path, mode, home):
    signalling = "fd00::1" if ":" in home else "10.10.0.1"
    wanted = replace(
        WANTED,
        home=ip_address(home),
        signalling=ip_address(signalling),
        mobiles=3,
        mode=mode,
        ah=True,
    )
    made = make_new_keys(tmp_path / "a" / "b", wanted)
    assert set(made) == set((tmp_path / "a" / "b").iterdir())
    assert {file.name for file in made} == {
        f"{name}.{ending}"
        for name in ("gateway", "mobile-1", "mobile-2", "mobile-3")
        for ending in ("toml", "keys.toml", "state")
    }
    spis = set()
    for index in range(3):
        mobile, gateway = both(tmp_path / "a" / "b", f"mobile-{index + 1}")
        check_match(mobile, gateway.links[index])
        assert mobile.link.home_address == (wanted.home + index).packed
        link = mobile.link
        spis |= {
            sa.spi for sa in (*link.inbound, link.outbound, *link.ah.inbound, link.ah.outbound)
        }
    assert len(spis) == 12


def test_all_carriers_with_a_certificate_that_is_verified(tmp_path):
    carriers = ["native", "udp:4501", "tcp", "tls", "https", "http-post:8080"]
    wanted = replace(
        WANTED, gateway=parse_target("VPN.example.net:500"), carriers=parse_carriers(carriers)
    )
    make_new_keys(tmp_path, wanted)
    mobile, gateway = both(tmp_path)
    pem = (tmp_path / "gateway.pem").read_bytes()
    certificate = load_pem_x509_certificate(pem)
    assert mobile.tls_verify == certificate.fingerprint(SHA256())
    assert load_pem_private_key(pem, None).public_key() == certificate.public_key()
    assert mobile.other_terminal == Endpoint(ADDRESS, 500)
    ports = {item.code: item.port or mobile.other_terminal.port for item in mobile.allow}
    assert {item.code: item.port or 500 for item in gateway.supported} == ports
    assert gateway.names == ("vpn.example.net",)
    assert load_gateway(tmp_path / "gateway.toml").certificate == tmp_path / "gateway.pem"


@pytest.mark.parametrize("name", CARRIER_NAMES)
@pytest.mark.parametrize("gateway", ["2001:db8::2", "203.0.113.2:500"])
def test_each_carrier_alone(tmp_path, name, gateway):
    target = parse_target(gateway)
    make_new_keys(tmp_path, replace(WANTED, gateway=target, carriers=parse_carriers(name)))
    mobile, other = both(tmp_path)
    assert mobile.other_terminal == Endpoint.of(*target)
    assert [item.code for item in other.supported] == [item.code for item in mobile.allow]
    assert (tmp_path / "gateway.pem").exists() is (name in ("tls", "https", "https-post"))


def test_what_was_made_is_private(tmp_path):
    for file in make_new_keys(tmp_path / "new", replace(WANTED, carriers=parse_carriers("tls"))):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_keys_are_never_the_same_twice(tmp_path):
    make_new_keys(tmp_path / "a", WANTED)
    make_new_keys(tmp_path / "b", WANTED)
    keys = {both(tmp_path / name)[0].link.outbound.encryption_key for name in "ab"}
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["gateway.toml", "mobile.keys.toml", "mobile.state"])
def test_nothing_is_replaced(tmp_path, name):
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(NewKeysError, match=f"/{name}: is there already, and is not replaced$"):
        make_new_keys(tmp_path, WANTED)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def fail(file, *, create):
        file.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_keys, "Store", fail)
    with pytest.raises(OSError, match="No space left"):
        make_new_keys(tmp_path, WANTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mobiles": 0}, "0 mobile terminals"),
        ({"mobiles": MAX_MOBILES + 1}, f"{MAX_MOBILES + 1} mobile terminals: 1 to {MAX_MOBILES}"),
        ({"home": ip_address("fd00::1")}, "of different families"),
        ({"home": ip_address("10.10.0.1")}, "10.10.0.1 is home and signalling address"),
        ({"home": ip_address("255.255.255.255"), "mobiles": 2}, "not so many addresses follow"),
    ],
)
def test_what_cannot_be_made_is_told(tmp_path, changed, reason):
    with pytest.raises(NewKeysError, match=reason):
        make_new_keys(tmp_path, replace(WANTED, **changed))
    assert list(tmp_path.iterdir()) == []
