"""X and Y with the network between them: traversal dropped, blocked, watched, kept alive."""

from functools import partial
from hashlib import sha256
from ipaddress import ip_address

import pytest
from play import HTTP, HTTP_POST, NATIVE, ROUND_TRIP, TCP, TLS, UDP, Play, told

from contrib_layers.numbers import ITEM_INSIDE_TLS, AttemptFlag, NatureCode
from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_NATIVE_OUT,
    NO_UDP,
    Delay,
    Direction,
    Element,
    Firewall,
    Interceptor,
    Loss,
    Napt,
    Nat64,
)
from scapy_mobsec.drivers.memory.http_relay import Rewriting, Upgrade
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, OTHER_TERMINAL
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.ip import ESP, build_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import RegistrationRequest
from scapy_mobsec.registration.outer import carrier_of
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal import exchange
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.events import (
    CertificateRefused,
    FallBackReason,
    FellBack,
    KeepaliveLost,
    Moved,
    PacketDropped,
    PathChosen,
    PathRejected,
    PathValidated,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    StreamLost,
    TraversalDropped,
)


def test_behind_a_nat_traversal_stays():
    play = Play(Napt("192.0.2.1")).move()
    assert play.ping(5) == 50
    assert play.encapsulation is UDP
    assert play.told(TraversalDropped) == []


@pytest.mark.parametrize("decider", Decider)
def test_y_that_insists_keeps_traversal_whoever_decides(decider):
    play = Play(other={"forced": True}, decider=decider).move()
    assert play.ping(30, 1) == 30
    assert play.encapsulation is UDP
    assert sent_by_x(play, NATIVE) == []


def test_without_a_translator_it_is_dropped_after_two_round_trips():
    play = Play().move()
    assert play.ping(5) == 50
    (event,) = play.told(TraversalDropped)
    assert event.rtt == pytest.approx(ROUND_TRIP, abs=1e-5)
    assert play.encapsulation is NATIVE
    when = next(at for at, each in play.mobile.log if each is event)
    assert (when - play.mobile.log[0][0]) / 1e9 == pytest.approx(3 * ROUND_TRIP, abs=1e-5)


@pytest.mark.parametrize("block", [NO_NATIVE, NO_NATIVE_IN, NO_NATIVE_OUT], ids=lambda b: b.name)
@pytest.mark.parametrize("start", [(), (NATIVE, UDP)], ids=["probe", "parallel"])
def test_a_firewall_that_drops_native_is_found_by_the_probe(block, start):
    play = Play(Firewall(block), start=start).move()
    assert play.ping(10) == 100
    assert play.encapsulation is UDP
    assert play.told(TraversalDropped) == []


class ShortNative(Element):
    """Loses native packets one way that are shorter than registration messages: data, here."""

    def __init__(self, direction):
        self.direction = direction

    def forward(self, packet, direction, time_ns):
        is_data = packet.protocol == ESP and len(packet.payload) < 120
        return [] if is_data and direction is self.direction else [(0, packet)]


@pytest.mark.parametrize("direction", Direction)
def test_data_that_one_end_alone_sends_is_missed(direction):
    play = Play(ShortNative(direction)).move()
    play.other.on_inner = lambda packet: None
    from_x = direction is Direction.OUT
    sender, receiver = (play.mobile, play.other) if from_x else (play.other, play.mobile)
    ends = (HOME, INNER_HOST) if from_x else (INNER_HOST, HOME)
    for number in range(1200):
        sender.send(build_ip(*ends, 253, number.to_bytes(2, "big")))
        play.wait(0.05)
    events = play.told(TraversalDropped, FellBack)
    assert [type(event) for event in events] == 3 * [TraversalDropped, FellBack]  # 10 s, 20 s later
    assert {event.reason for event in events[1::2]} == {FallBackReason.DATA_LOST}
    assert len(receiver.inner) > 1200 - 3 * 25
    assert play.encapsulation is UDP


@pytest.mark.parametrize("block", [NO_NATIVE, NO_NATIVE_IN, NO_NATIVE_OUT], ids=lambda b: b.name)
def test_a_filter_that_appears_later(block):
    play = Play().move()
    play.ping(2)
    assert play.encapsulation is NATIVE
    play.firewall.blocks = (block,)
    play.ping(4)
    (event,) = play.told(FellBack)
    assert event.new.encapsulation is UDP
    assert play.ping(3) == 30
    assert play.encapsulation is UDP
    play.firewall.blocks = ()
    play.wait(60)
    assert play.encapsulation is NATIVE  # probed again
    assert play.ping(1) == 10


@pytest.mark.parametrize("start", [(), (NATIVE, UDP)], ids=["all later", "parallel"])
def test_native_alone_passes(start):
    """X registers there, though native is only probed beside udp."""
    play = Play(Firewall(NO_UDP), start=start).move()
    play.wait(3 if start else 36)
    assert play.encapsulation is NATIVE
    assert play.ping(1) == 10
    assert len(play.told(Registered)) == 1


def test_a_long_round_trip_is_known_until_the_next_move():
    """The first RREQ guesses 0.5 s, and so it does at another place; probes after it do not."""
    play = Play(round_trip=0.8).move().wait(3)
    for _ in range(2):
        assert sent_by_x(play, UDP) == [AttemptFlag(0)] * 2
        assert sent_by_x(play, NATIVE) == [AttemptFlag.PROBE, AttemptFlag.USE]
        play.roam().wait(3)


def test_a_lost_request_costs_half_a_second_after_a_move_from_a_slow_network():
    play = Play(allow=(UDP,), round_trip=1.5).move().wait(10)
    play.round_trip = 0.02
    play.roam()
    play.firewall.blocks = (NO_UDP,)
    play.wait(0.3)
    play.firewall.blocks = ()
    play.wait(0.4)
    assert len(play.told(Registered)) == 2


@pytest.mark.parametrize("encapsulation", [UDP, HTTP_POST])
def test_at_a_round_trip_of_4_s_the_first_answer_is_late_and_the_next_one_is_not(encapsulation):
    play = Play(Napt("192.0.2.1"), allow=(encapsulation,), round_trip=4).move().wait(60)
    proving = PathRejected, PathValidated
    assert [type(event) for event in told(play.other, *proving)] == list(proving)
    play.roam().wait(60)
    assert [type(event) for event in told(play.other, *proving)[2:]] == [PathValidated]
    assert not play.other.terminal.drops
    play.ping(20, 1)
    assert play.ping(20, 1) == 20


def test_udp_blocked_and_tcp_passes():
    play = Play(Firewall(NO_UDP), allow=(UDP, TCP), start=(UDP, TCP)).move()
    play.wait(2)
    assert play.encapsulation is TCP
    assert play.ping(2) == 20


def sent_by_x(play, encapsulation):
    """The flags of the RREQs that X sent on an encapsulation of datagrams, but of CONFIRMs."""
    messages = play.messages("mobile", RegistrationRequest)
    there = [one for one in messages if carrier_of(one.sent or ()) is encapsulation]
    flags = [AttemptFlag(one.attempt.flags) for one in there]
    return [each for each in flags if each is not AttemptFlag.CONFIRM]


def test_once_registered_what_may_be_better_is_probed_and_nothing_else_repeated():
    play = Play(Firewall(NO_UDP), allow=(UDP, TCP), start=(UDP, TCP)).move().wait(9)
    assert sent_by_x(play, UDP) == [AttemptFlag(0), AttemptFlag.PROBE, AttemptFlag.PROBE]
    play = Play(Napt("192.0.2.1"), start=(NATIVE, UDP), stagger=0).move().wait(9)
    assert sent_by_x(play, NATIVE) == [AttemptFlag.PROBE]


@pytest.mark.parametrize(
    ("kind", "port"),
    [(TCP, 4500), (TLS, 443), (HTTP, 4500), (HTTP, 443), (HTTP_POST, 4500), (HTTP_POST, 443)],
    ids=str,
)
def test_every_stream_carries_registration_and_data(kind, port):
    flags = ITEM_INSIDE_TLS if port == 443 and kind is not TLS else 0
    item = EncapsulationItem(kind.code, flags, port)
    play = Play(Napt("192.0.2.1"), items=(item,), round_trip=0.02).move()
    assert play.ping(2) == 20  # the first ones waited for the stream
    assert play.encapsulation is kind
    (registered,) = play.told(Registered)
    assert registered.selected[0].code == kind.code
    assert told(play.other, RegistrationReceived)[0].path.encapsulation is kind
    assert play.told(RegistrationFailed) == []
    play.wait(120)
    assert play.told(KeepaliveLost) == []
    assert play.ping(1) == 10


def test_data_waits_for_a_stream_100_ms_and_no_longer():
    play = Play(allow=(TCP,), round_trip=0.15).move()
    play.ping_once().wait(0.09).ping_once().wait(0.2)
    assert [each.reason for each in play.told(PacketDropped)] == [DropReason.WAITED_TOO_LONG]
    play.passed(
        "mobile",
        """
        150 ms  tcp 198.51.100.2:49152 > 203.0.113.2:4500  RREQ #1
        150 ms  tcp 198.51.100.2:49152 > 203.0.113.2:4500  ping 2
        """,
    )


@pytest.mark.parametrize("flag", [AttemptFlag.OTHER_PORT, AttemptFlag.OTHER_ADDRESS])
def test_on_a_stream_the_answer_has_no_other_way(flag, monkeypatch):
    """X asks for the answer from elsewhere: it comes on the stream of the RREQ all the same."""
    monkeypatch.setitem(exchange.PLANS, exchange.Purpose.REGISTER, exchange.Plan(flag))
    alternates = (Endpoint(OTHER_TERMINAL.address, 4501), Endpoint.of("203.0.113.3", 4500))
    play = Play(allow=(TCP,), other={"alternates": alternates}).move().wait(0.2)
    (registered,) = play.told(Registered)
    assert registered.reply_translations == ()
    assert told(play.other, PacketDropped) == []


@pytest.mark.parametrize(("demanded", "used"), [(b"", TLS), (b"certificate", TCP)], ids=str)
def test_interception_is_reported_and_fatal_where_the_certificate_is_demanded(demanded, used):
    items = EncapsulationItem(TCP.code), EncapsulationItem(TLS.code, port=443)
    tls_verify = sha256(demanded).digest() if demanded else b""
    interceptor = Interceptor([443], certificate=b"other")
    changes = {"start": (TLS,), "tls_verify": tls_verify, "round_trip": 0.02}
    play = Play(interceptor, items=items, **changes).move()
    assert play.ping(2) == 20
    assert play.encapsulation is used
    refused = {one.sha256 for one in play.told(CertificateRefused)}
    assert refused == ({sha256(b"other").digest()} if demanded else set())
    (registered,) = play.told(Registered)
    natures = {each.nature for each in registered.translations}
    assert (NatureCode.INTERCEPTED in natures) is not bool(demanded)


def test_where_a_proxy_refuses_upgrade_posts_carry_it():
    proxy = Interceptor([4500], rewriting=Rewriting(upgrade=Upgrade.REFUSE, via="p"))
    play = Play(proxy, allow=(HTTP, HTTP_POST)).move()
    play.wait(1)
    assert play.ping(2) == 20
    assert play.encapsulation is HTTP_POST
    (registered,) = play.told(Registered)
    assert registered.rtt == pytest.approx(ROUND_TRIP, abs=1e-5)
    assert NatureCode.PROXIED in {each.nature for each in registered.translations}
    play.wait(3)  # nobody speaks, and a request waits
    play.other.send(echo_request(INNER_HOST, HOME, 1))
    play.wait(ROUND_TRIP / 2 + 0.001)
    assert len(play.mobile.inner) == 21
    play.wait(120)
    assert play.told(KeepaliveLost, StreamLost) == []
    assert play.ping(1) == 10
    play.move()
    play.wait(2)
    assert play.ping(1) == 10
    assert len(play.other.terminal._streams) <= 4
    assert len(play.mobile.terminal._streams) == 2


def test_udp_only_at_first_then_all_that_is_allowed():
    play = Play(Firewall(NO_UDP), allow=(UDP, TCP)).move()
    play.wait(34)
    assert len(play.told(RegistrationFailed)) == 1
    assert play.encapsulation is TCP
    assert play.ping(2) == 20


def test_from_tcp_back_to_udp_when_the_filter_is_gone():
    play = Play(allow=(UDP, TCP), start=(TCP,))
    play.firewall.blocks = (NO_UDP,)
    play.move()
    play.wait(5)
    play.firewall.blocks = ()
    play.wait(60)
    assert play.encapsulation is UDP
    assert play.ping(1) == 10


def test_keepalives_hold_a_mapping_of_30_seconds():
    play = Play(Napt("192.0.2.1", timeout=30)).move()
    play.ping(1)
    play.wait(600)
    assert [type(event) for event in play.told(KeepaliveLost, Moved)] == [Moved]
    play.other.send(echo_request(INNER_HOST, HOME, 1))
    play.wait(0.1)
    assert len(play.mobile.inner) == 11


def test_a_dead_path_is_noticed_and_left():
    play = Play(allow=(UDP, TCP)).move()
    play.ping(1)
    play.firewall.blocks = (NO_UDP,)
    play.wait(110)
    assert len(play.told(KeepaliveLost)) == 1
    assert play.encapsulation is TCP


def test_a_reboot_of_the_nat_is_survived():
    nat = Napt("192.0.2.1")
    play = Play(nat).move()
    play.ping(1)
    nat.reboot()
    play.ping(3)
    play.wait(70)
    assert play.ping(1) == 10
    assert play.mobile.terminal.state is MobileState.REGISTERED


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("allow", [(UDP,), (NATIVE, UDP), (NATIVE, UDP, TCP)], ids=len)
def test_losses(seed, allow):
    loss = Loss(0.3, in_a_row=8)
    play = Play(loss, allow=allow, start=allow, seed=seed).move()
    play.ping(20)
    loss.probability = 0.0
    play.wait(100)
    assert play.mobile.terminal.state is MobileState.REGISTERED
    assert play.agreed
    assert play.ping(1) == 10


@pytest.mark.parametrize("pause", [0.01, 0.06, 0.12, 0.3])
def test_flapping(pause):
    play = Play()
    for _ in range(10):
        play.move()
        play.ping(pause, pause)
    play.wait(5)
    assert play.encapsulation is NATIVE
    assert play.ping(1) == 10
    assert play.told(Registered, PathChosen)[-1].attempt == 10


def test_two_interfaces_one_of_them_dead():
    play = Play(allow=(UDP,))
    dead = play.network.core.segment([Firewall(NO_UDP)], ["198.51.100.9"])
    gone = Endpoint.of("198.51.100.9", 4500)
    play.mobile.move_all([(dead, gone), (play.segment, play.place)])
    play.ping(1)
    assert play.mobile.terminal.path.local == play.place
    assert play.other.terminal.path(HOME).remote == play.place
    assert play.ping(1) == 10


@pytest.mark.parametrize("allow", [(NATIVE, UDP), (TCP,), (HTTP,)], ids=["udp", "tcp", "http"])
def test_behind_nat64(allow):
    """Y has IPv4 alone, X has IPv6 alone; over HTTP X names Y by the address that Y knows."""
    prefix = ip_address("64:ff9b::").packed[:12]
    play = Play(allow=allow, nat64_prefix=prefix)
    chain = [Delay(ROUND_TRIP / 2), Nat64("192.0.2.64")]
    inside = play.network.core.segment(chain, ["192.0.2.64"])
    play.mobile.move(inside, Endpoint.of("2001:db8::2", 4500))
    play.wait(1)
    assert play.ping(2) == 20
    assert play.mobile.terminal.path.encapsulation is allow[-1]
    (event,) = play.told(Registered)
    assert NatureCode.PROTOCOL in {each.nature for each in event.translations}
    assert NatureCode.PROTOCOL in {each.nature for each in event.reply_translations}


@pytest.mark.parametrize("told", [False, True], ids=["configured", "told"])
def test_from_ipv4_to_ipv6_and_back(told):
    address = "2001:db8:ffff::1"
    known = (ip_address(address).packed,)
    play = Play(other={"addresses": known}) if told else Play(other_addresses=known)
    play.move()
    play.ping(1)
    six = play.network.core.segment([Delay(ROUND_TRIP / 2)], ["2001:db8::2"])
    others = play.network.core.segment([], [address])
    play.network.core.release("203.0.113.2")
    four = play.network.core.segment([], ["203.0.113.2"])
    play.other.attach_all([(four, OTHER_TERMINAL), (others, Endpoint.of(address, 4500))])
    play.mobile.move(six, Endpoint.of("2001:db8::2", 4500))
    assert play.ping(1) == 10
    assert len(play.other.terminal.path(HOME).remote.address) == 16
    assert play.encapsulation is NATIVE
    play.move()
    assert play.ping(1) == 10
    assert len(play.other.terminal.path(HOME).remote.address) == 4


@pytest.mark.parametrize("translated", [False, True])
def test_with_a_nat64_configured_both_ways_to_y_are_tried(translated):
    """Y told its IPv6 address, where an IPv6 network without NAT64 reaches it."""
    address, prefix = "2001:db8:ffff::1", ip_address("64:ff9b::").packed[:12]
    play = Play(other={"addresses": (ip_address(address).packed,)}, nat64_prefix=prefix)
    play.move()
    play.ping(1)
    delay = Delay(ROUND_TRIP / 2)
    if translated:
        six = play.network.core.segment([delay, Nat64("192.0.2.64")], ["192.0.2.64"])
    else:
        six = play.network.core.segment([delay], ["2001:db8::2"])
        others = play.network.core.segment([], [address])
        play.network.core.release("203.0.113.2")
        four = play.network.core.segment([], ["203.0.113.2"])
        play.other.attach_all([(four, OTHER_TERMINAL), (others, Endpoint.of(address, 4500))])
    play.mobile.move(six, Endpoint.of("2001:db8::2", 4500))
    play.wait(1)
    assert play.ping(1) == 10
    assert play.encapsulation is (UDP if translated else NATIVE)
    assert play.told(RegistrationFailed) == []
    assert len(play.other.terminal.path(HOME).remote.address) == (4 if translated else 16)


def test_a_stream_that_is_cut_starts_an_attempt():
    play = Play(allow=(TCP,)).move()
    play.ping(1)
    other = play.other.terminal
    play.network.after(0, partial(other._close, other.path(HOME), "test", play.network.now))
    play.network.after(1, play.other.pump)
    play.wait(2)
    assert play.ping(1) == 10
    assert play.mobile.terminal.attempt == 2


def test_a_move_while_a_post_is_not_answered_loses_no_data():
    play = Play(allow=(HTTP_POST,), round_trip=0.04).move().wait(1)
    play.other.on_inner = lambda packet: None
    for _ in range(10):
        play.ping_once().wait(0.002)
    play.roam().wait(1)
    assert len(play.other.inner) == 10
    assert not play.mobile.terminal.drops
