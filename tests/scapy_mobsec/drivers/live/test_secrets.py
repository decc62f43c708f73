"""SAs out of key files: by SPI, once each, from files that are private."""

import pytest

from scapy_mobsec.drivers.live.secrets import Secrets
from scapy_mobsec.drivers.live.setting_kinds import Origin
from scapy_mobsec.drivers.live.settings import Fault, LinkSettings
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import ForeignChecksums, Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel

ESP = """
[[esp]]
spi = "0x{:08x}"
suite = "aes-gcm-16"
encryption_key = "{}"
"""
AH = """
[[ah]]
spi = "0x{:08x}"
suite = "hmac-sha2-256-128"
integrity_key = "{}"
"""
KEYS = "".join(
    [
        *(ESP.format(spi, f"{spi:02x}" * 20) for spi in (0x11, 0x12, 0x13)),
        *(AH.format(spi, f"{spi:02x}" * 32) for spi in (0x11, 0x22)),
    ]
)
LINK = {
    "home": "10.10.1.1",
    "signalling": "10.10.0.1",
    "keys": "keys.toml",
    "inbound": ("0x11", "0x12"),
    "outbound": "0x13",
}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, KEYS)
    return tmp_path


def write(folder, text, mode=0o600):
    file = folder / "keys.toml"
    file.write_text(text)
    file.chmod(mode)


def link(folder, **changed):
    values = {**LINK, **changed}
    origin = Origin(folder / "mobile.toml")
    return LinkSettings.model_validate(
        {key: value for key, value in values.items() if value is not None}, context=origin
    )


def refusal(folder, **changed):
    with pytest.raises(Fault) as raised:
        Secrets().link(link(folder, **changed), "link")
    return raised.value.key, str(raised.value)


def test_a_link_has_the_sas_that_it_names(folder):
    made = Secrets().link(link(folder, ah_inbound="0x11", ah_outbound="0x22"), "link")
    assert [sa.spi for sa in made.inbound] == [0x11, 0x12]
    assert made.inbound[0].encryption_key == b"\x11" * 20
    assert made.outbound.spi == 0x13
    assert [sa.spi for sa in made.ah.inbound] == [0x11]
    assert made.ah.outbound.integrity_key == b"\x22" * 32
    assert made.mode == Tunnel()
    assert made.home_address == bytes([10, 10, 1, 1])


def test_a_link_may_have_ah_alone(folder):
    alone = link(folder, inbound=None, outbound=None, ah_inbound="0x11", ah_outbound="0x22")
    assert Secrets().link(alone, "link").outbound is None


@pytest.mark.parametrize(
    ("changed", "key", "reason"),
    [
        ({"outbound": "0x22"}, "link.outbound", "no SA of ESP with SPI 0x00000022 in "),
        ({"inbound": ("0x11", "0x14")}, "link.inbound[1]", "no SA of ESP with SPI 0x00000014"),
        ({"ah_outbound": "0x12"}, "link.ah_outbound", "no SA of AH with SPI 0x00000012"),
        ({"ah_inbound": "0x11"}, "link.ah_outbound", "is not there"),
        ({"outbound": "0x11"}, "link.outbound", "its keys are those of link.inbound[0]"),
        ({"outbound": None}, "link", "a link needs an SA to send with"),
        ({"home": "10.10.0.1"}, "link", "home and signalling address are the same"),
        ({"keys": "none.toml"}, "link.keys", "No such file or directory"),
        ({"keys": "."}, "link.keys", "Is a directory"),
        ({"mode": "l2tp"}, "link.l2tp", "is not there"),
        ({"l2tp": {"tunnel": 1, "session": 2}}, "link.l2tp", "mode is tunnel"),
        (
            {"mode": "l2tp", "l2tp": {"tunnel": 0, "session": 2}},
            "link.l2tp",
            "L2TP id 0 is not in 1..65535",
        ),
        (
            {"foreign": {"mobile": "192.0.2.1", "gateway": "192.0.2.2"}},
            "link.foreign",
            "mode is tunnel",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_key(folder, changed, key, reason):
    told = refusal(folder, **changed)
    assert told[0] == key
    assert reason in told[1]


def test_two_sas_with_one_spi_are_none(folder):
    write(folder, KEYS + ESP.format(0x13, "ab" * 20))
    assert refusal(folder) == (
        "link.outbound",
        f"2 SAs of ESP with SPI 0x00000013 in {folder / 'keys.toml'}",
    )


def test_one_key_serves_one_sa_of_all_links(folder):
    write(folder, KEYS + ESP.format(0x14, "11" * 20) + ESP.format(0x15, "15" * 20))
    secrets = Secrets()
    secrets.link(link(folder), "link[0]")
    with pytest.raises(Fault, match=r"^its keys are those of link\[0\]\.inbound\[0\]$") as raised:
        secrets.link(link(folder, inbound="0x14", outbound="0x15"), "link[1]")
    assert raised.value.key == "link[1].inbound[0]"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_read_is_refused(folder, mode):
    write(folder, KEYS, mode)
    reason = f"{folder / 'keys.toml'}: others may read it: chmod 600"
    assert refusal(folder) == ("link.keys", reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (KEYS + "secret = 0\n", ":22: 1 keys that this kind of table does not have"),
        ("secret", ":1: no key file"),
        ("", "no SA of ESP"),
    ],
)
def test_what_a_key_file_has_wrong_is_told_without_its_octets(folder, text, reason):
    write(folder, text)
    told = refusal(folder)[1]
    assert reason in told
    assert "secret" not in told
    assert "1111" not in told


def test_a_key_file_of_other_octets_is_refused(folder):
    (folder / "keys.toml").write_bytes(b"\xff\xfe")
    assert refusal(folder)[1].endswith("keys.toml: no UTF-8 text")


def test_modes(folder):
    foreign = {"mobile": "192.168.1.2", "gateway": "203.0.113.2", "zero_udp": True}
    checksums = ForeignChecksums(bytes([192, 168, 1, 2]), bytes([203, 0, 113, 2]), True)
    ids = {"tunnel": 1, "session": 2, "mobile_session": 3}

    def mode(**changed):
        return Secrets().link(link(folder, **changed), "link").mode

    assert mode(mode="transport") == Transport()
    assert mode(mode="transport", foreign=foreign) == Transport(checksums)
    assert mode(mode="l2tp", l2tp=ids, foreign=foreign) == L2tp(1, 2, None, 3, checksums)
