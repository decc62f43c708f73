"""docs/live.md tells every key of the configuration files, with the default that it has."""

import re
import tomllib
from pathlib import Path

import pytest

from scapy_mobsec.drivers.live.carrier_texts import CARRIER_NAMES, parse_carrier
from scapy_mobsec.drivers.live.settings import (
    ForeignSettings,
    GatewaySettings,
    L2tpSettings,
    LinkSettings,
    MobileSettings,
    TunSettings,
)

TEXT = (Path(__file__).parents[2] / "docs/live.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (required|none|`.*?`) \| .+ \|$", re.MULTILINE)
COMMON = "Keys of both"
SECTIONS = {
    "Keys of a mobile terminal": MobileSettings,
    "Keys of a gateway": GatewaySettings,
    "tun": TunSettings,
    "link": LinkSettings,
    "link.l2tp": L2tpSettings,
    "link.foreign": ForeignSettings,
}


def table(title):
    section = TEXT.partition(f"\n### {title}\n")[2].partition("\n### ")[0]
    return dict(ROW.findall(section))


def rows(title):
    common = table(COMMON) if title.startswith("Keys of a ") else {}
    return {**common, **table(title)}


def keys_of(model):
    return {each.alias or name: each for name, each in model.model_fields.items()}


@pytest.mark.parametrize("title", SECTIONS)
def test_every_key_is_there(title):
    assert rows(title).keys() == keys_of(SECTIONS[title]).keys()


DEFAULTS = [
    pytest.param(title, key, told, id=f"{title}: {key}")
    for title in SECTIONS
    for key, told in rows(title).items()
]
INNER = {"home": "10.10.1.1", "signalling": "10.10.0.1", "keys": "keys.toml"}
SHORTEST = {
    MobileSettings: {"gateway": "203.0.113.2", "state": "state", "link": INNER},
    GatewaySettings: {"listen": "native", "state": "state", "link": (INNER,)},
    TunSettings: {},
    LinkSettings: INNER,
    L2tpSettings: {"tunnel": 1, "session": 1},
    ForeignSettings: {"mobile": "192.0.2.1", "gateway": "192.0.2.2"},
}


@pytest.mark.parametrize(("title", "key", "told"), DEFAULTS)
def test_a_default_is_what_the_code_has(title, key, told):
    model = SECTIONS[title]
    shortest, field = SHORTEST[model], keys_of(model)[key]
    assert field.is_required() is (told == "required") is (key in shortest)
    if told == "none":
        assert field.default in (None, b"")
    elif told != "required":
        value = tomllib.loads(f"a = {told.strip('`')}")["a"]
        value = tuple(value) if isinstance(value, list) else value
        assert model.model_validate({**shortest, key: value}) == model.model_validate(shortest)


def test_every_carrier_has_its_usual_port():
    section = TEXT.partition("### Carriers")[2].partition("\n### ")[0]
    told = {}
    for names, port in re.findall(r"^\| (`.*`) \| (none|that of `gateway`|\d+) \|$", section, re.M):
        told |= {name: int(port) if port.isdigit() else 0 for name in re.findall(r"`(.*?)`", names)}
    assert told == {name: parse_carrier(name).port for name in CARRIER_NAMES}
