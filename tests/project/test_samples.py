"""The sample captures: made again by the commands in their README, and decoded as it says.

strongSwan's cannot be made again; with the keys of their IKE SA alone all is opened.
"""

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from scapy_mobsec.drivers.keyfiles import read_key_file
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.ui.cli import main

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
COMMAND = re.compile(r"`mobsec ([^`]+)`")
CAPTURES = {".pcap", ".pcapng"}

FROM_NAT = {("source_address", "address_and_port"), ("source_port", "address_and_port")}
VIA_PROXY = {("source_address", "proxied"), ("http_intermediary", "proxied")}
THROUGH_TUNNEL = {
    (field, "proxied")
    for field in (
        "source_address",
        "destination_address",
        "source_port",
        "destination_port",
        "whole_header",
    )
}


class Told(NamedTuple):
    """What a sample is decoded to. `carried`: headers around ESP or AH, of all registrations.

    `translations`: field and nature. `moves`: encapsulations before and after.
    """

    opened: int
    registrations: int
    carried: set[str]
    translations: set[tuple[str, str]] = frozenset()
    moves: tuple[tuple[str, str], ...] = ()
    drops: tuple[tuple[str, int], ...] = ()


SIMULATED = {
    "handover-nat.pcap": Told(67, 3, {"ipv4/udp/esp"}, FROM_NAT, (("udp", "udp"),) * 2),
    "udp-other-port.pcap": Told(44, 2, {"ipv4/udp/esp"}, FROM_NAT, (("udp", "udp"),)),
    "native.pcap": Told(66, 3, {"ipv4/udp/esp", "ipv4/esp"}, moves=(("udp", "native"),)),
    "tcp.pcap": Told(62, 4, {"ipv4/udp/esp", "ipv4/tcp/esp"}, moves=(("udp", "tcp"),)),
    "tls.pcap": Told(61, 4, {"ipv4/udp/esp", "ipv4/tcp/tls/esp"}, moves=(("udp", "tls"),)),
    "tls-intercepted.pcapng": Told(
        59, 1, {"ipv4/tcp/tls/esp"}, {("tls_certificate", "intercepted")}
    ),
    "http.pcap": Told(59, 1, {"ipv4/tcp/http/esp"}, VIA_PROXY),
    # The proxy refuses to upgrade three times: the first request, and two that look for better.
    "http-post.pcap": Told(59, 1, {"ipv4/tcp/http/esp"}, VIA_PROXY, drops=(("http_refused", 3),)),
    "forward-proxy.pcap": Told(57, 1, {"ipv4/tcp/http/http/esp"}, THROUGH_TUNNEL),
    "ah.pcap": Told(
        51,
        5,
        {"ipv4/ah", "ipv4/udp/esp"},
        FROM_NAT,
        (("ah", "ah"), ("ah", "udp"), ("udp", "ah")),
    ),
    "ipv6.pcap": Told(
        82,
        9,
        {"ipv4/udp/esp", "ipv4/esp", "ipv6/udp/esp", "ipv6/esp"},
        moves=(*(("udp", "native"), ("native", "udp")) * 2, ("udp", "native")),
    ),
    "nat64.pcap": Told(
        64,
        2,
        {"ipv4/udp/esp", "ipv6/udp/esp"},
        {("whole_header", "protocol"), ("source_port", "port")},
        (("udp", "udp"),),
    ),
    "l2tp.pcap": Told(64, 2, {"ipv4/udp/esp"}, FROM_NAT, (("udp", "udp"),)),
}
STRONGSWAN = ("strongswan-natt.pcap", "strongswan-natt-aes128-sha256.pcap")


def commands(capture):
    """The commands in the row of a capture, without the program."""
    (row,) = re.findall(rf"^\| `{capture}` .*$", (PCAPS / "README.md").read_text(), re.MULTILINE)
    return [shlex.split(command) for command in COMMAND.findall(row)]


@pytest.fixture
def decoded(capsys, monkeypatch):
    """What the command in the README prints as JSON, by the name of the capture."""

    def decoded_(capture):
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as stopped:
            main([*commands(capture)[-1], "-T", "json"])
        captured = capsys.readouterr()
        assert (stopped.value.code, captured.err) == (0, "")
        return json.loads(captured.out)

    return decoded_


def test_the_readme_has_each_capture_and_the_tests_have_each():
    there = {path.name for path in PCAPS.iterdir() if path.suffix in CAPTURES}
    assert there == {*SIMULATED, *STRONGSWAN}
    assert all(path.stat().st_size < 100_000 for path in PCAPS.iterdir())
    for capture in there:
        assert commands(capture)[-1][:2] == ["decode", f"pcaps/{capture}"]


@pytest.mark.parametrize("capture", SIMULATED)
def test_a_simulated_capture_is_what_its_command_writes(capture, tmp_path, monkeypatch, capsys):
    (tmp_path / "pcaps").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(commands(capture)[0])
    assert stopped.value.code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "pcaps").iterdir()}
    kept = {path.name: path.read_bytes() for path in PCAPS.glob(f"{Path(capture).stem}.*")}
    assert written.keys() == kept.keys()
    differing = {name for name, octets in written.items() if octets != kept[name]}
    assert not differing, f"run again: mobsec {shlex.join(commands(capture)[0])}"


@pytest.mark.parametrize("capture", SIMULATED)
def test_a_simulated_capture_is_decoded_to_its_registrations(capture, decoded):
    expected, result = SIMULATED[capture], decoded(capture)
    summary, registrations = result["summary"], result["registrations"]
    assert summary["esp"] + summary["ah"] == summary["verified"] == expected.opened
    assert len(registrations) == expected.registrations
    assert all(entry["verified"] for entry in registrations)
    told = {
        (item["field"], item["nature"]) for entry in registrations for item in entry["translations"]
    }
    assert told == expected.translations
    for entry in registrations:
        assert entry["told"] == (entry["translations"] if entry["reply"] else None)
    carried = {"/".join(each["type"] for each in entry["captured"]) for entry in registrations}
    assert carried == expected.carried
    moves = [
        tuple(move[end]["encapsulation"] for end in ("old", "new")) for move in result["moves"]
    ]
    assert tuple(moves) == expected.moves
    assert result["drops"] == dict(expected.drops)
    assert (result["refused"], summary["tls"]) == ([], 0)


def test_every_encapsulation_has_a_sample(decoded):
    shown = {
        path["encapsulation"]
        for capture in SIMULATED
        for sa in decoded(capture)["sas"]
        for path in sa["paths"]
    }
    assert shown == {*(each.value for each in Encapsulation), "ah"}


@pytest.mark.parametrize("capture", STRONGSWAN)
def test_strongswan_is_decoded_from_the_keys_of_its_ike_sa_alone(capture, decoded):
    table = read_key_file(str(ROOT / commands(capture)[-1][-1]))
    assert (table.rows, len(table.ike_keys)) == ([], 1)
    result = decoded(capture)
    summary, (ike,) = result["summary"], result["ike"]
    assert (summary["esp"], summary["verified"], summary["ike"]) == (20, 20, 14)
    # IKE_SA_INIT is in clear: two of the fourteen messages.
    assert (ike["verified"], ike["icv_failed"], ike["problem"]) == (12, 0, None)
    spis = set()
    for child in ike["child_sas"]:
        assert (child["keys_derived"], child["reason"]) == (True, None)
        spis |= {child["initiator_spi"], child["responder_spi"]}
    assert len(ike["child_sas"]) == 2
    assert {sa["spi"] for sa in result["sas"]} == spis
    assert [sa["verified"] for sa in result["sas"]] == [5] * 4
    (move,) = result["moves"]
    assert (move["evidence"], move["from"], move["to"]) == (
        "mobike",
        "192.0.2.2:4500",
        "192.0.2.6:4500",
    )
    assert result["drops"] == {}
