"""How long inner packets may be: in each mode, by each carrier, and when it becomes less."""

from dataclasses import replace

import pytest
from scripted import HTTP, NATIVE, PROBE, TCP, UDP, USE, Script
from terminals import (
    AH_LINKS,
    AH_ONLY_LINKS,
    CBC_SAS,
    ELSEWHERE,
    MOBILE_LINK,
    NEW,
    OLD,
    OTHER,
    PING,
    START,
    TO_MOBILE,
    TO_OTHER,
    path_at_mobile,
)

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.events import InnerMtuLowered, PacketDropped
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.mtu import DEFAULT_INNER_MTU, OUTER_MTU, PathMtu

CBC = replace(MOBILE_LINK, inbound=CBC_SAS[:1], outbound=CBC_SAS[1])
HEADERS = {NATIVE: 40, UDP: 48}


@pytest.mark.parametrize("mode", [Tunnel(), Transport(), L2tp(1, 2)])
@pytest.mark.parametrize("link", [MOBILE_LINK, CBC], ids=["gcm", "cbc"])
@pytest.mark.parametrize("allow", [(NATIVE,), (UDP,), (NATIVE, UDP, TCP)])
@pytest.mark.parametrize("outer", [1500, 1427, 1400, 1280, 600])
def test_the_longest_packet_just_fits(mode, link, allow, outer):
    link = Link(replace(link, mode=mode), at_mobile=True, random_bytes=bytes)
    mtu = PathMtu(allow)
    mtu.too_big(outer)
    ends = link.home_address, MOBILE_LINK.signalling_address
    length = mtu.inner_mtu(link)
    headers = max(HEADERS[each] for each in allow if each in HEADERS)
    packets = [build_ip(*ends, 1, bytes(length - 20 + more)) for more in (0, 1)]
    fits, too_long = (len(link.seal_data(packet)) + headers <= outer for packet in packets)
    assert fits
    assert not too_long or length == DEFAULT_INNER_MTU
    assert link.sealed_length(length) == len(link.seal_data(packets[0]))


def test_a_stream_cuts_packets_as_it_likes():
    mtu = PathMtu((TCP, HTTP))
    mtu.too_big(600)
    link = Link(MOBILE_LINK, at_mobile=True, random_bytes=bytes)
    assert mtu.inner_mtu(link) == DEFAULT_INNER_MTU


def notice(script, outer_mtu, *, path=None, quoted=None):
    """Tell X that its last RREQ was too long, or what else the notice says."""
    out = script.last()
    given = out.data[:8] if quoted is None else quoted
    script.mobile.packet_too_big(outer_mtu, path or out.path, given)


def test_a_notice_lowers_it_until_the_next_attempt():
    script = Script(UDP)
    script.move()
    notice(script, 1400)
    assert script.events(InnerMtuLowered) == [InnerMtuLowered(1, 1380, 1318)]
    notice(script, 1500)
    assert script.mobile.inner_mtu == 1318
    notice(script, -5)
    (event,) = script.events(InnerMtuLowered)
    assert event.new == 494  # an outer packet of 576 octets
    script.move()
    assert script.mobile.inner_mtu == 1380


def header(spi, number):
    return spi.to_bytes(4) + number.to_bytes(4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quoted": b""},
        {"quoted": header(TO_OTHER.spi, 1)[:7]},
        {"quoted": header(TO_MOBILE.spi, 1)},
        {"quoted": header(TO_OTHER.spi, 0)},
        {"quoted": header(TO_OTHER.spi, 3)},  # not sent yet
        {"path": path_at_mobile(OLD)},
        {"path": Path(UDP, NEW, ELSEWHERE)},
        {"path": Path(NATIVE, Endpoint(NEW.address), Endpoint(OTHER.address))},
    ],
)
def test_a_notice_about_what_was_not_sent_is_not_believed(wrong):
    script = Script(UDP)
    script.move()
    script.send(PING)
    script.events()
    notice(script, 1000, **wrong)
    (event,) = script.events()
    assert event.reason is DropReason.UNSENT_PACKET
    notice(script, 1000)
    assert script.events(InnerMtuLowered)


def test_a_notice_about_a_packet_of_long_ago_is_not_believed():
    script = Script(UDP)
    script.move()
    script.mobile._link.skip(65_535)
    notice(script, 1000)
    assert script.events(PacketDropped)


def test_requests_are_no_longer_than_what_passes():
    script = Script(UDP)
    script.move()
    assert len(script.last().data) >= 1200
    notice(script, 1000)
    script.wait(0.6)
    assert len(script.last().data) == 952


@pytest.mark.parametrize(
    ("lengths", "identification", "lost"),
    [
        ({1: 1200}, 1, False),
        ({1: 1200, 2: 1200}, 2, False),
        ({1: 1200, 2: 500}, 2, False),
        ({1: 1200, 2: 1200, 3: 500}, 3, True),
        ({1: 1200, 2: 1200, 3: 500}, 1, False),
        ({}, 7, False),
    ],
)
def test_two_longer_ones_must_be_lost(lengths, identification, lost):
    mtu = PathMtu((UDP,))
    assert mtu.answered(lengths, identification) is lost
    mtu.lower()
    assert mtu.esp_room == min(OUTER_MTU, max(576, lengths.get(identification, 0) + 48)) - 48


def test_what_was_answered_before_passes():
    mtu = PathMtu((UDP,))
    assert not mtu.answered({1: 1200}, 1)
    assert mtu.passes(1200)
    assert not mtu.passes(1201)
    assert mtu.answered({2: 1416, 3: 1416, 4: 500}, 4)
    mtu.lower()
    assert mtu.esp_room == 1200


def test_a_keepalive_whose_long_probes_are_lost_is_looked_into():
    """Y may have restarted and refused them: X left out numbers, so what it asks then counts."""
    script = Script(UDP, keepalive=20)
    script.move()
    script.reply(script.last())
    script.wait(60)
    for pauses in ((0, 0.5, 0.5), (0, 0.5, 1.0)):
        lengths = []
        for seconds in pauses:
            script.wait(seconds)
            lengths.append(len(script.last(UDP, PROBE).data))
        assert lengths[0] == lengths[1] == 1416
        assert 500 <= lengths[2] < 532
        assert script.events(InnerMtuLowered) == []
        script.reply(script.last(UDP, PROBE))
    (event,) = script.events()
    assert (event.old, event.new) == (1380, 1166)
    assert script.mobile._link.sealed_length(event.new) <= 1200


def test_a_request_that_passes_only_when_short_is_looked_into():
    script = Script(UDP)
    script.move()
    script.wait(1.6)
    script.reply(script.last())
    assert script.took()[-1] == "1600 udp RREQ #1 1/1 PROBE"
    assert script.mobile.inner_mtu == 1380  # both may have been lost by chance
    script.wait(2)
    script.reply(script.last())
    assert script.mobile.inner_mtu == 494
    script.wait(100)
    assert script.mobile.path.encapsulation is Encapsulation.UDP


def test_a_native_probe_without_answer_is_looked_into():
    script = Script(NATIVE, UDP)
    script.move()
    script.reply(script.last(UDP))
    script.took()
    script.wait(3.7)
    probe = script.last(UDP, PROBE)
    assert len(probe.data) >= 1416
    script.reply(probe, flags=USE)
    script.wait(30)
    assert script.last(UDP, PROBE) is probe  # it passes; that native does not is no news
    assert script.mobile.inner_mtu == 1380


def test_a_measurement_without_answer_changes_nothing():
    script = Script(UDP)
    script.move()
    script.wait(2)
    script.reply(script.last())
    script.events()
    script.wait(100)
    assert script.events() == []
    assert script.mobile.inner_mtu == 1380


@pytest.mark.parametrize("outer", [1400, 1280])
def test_the_longest_packet_fits_by_ah_too(outer):
    link, both = (
        Link(links[0], at_mobile=True, random_bytes=bytes) for links in (AH_ONLY_LINKS, AH_LINKS)
    )
    mtu = PathMtu((UDP,))
    mtu.too_big(outer)
    by_ah = Path(NATIVE, Endpoint(bytes(16)), Endpoint(bytes(16)), ah=True)
    assert link.sealed_length(mtu.inner_mtu(link), by_ah) == outer
    assert mtu.inner_mtu(both) < mtu.inner_mtu(link)  # ESP, UDP and IPv6 are longer
    streams = PathMtu((TCP,))
    streams.too_big(outer)
    assert streams.inner_mtu(both) == mtu.inner_mtu(link)


def test_lengths_of_ah_have_the_ip_header():
    mtu = PathMtu((TCP,))
    assert mtu.answered({1: 1300, 2: 1400, 3: 1400}, 1)
    mtu.lower()
    assert mtu.outer == OUTER_MTU
    mtu.lower(ah=True)
    assert mtu.outer == 1300


def test_a_notice_shortens_the_rreq_by_ah_to_the_whole_packet():
    mobile = Script(link=AH_LINKS[0]).mobile
    mobile.move([NEW], START)
    (request,) = mobile.transmits(START)
    assert len(request.data) == 1200
    mobile.packet_too_big(700, request.path, request.data[20:28])  # no sequence number
    mobile.packet_too_big(800, request.path, request.data[20:32])
    mobile.handle_timer(mobile.timer())
    (request,) = mobile.transmits(START)
    assert len(request.data) == 800
