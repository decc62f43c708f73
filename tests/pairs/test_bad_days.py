"""What a machine, a network or a person does wrong to terminals that run: a clear line, a pause,
and they go on. What keeps them from running is in the tests of `live.opening` and `ui.terminals`.
"""

import errno
import logging
import time

import pytest
from certificates import Certificate
from connect_proxy import ConnectProxy
from faulty_sockets import FaultySocket
from live_pair import LivePair, loopback_address, pairs_of, ping_packet

from scapy_mobsec.drivers.live import host as live_host
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.events import Registered
from scapy_mobsec.ui.event_log import HINTS, EventLog


class Rounds(Loop):
    """A loop that counts its rounds."""

    def __init__(self):
        super().__init__()
        self.rounds = 0

    def _round(self, end):
        self.rounds += 1
        super()._round(end)


@pytest.fixture
def loop():
    loop = Rounds()
    yield loop
    loop.close()


@pytest.fixture
def pair(tmp_path, loop, caplog):
    caplog.set_level(logging.INFO, "mobsec")
    pair, log = LivePair(tmp_path, loop), EventLog()
    pair.tell = lambda now, event: (pair.events.append(event), log.take(now, event))
    yield pair
    pair.close()


@pytest.fixture
def told(caplog):
    """The lines of the log so far that have a key."""

    def told(key):
        lines = [pairs_of(record.getMessage()) for record in caplog.records]
        return [line for line in lines if key in line]

    return told


def udp_of(running):
    """The one UDP socket of a terminal."""
    (opened,) = running.host.datagrams._udp.values()
    return opened


def registers_again(pair):
    before = len(pair.told(Registered))
    pair.mobile.move([Endpoint.of(loopback_address(), 4500)])
    pair.wait_for(lambda: len(pair.told(Registered)) > before)
    pair.ping()


def test_keys_that_are_no_pair(pair, told):
    pair.files.write_keys("mobile.keys.toml", (0x1001, 0x1002))
    pair.open_gateway()
    pair.open_mobile()
    pair.wait_for(lambda: told("hint"))  # at the second retransmission
    assert told("hint")[0]["hint"] == HINTS[DropReason.BAD_ICV]
    assert told("detail")[0]["reason"] == DropReason.BAD_ICV.value
    assert not pair.told(Registered)


def test_an_spi_that_the_gateway_does_not_have(pair, told):
    pair.files.write_keys("mobile.keys.toml", (0x7777, 0x1002))
    text = pair.files.mobile.read_text().replace("0x00001001", "0x00007777")
    pair.files.mobile.write_text(text)
    pair.open_gateway()
    pair.open_mobile()
    pair.wait_for(lambda: told("hint"))
    assert told("hint")[0]["hint"] == HINTS[DropReason.UNKNOWN_SPI]


@pytest.mark.parametrize(
    ("line", "changed", "reason"),
    [
        ('home = "10.10.1.1"', 'home = "10.10.1.2"', DropReason.OUTSIDE_POLICY),
        ("[link]", '[link]\nmode = "transport"', DropReason.UNKNOWN_NEXT_HEADER),
    ],
)
def test_configurations_that_do_not_match(pair, told, line, changed, reason):
    pair.files.mobile.write_text(pair.files.mobile.read_text().replace(line, changed))
    pair.open_gateway()
    pair.open_mobile()
    pair.wait_for(lambda: told("hint"))
    assert told("hint")[0]["hint"] == HINTS[reason]


def test_nobody_is_there(pair, told, loop):
    """The kernel says at once that nobody listens: told, and asked again at the usual pace."""
    pair.open_mobile()
    loop.run(seconds=0.8)
    assert "ECONNREFUSED" in {line["error"] for line in told("fault")}
    assert loop.rounds < 50
    pair.open_gateway()
    pair.wait_for(lambda: pair.told(Registered))


def test_a_proxy_that_refuses(pair, told, loop):
    """Another carrier that is allowed is taken."""
    proxy = ConnectProxy(loop, refusal=403)
    address = f"http://{Endpoint(proxy.endpoint.address)}:{proxy.endpoint.port}"
    pair.files.write_gateway(listen=f'"udp:{pair.files.at}:4500", "tcp:{pair.files.at}:4500"')
    pair.files.write_mobile(f'allow = ["udp", "tcp"]\nstart = "tcp"\nproxy = "{address}"')
    pair.open()
    (line,) = [line for line in told("event") if line["event"] == "proxy_refused"]
    assert "403" in line["reason"]
    pair.ping()
    proxy.close()


def test_a_certificate_that_is_not_the_one(pair, told, tmp_path):
    certificate = Certificate(tmp_path)
    tls = f'"tls:{pair.files.at}:4500"'
    pair.files.write_gateway(
        f'certificate = "{certificate.certificate}"\ncertificate_key = "{certificate.key}"',
        f'"udp:{pair.files.at}:4500", {tls}',
    )
    allow = 'allow = ["udp", "tls:4500"]\nstart = "tls"'
    pair.files.write_mobile(f'{allow}\ntls_verify = "{"ab" * 32}"')
    pair.open()
    (line,) = [line for line in told("event") if line["event"] == "certificate_refused"]
    assert line["sha256"] == certificate.sha256.hex()
    pair.ping()


def test_a_full_disk_holds_all_back_and_nothing_is_lost(pair, told, loop, monkeypatch):
    monkeypatch.setattr(live_host, "SAVED_AGAIN_AFTER", 0.05)
    pair.open_gateway()
    saves = []

    def refuse(self, home, snapshot):
        saves.append(snapshot)
        raise StoreError("mobile.state: database or disk is full")

    with monkeypatch.context() as full:
        full.setattr("scapy_mobsec.drivers.store.Store.save_mobile", refuse)
        pair.open_mobile()
        loop.run(seconds=0.2)
        assert 1 < len(saves) < 5
        assert not pair.gateway.status()["links"][0]["attempt"]
    assert told("state")[0]["reason"] == "mobile.state: database or disk is full"
    pair.wait_for(lambda: pair.told(Registered))
    assert told("state")[-1]["state"] == "saved"
    pair.ping()


def test_the_clock_is_set_back_between_two_runs(pair, monkeypatch):
    pair.open()
    pair.close()
    pair.events.clear()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 365 * 86_400)
    pair.loop = back = Rounds()
    pair.open()
    pair.ping()
    pair.close()
    pair.gateway = pair.mobile = None
    back.close()


def test_an_address_that_is_gone(pair, told):
    """The socket cannot be bound, or sends from where the machine is no more."""
    pair.open()
    pair.mobile.move([Endpoint.of("203.0.113.77", 4500)])
    assert {"udp open", "udp send"} & {line["fault"] for line in told("fault")}
    assert "EADDRNOTAVAIL" in {line["error"] for line in told("fault")}
    registers_again(pair)


@pytest.mark.parametrize("calls", [("sendmsg",), ("recvmsg",), ("sendmsg", "recvmsg")])
def test_an_error_on_every_call_of_a_socket(pair, told, loop, calls):
    pair.open()
    udp = udp_of(pair.gateway)
    udp._socket = faulty = FaultySocket(udp._socket)
    for call in calls:
        faulty.fail(call, errno.ENETDOWN)
    loop.watch(udp._socket, udp._readable)
    before = loop.rounds
    for _ in range(5):
        pair.mobile.host.send(ping_packet())
    loop.run(seconds=0.3)
    assert loop.rounds - before < 40
    assert "ENETDOWN" in {line["error"] for line in told("fault")}
    for call in calls:
        faulty.mend(call)
    registers_again(pair)
