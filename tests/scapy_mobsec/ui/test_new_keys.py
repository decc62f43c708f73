"""`mobsec keys new`."""

from types import SimpleNamespace
from typing import get_args

import pytest

from scapy_mobsec.drivers.live.settings import LinkSettings, load_gateway, load_mobile
from scapy_mobsec.ui.cli import LINK_MODES, main


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["keys", "new", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def test_what_was_made_is_named_with_what_comes_next(run, tmp_path):
    done = run("lab", "-g", "203.0.113.2")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "Made, for you alone to read:",
        "  lab/gateway.toml",
        "  lab/gateway.keys.toml",
        "  lab/mobile.toml",
        "  lab/mobile.keys.toml",
        "  lab/gateway.state",
        "  lab/mobile.state",
        "Next, at the gateway, and at the mobile terminal with its files moved there:",
        "  mobsec gateway lab/gateway.toml",
        "  mobsec mobile lab/mobile.toml",
    ]
    assert load_mobile("lab/mobile.toml").gateway == ("203.0.113.2", 4500)
    assert len(load_gateway("lab/gateway.toml").links) == 1


def test_all_options(run):
    outside = "-g vpn.example.net:500 -c udp -c https -n 2 --ah --suite chacha20-poly1305"
    inside = "--home fd00::1:1 --signalling fd00::1 --mode l2tp"
    done = run("lab", *outside.split(), *inside.split())
    assert (done.code, done.err) == (0, "")
    assert "  lab/gateway.pem" in done.out.splitlines()
    assert done.out.splitlines()[-1] == "  mobsec mobile lab/mobile-1.toml"
    gateway = load_gateway("lab/gateway.toml")
    assert [str(link.home) for link in gateway.links] == ["fd00::1:1", "fd00::1:2"]
    assert gateway.links[0].mode == "l2tp"
    assert gateway.links[0].ah_outbound
    assert load_mobile("lab/mobile-2.toml").tls_verify


def test_modes_are_those_of_the_settings():
    assert LINK_MODES.choices == get_args(LinkSettings.model_fields["mode"].annotation)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "mobsec: Missing option '-g' / '--gateway'."),
        ("-g :1", "mobsec: --gateway: not the name of a host"),
        ("-g h -c ftp", "mobsec: --carrier: its name is none of native, udp,"),
        ("-g h -c http -c https", "mobsec: --carrier: an encapsulation is named twice"),
        ("-g h --home 10.10.0.1", "mobsec: 10.10.0.1 is home and signalling address"),
        ("-g h --signalling x", "mobsec: --signalling: 'x' does not appear to be an IPv4 or IPv6"),
        ("-g h --suite rot13", "mobsec: --suite: none of 3des-cbc-aes-cmac-96, "),
        ("-g h -n 2000", "mobsec: 2000 mobile terminals: 1 to 1024 can be made"),
    ],
)
def test_what_is_wrong_is_one_line(run, tmp_path, arguments, told):
    done = run("lab", *arguments.split())
    assert done.code == 2
    assert done.err.startswith(told)
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_told(run, tmp_path):
    (tmp_path / "lab").touch()
    done = run("lab", "-g", "h")
    assert (done.code, done.err) == (2, "mobsec: lab: File exists\n")


def test_a_second_run_replaces_nothing(run, tmp_path):
    run("lab", "-g", "h")
    before = (tmp_path / "lab/mobile.keys.toml").read_text()
    done = run("lab", "-g", "h")
    assert done.err == "mobsec: lab/gateway.toml: is there already, and is not replaced\n"
    assert (tmp_path / "lab/mobile.keys.toml").read_text() == before
