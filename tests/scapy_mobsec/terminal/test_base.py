"""The way in and out that both terminals share: named drops, counters, bounded queues."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Script
from terminals import (
    AH_LINKS,
    AH_TO_OTHER,
    ELSEWHERE,
    NEW,
    OLD,
    OTHER,
    PING,
    PONG,
    SUPPORTED,
    TRANSLATED,
    Pair,
    a_request,
    drops,
    events,
    path_at_other,
)

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.ah import OutboundAh
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.messages import build_request
from scapy_mobsec.registration.outer import describe, describe_ah
from scapy_mobsec.terminal.base import MAX_EVENTS, MAX_RECEIVED, MAX_TRANSMITS
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.terminal.driving import Close, Congested, Established
from scapy_mobsec.terminal.events import PacketDropped
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.other import OtherTerminal


@pytest.fixture
def pair():
    pair = Pair()
    pair.register()
    events(pair.mobile)
    events(pair.other)
    return pair


def test_what_is_not_accepted_is_named(pair):
    esp = pair.as_mobile.seal_data(PING)
    pair.to_other(esp)
    for data, reason in (
        (b"", DropReason.TRUNCATED),
        (bytes(4) + b"ike", DropReason.UNEXPECTED_IKE),
        (b"\x99" * 40, DropReason.UNKNOWN_SPI),
        (esp[:-1] + bytes((esp[-1] ^ 1,)), DropReason.REPLAYED),
        (esp, DropReason.REPLAYED),
        (pair.as_mobile.seal_data(PING)[:-1] + b"?", DropReason.BAD_ICV),
        (pair.as_mobile.outbound.seal(PONG, 4), DropReason.OUTSIDE_POLICY),
        (pair.as_mobile.outbound.seal(PING, 6), DropReason.UNKNOWN_NEXT_HEADER),
    ):
        pair.to_other(data)
        (event,) = events(pair.other)
        assert isinstance(event, PacketDropped)
        assert (event.reason, event.path) == (reason, path_at_other(TRANSLATED))
    assert pair.other.drops[DropReason.REPLAYED] == 2
    assert pair.other.received() == [PING]


def test_native_packets_come_as_they_are(pair):
    path = path_at_other(OLD)._replace(encapsulation=Encapsulation.NATIVE)
    pair.other.receive(pair.as_mobile.seal_data(PING), path, pair.now)
    assert pair.other.received() == [PING]


def test_octets_of_a_stream_that_is_not_open(pair):
    path = path_at_other(OLD)._replace(encapsulation=Encapsulation.TCP)
    pair.other.receive(pair.as_mobile.seal_data(PING), path, pair.now)
    assert drops(pair.other) == [DropReason.UNKNOWN_STREAM]


def test_keepalives_and_dummies_are_taken_in_silence(pair):
    pair.to_other(b"\xff", OLD)
    pair.to_other(pair.as_mobile.outbound.seal(b"", 59), OLD)
    assert events(pair.other) == []
    assert pair.other.received() == []


def test_octets_of_the_current_path_are_counted(pair):
    state = pair.other._homes[pair.as_mobile.home_address].current.traffic
    before = state.received_octets, state.sent_octets
    esp = pair.as_mobile.seal_data(PING)
    pair.to_other(esp, OLD)
    pair.to_other(pair.as_mobile.seal_data(PING), TRANSLATED)
    pair.other.transmits(pair.now)
    before = before[0], state.sent_octets
    pair.other.send(PONG, pair.now)
    assert state.received_octets == before[0] + len(esp)
    assert state.sent_octets == before[1] + len(pair.from_other().data)


def test_received_packets_are_bounded(pair):
    for _ in range(MAX_RECEIVED + 1):
        pair.to_other(pair.as_mobile.seal_data(PING))
    assert drops(pair.other) == [DropReason.QUEUE_FULL]
    assert len(pair.other.received()) == MAX_RECEIVED
    pair.to_other(pair.as_mobile.seal_data(PING))
    assert pair.other.received() == [PING]


def test_packets_to_send_are_bounded_and_keep_their_sequence_numbers(pair):
    first = pair.mobile._link.outbound.next_sequence
    for _ in range(MAX_TRANSMITS + 1):
        pair.mobile.send(PING, pair.now)
    assert drops(pair.mobile) == [DropReason.QUEUE_FULL]
    assert len(pair.mobile.transmits(pair.now)) == MAX_TRANSMITS
    assert pair.mobile._link.outbound.next_sequence == first + MAX_TRANSMITS


def a_stream(pair, number):
    """Let Y be told of a stream; return its path."""
    path = Path(Encapsulation.TCP, OTHER, Endpoint.of("192.0.2.9", 1024 + number))
    headers = describe(Encapsulation.TCP, path.remote, OTHER, 0)[:2]
    pair.other.receive(Established(None, headers), path, pair.now)
    return path


def test_what_streams_give_to_do_is_bounded():
    pair = Pair(supported=SUPPORTED)
    for number in range(3 * MAX_TRANSMITS):
        path = a_stream(pair, number)
        pair.other.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", path, pair.now)
    assert len(pair.other.transmits(pair.now)) <= MAX_TRANSMITS + 1
    assert pair.other.drops[DropReason.QUEUE_FULL] > MAX_TRANSMITS


def test_a_stream_that_cannot_be_answered_is_closed_and_others_are_not_taken():
    pair = Pair(supported=SUPPORTED)
    path = a_stream(pair, 0)
    while len(pair.other._transmits) < MAX_TRANSMITS:
        pair.other._transmits.append(Close(path))
    pair.other.receive(b"IKETCP", path, pair.now)
    assert drops(pair.other) == [DropReason.QUEUE_FULL]
    a_stream(pair, 1)
    assert drops(pair.other) == [DropReason.QUEUE_FULL]
    assert pair.other.transmits(pair.now)[MAX_TRANSMITS:] == [Close(path)]
    assert not pair.other._streams


def test_data_for_a_congested_stream_is_dropped_before_it_is_sealed():
    script = Script(Encapsulation.TCP)
    script.move()
    (wanted,) = (out.path for out in script.outs)
    path = wanted._replace(local=NEW._replace(port=50_000))
    script.tell(Established(wanted, ()), path)
    script.reply(script.last())
    script.events()
    used = script.mobile.snapshot().next_sequence
    script.tell(Congested(True), path)
    script.send(PING)
    (dropped,) = script.events(PacketDropped)
    assert dropped.reason is DropReason.CONGESTED
    assert script.mobile.snapshot().next_sequence == used
    script.took()
    script.mobile.deregister(script.now)  # messages are few, and go
    script.collect()
    assert script.took() == ["0 tcp RREQ #1 1/1"]
    script.tell(Congested(False), path)
    script.send(PING)
    assert script.took() == ["0 tcp data"]


def test_congestion_of_a_stream_that_is_not_open_means_nothing(pair):
    path = path_at_other(ELSEWHERE)._replace(encapsulation=Encapsulation.TCP)
    pair.other.receive(Congested(True), path, pair.now)
    pair.other.send(PONG, pair.now)
    assert pair.from_other().path.encapsulation is Encapsulation.UDP
    assert not events(pair.other)


def test_events_are_bounded_the_oldest_goes(pair):
    pair.to_other(b"")
    for _ in range(MAX_EVENTS):
        pair.to_other(b"\x99" * 40)
    assert drops(pair.other) == MAX_EVENTS * [DropReason.UNKNOWN_SPI]
    assert pair.other.events_lost == 1
    assert pair.other.drops[DropReason.TRUNCATED] == 1


@given(st.binary(max_size=120))
def test_no_octets_raise(data):
    pair = Pair()
    pair.other.receive(data, path_at_other(OLD), pair.now)
    pair.other.receive(pair.as_mobile.outbound.seal(data, 4), path_at_other(OLD), pair.now)
    pair.give_message(data)
    assert pair.other.path(pair.as_mobile.home_address) is None


def test_ah_comes_in_whole_packets_and_by_its_own_spis(pair):
    other = OtherTerminal(OtherConfiguration((AH_LINKS[1],)), random_bytes=bytes)
    path = Path(Encapsulation.NATIVE, Endpoint(OTHER.address), Endpoint(OLD.address), ah=True)
    ends = OLD.address, OTHER.address
    sealed = OutboundAh(AH_TO_OTHER)
    for packet, reason in (
        (b"", DropReason.MALFORMED_IP),
        (OutboundAh(replace(AH_TO_OTHER, spi=0x3333)).seal(PING, 4, *ends), DropReason.UNKNOWN_SPI),
        (pair.as_mobile.seal_data(PING), DropReason.MALFORMED_IP),  # ESP with the same SPI
    ):
        other.receive(packet, path, pair.now)
        assert drops(other) == [reason]
    other.receive(sealed.seal(PING, 4, *ends), path, pair.now)
    assert other.received() == [PING]
    assert events(other) == []


def test_the_addresses_of_ah_are_those_that_its_icv_covers(pair):
    other = OtherTerminal(OtherConfiguration((AH_LINKS[1],)), random_bytes=bytes)
    link = Link(AH_LINKS[0], at_mobile=True, random_bytes=bytes)
    path = Path(Encapsulation.NATIVE, Endpoint(OLD.address), Endpoint(OTHER.address), ah=True)
    said = Path(Encapsulation.NATIVE, Endpoint(OTHER.address), ELSEWHERE, ah=True)
    request = a_request(sent=describe_ah(path.local, path.remote, AH_TO_OTHER.spi))
    other.receive(link.seal_message(build_request(request), path), said, pair.now)
    assert other.path(link.home_address).remote == path.local
