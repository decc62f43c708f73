"""Delay, jitter, loss, reordering, duplication and MTU."""

from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wires import CLIENT, SERVER, a_packet, two_hosts

from scapy_mobsec.drivers.memory import (
    SECOND,
    Delay,
    Direction,
    Duplication,
    Loss,
    Mtu,
    Napt,
    Reordering,
)
from scapy_mobsec.packet.ip import ICMP, ICMPV6
from scapy_mobsec.packet.path import Endpoint


def arrivals(element, count=200, seed=1):
    """Times in ms and numbers of packets that were sent one a millisecond."""
    network, segment, _, server = two_hosts(element, seed=seed)
    for number in range(count):
        network.after(number * 1_000_000, segment.send, a_packet(payload=bytes((number,))))
    network.run_for(10)
    return [(at / 1e6, packet.payload[0]) for at, packet in server.arrived]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((lambda value=value: Delay(value), "seconds") for value in (-1, nan, inf, "x", None)),
        *((lambda value=value: Delay(0, value), "jitter") for value in (-1, nan)),
        *((lambda value=value: Loss(value), "probability") for value in (-1, 2, 30, nan, "x")),
        *((lambda value=value: Loss(0.5, value), "in_a_row") for value in (-1, "x")),
        *((lambda value=value: Duplication(value), "probability") for value in (-1, 2, nan)),
        (lambda: Reordering(2), "probability"),
        *((lambda value=value: Reordering(0.5, value), "seconds") for value in (-1, nan)),
        *((lambda value=value: Mtu(value), "octets") for value in (-1, 0, nan, "x")),
    ],
)
def test_what_no_link_does(make, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        make()


@given(st.integers(0, 50))
def test_jitter_lengthens_the_delay_and_keeps_the_order(seed):
    seen = arrivals(Delay(0.025, jitter=0.010), seed=seed)
    assert [number for _, number in seen] == list(range(200))
    assert all(25 <= at - number <= 35 for at, number in seen)
    assert len({at - number for at, number in seen}) > 10


@given(st.integers(0, 50), st.integers(1, 4))
def test_no_more_are_lost_in_a_row_than_said(seed, most):
    numbers = [-1, *(number for _, number in arrivals(Loss(0.9, most), seed=seed)), 200]
    gaps = [after - before - 1 for before, after in pairwise(numbers)]
    assert max(gaps) == most


def test_loss_is_as_probable_as_said():
    assert 40 < len(arrivals(Loss(0.7))) < 80
    assert arrivals(Loss(1.0)) == []
    assert len(arrivals(Loss(0.0))) == 200


def test_the_directions_of_a_loss_do_not_share_its_row():
    loss = Loss(1.0, 1)
    passed = [loss.forward(a_packet(), direction, 0) for direction in Direction]
    assert passed == [[], []]


def test_reordering_holds_back_and_loses_nothing():
    numbers = [number for _, number in arrivals(Reordering(0.3, 0.01))]
    assert sorted(numbers) == list(range(200)) != numbers


def test_duplication():
    numbers = [number for _, number in arrivals(Duplication(0.5))]
    assert 250 < len(numbers) < 350
    assert sorted(set(numbers)) == list(range(200))


@pytest.mark.parametrize("element", [Delay(0, 0.01), Loss(0.5), Reordering(0.5), Duplication(0.5)])
def test_the_seed_decides(element):
    kind, seen = type(element), []
    for seed in (1, 1, 2):
        new = Delay(0, 0.01) if kind is Delay else kind(0.5)
        seen.append(arrivals(new, seed=seed))
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(("payload", "passes"), [(1472, True), (1473, False)])
def test_mtu_counts_the_headers(payload, passes):
    assert len(arrivals_of(Mtu(1500), payload)) == passes


def arrivals_of(element, length):
    network, segment, _, server = two_hosts(element)
    segment.send(a_packet(payload=bytes(length)))
    network.run_for(1)
    return server.payloads


def test_the_sender_is_told_through_a_nat_what_did_not_fit():
    network, segment, client, _ = two_hosts(Delay(0.01), Napt("192.0.2.1"), Mtu(1000, notify=True))
    segment.send(a_packet(payload=bytes(1400)))
    network.run_for(1)
    ((at, notice),) = client.arrived
    assert (at, notice.protocol, notice.too_big.mtu) == (SECOND // 50, ICMP, 1000)
    assert notice.destination.address == CLIENT.address
    original = notice.too_big.original
    assert (original.source, original.destination) == (CLIENT, SERVER)


def test_a_mute_mtu_tells_nobody():
    network, segment, client, _ = two_hosts(Mtu(1000))
    segment.send(a_packet(payload=bytes(1400)))
    network.run_for(1)
    assert client.arrived == []


def test_an_ipv6_sender_is_told_with_icmpv6():
    network, segment, _, _ = two_hosts(Mtu(1280, notify=True))
    got = []
    source = Endpoint.of("2001:db8::2", 4500)
    segment.attach(source.address, got.append)
    segment.send(a_packet(source, Endpoint.of("2001:db8:1::2", 4500), bytes(1400)))
    network.run_for(1)
    assert [packet.protocol for packet in got] == [ICMPV6]
