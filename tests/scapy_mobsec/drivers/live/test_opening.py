"""Terminals with all their parts, from their files, on loopback: what runs, and what cannot."""

import json
import socket

import pytest
from certificates import Certificate
from live_pair import LivePair, loopback_address

from scapy_mobsec.drivers.live import addresses, opening
from scapy_mobsec.drivers.live.faults import CannotOpen
from scapy_mobsec.drivers.live.rights import RightsError
from scapy_mobsec.drivers.live.settings import SettingsError
from scapy_mobsec.drivers.live.streams import MAX_HANDSHAKES
from scapy_mobsec.drivers.simulation import HOME
from scapy_mobsec.drivers.store import Store, StoreError
from scapy_mobsec.packet.path import Encapsulation, Endpoint, address_text
from scapy_mobsec.registration.transitions import MobileState, OtherState
from scapy_mobsec.terminal.events import Deregistered, Registered


@pytest.fixture
def pair(tmp_path, loop):
    pair = LivePair(tmp_path, loop)
    yield pair
    pair.close()


def test_a_ping_through_the_tunnel(pair):
    pair.open()
    pair.ping()


def test_status_by_the_control_socket(pair):
    pair.open()
    pair.ping()
    (link,) = pair.asked(pair.gateway, {"do": "status"})["links"]
    assert (link["state"], link["home_address"]) == ("bound", "10.10.1.1")
    told = pair.asked(pair.mobile, {"do": "status"})
    assert told["role"] == "mobile"
    assert told["links"][0]["paths"][0]["received"]["packets"] == 1
    assert told == json.loads(json.dumps(pair.mobile.status())) | {"now": told["now"]}


def test_a_move_by_the_control_socket(pair):
    pair.open()
    there = loopback_address()
    answer = pair.asked(pair.mobile, {"do": "move", "addresses": [there], "via": ["udp"]})
    assert answer["attempt"] == 2
    assert f"{there}:4500 >" in answer["path"]
    pair.wait_for(lambda: len(pair.told(Registered)) == 2)
    pair.ping()
    assert pair.gateway.host.terminal.path(HOME).remote == Endpoint.of(there, 4500)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"do": "move", "addresses": ["nowhere"]}, "not of the form"),
        ({"do": "move", "addresses": "127.0.0.1"}, "addresses is no list of texts"),
        ({"do": "move", "addresses": [1]}, "addresses is no list of texts"),
        ({"do": "move", "via": ["pigeon"]}, "its name is none of"),
        ({"do": "move", "via": ["udp", "udp"]}, "twice"),
        ({"do": "dance"}, "not known here"),
        ({}, "not known here"),
    ],
)
def test_requests_that_are_refused_change_nothing(pair, request_, reason):
    pair.open()
    path = pair.mobile.host.terminal.path
    assert reason in pair.asked(pair.mobile, request_)
    assert pair.mobile.host.terminal.path == path


def test_a_gateway_does_not_move(pair):
    pair.open_gateway()
    assert "not known here" in pair.asked(pair.gateway, {"do": "move", "addresses": []})


def test_stop_by_the_control_socket(pair, loop):
    pair.open_gateway()
    stopped = []
    pair.gateway.on_stop = lambda: stopped.append(1)
    assert pair.asked(pair.gateway, {"do": "stop"}) == {"stopping": True}
    pair.wait_for(lambda: stopped)


def test_leaving(pair):
    pair.open()
    pair.wait_for(pair.mobile.leave())
    assert pair.told(Deregistered)[0].confirmed
    assert pair.gateway.host.terminal.state(HOME) is OtherState.UNBOUND


def test_leaving_where_there_is_no_registration(pair):
    pair.open_mobile()
    pair.mobile.move([])
    assert pair.mobile.leave()()
    assert pair.mobile.host.terminal.state is MobileState.DETACHED


def test_after_a_restart_of_both_the_link_goes_on(pair):
    pair.open()
    pair.close()
    pair.events.clear()
    pair.open()
    assert pair.mobile.host.terminal.attempt > 1
    pair.ping()


@pytest.mark.parametrize("carrier", ["tcp", "tls", "http", "https"])
def test_streams(pair, carrier, tmp_path):
    files = pair.files
    certificate = Certificate(tmp_path)
    inside_tls = carrier in ("tls", "https")
    lines = f'certificate = "{certificate.certificate}"\ncertificate_key = "{certificate.key}"'
    limit = "max_streams = 3\n"
    files.write_gateway(limit + (lines if inside_tls else ""), f'"{carrier}:{files.at}:4500"')
    files.write_mobile(f'allow = "{carrier}:4500"\ntls_key_log = "keys.log"')
    pair.open()
    pair.ping()
    assert pair.gateway.host.streams.limit == 3 + MAX_HANDSHAKES
    assert ("TRAFFIC_SECRET" in (files.folder / "keys.log").read_text()) is inside_tls
    expected = {"https": Encapsulation.HTTP}.get(carrier) or Encapsulation(carrier)
    assert pair.mobile.host.terminal.path.encapsulation is expected


def refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_port_in_use(pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((pair.files.at, 4500))
        refused(pair.open_gateway, CannotOpen, "udp .*:4500: Address already in use")
    pair.open()  # nothing of it is left open
    pair.ping()


def test_a_state_file_in_use(pair):
    with Store(pair.files.folder / "gateway.state"):
        refused(pair.open_gateway, StoreError, "in use by another process")


def test_no_state_file(pair):
    (pair.files.folder / "mobile.state").unlink()
    refused(pair.open_mobile, StoreError, "no state file")


def test_tls_without_a_certificate(pair):
    pair.files.write_gateway(listen=f'"tls:{pair.files.at}:4500"')
    refused(pair.open_gateway, SettingsError, "gateway.toml: certificate: is not there")


@pytest.mark.parametrize("content", ["", "nonsense", None])
def test_a_certificate_that_is_none(pair, content):
    if content is not None:
        (pair.files.folder / "x.pem").write_text(content)
    pair.files.write_gateway('certificate = "x.pem"', f'"tls:{pair.files.at}:4500"')
    refused(pair.open_gateway, SettingsError, "certificate: .*x.pem: ")


def test_a_key_log_that_cannot_be_written(pair):
    pair.files.write_mobile('tls_key_log = "."')
    refused(pair.open_mobile, SettingsError, "mobile.toml: tls_key_log: .*: Is a directory")


def test_streams_with_and_without_tls_at_one_endpoint(pair):
    at = f"{pair.files.at}:4500"
    pair.files.write_gateway(listen=f'"tls:{at}", "tcp:{at}"')
    refused(pair.open_gateway, SettingsError, "listen: .* with and without TLS at one endpoint")


def test_without_local_addresses_the_one_that_the_kernel_takes(pair):
    pair.files.write_mobile("port = 0", local="auto")
    pair.open()
    assert address_text(pair.mobile.host.terminal.path.local.address) == "127.0.0.1"
    assert pair.mobile.host.terminal.path.local.port


def test_without_a_way_to_the_gateway_it_waits_to_be_moved(pair, monkeypatch):
    monkeypatch.setattr(addresses, "usable_endpoints", lambda network, destinations, port: {})
    pair.files.write_mobile(local="auto")
    pair.open_gateway()
    pair.open_mobile()
    assert pair.mobile.host.terminal.state is MobileState.DETACHED
    pair.asked(pair.mobile, {"do": "move", "addresses": [loopback_address()]})
    pair.wait_for(lambda: pair.told(Registered))


def test_several_carriers_at_one_endpoint(pair):
    at = f"{pair.files.at}:4500"
    pair.files.write_gateway(listen=f'"udp:{at}", "tcp:{at}", "http:{at}"')
    pair.open()


def test_no_rights_for_native_esp(pair, monkeypatch):
    def refuse(*_, **__):
        raise CannotOpen("native ESP (needs CAP_NET_RAW)", PermissionError(1, "not permitted"))

    monkeypatch.setattr(opening.Datagrams, "open_native", refuse)
    pair.files.write_gateway(listen='"native"')
    refused(pair.open_gateway, CannotOpen, "CAP_NET_RAW")
    pair.files.write_mobile('allow = ["udp", "native"]')
    refused(pair.open_mobile, CannotOpen, "CAP_NET_RAW")


def test_a_user_who_is_not_there(pair):
    pair.files.write_gateway('user = "nobody-of-that-name"')
    refused(pair.open_gateway, RightsError, "none of that name")
