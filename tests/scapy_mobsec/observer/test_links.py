"""Moves as a capture shows them: each test is what comes in, packet by packet, and what is told."""

from frames import (
    GATEWAY,
    HOME,
    INNER_HOST,
    NEW,
    OLD,
    TO_GATEWAY,
    TO_MOBILE,
    Bench,
    Keys,
    ah,
    gcm,
    reply,
    request,
    signalling,
)

import scapy_mobsec.observer.links as links_module
from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.links import Evidence, Links
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.messages import Attempt

CONFIRM = AttemptFlag.CONFIRM


def told(bench):
    return [(str(move.left), str(move.reached)) for move in bench.report.moves]


def test_both_directions_of_one_path_are_one_link_and_no_move(bench):
    bench.see(bench.up(), bench.down(), bench.up(), bench.down())
    assert [sa.link for sa in bench.report.sas] == [1, 1]
    assert bench.report.moves == []


def test_a_move_is_told_once_with_all_sas_that_follow(bench):
    bench.see(bench.up(), bench.down(), bench.up(NEW), bench.down(NEW), bench.up(NEW))
    (move,) = bench.report.moves
    assert (move.left, move.reached, move.peer, move.moved) == (OLD, NEW, GATEWAY, "source")
    assert move.spis == [TO_GATEWAY, TO_MOBILE]
    assert (move.frame, move.signalled) == (3, False)


def test_packets_still_under_way_to_the_old_address_move_nothing_back(bench):
    bench.see(bench.up(), bench.down(), bench.up(NEW), bench.down(OLD), bench.down(NEW))
    assert told(bench) == [(str(OLD), str(NEW))]


def test_a_late_packet_from_the_old_address_moves_nothing_back(bench):
    late = bench.up(OLD)
    bench.see(bench.up(OLD), bench.up(NEW), late)
    assert told(bench) == [(str(OLD), str(NEW))]


def test_back_and_forth_is_two_moves(bench):
    bench.see(bench.up(OLD), bench.up(NEW), bench.up(OLD))
    assert told(bench) == [(str(OLD), str(NEW)), (str(NEW), str(OLD))]


def test_the_gateway_side_alone_shows_the_move_at_its_destination(bench):
    bench.see(bench.down(OLD), bench.down(NEW))
    (move,) = bench.report.moves
    assert (move.moved, move.left, move.reached, move.peer) == ("destination", OLD, NEW, GATEWAY)


def test_a_new_port_alone_is_a_move(bench):
    bench.see(bench.up(OLD), bench.up(Endpoint(OLD.address, 4501)))
    assert told(bench) == [(str(OLD), "198.51.100.2:4501")]


def test_a_change_of_encapsulation_is_a_move(bench):
    bench.see(bench.up(OLD), bench.native(bench.seal(TO_GATEWAY)))
    (move,) = bench.report.moves
    assert move.new.encapsulation is Encapsulation.NATIVE
    assert (move.moved, move.peer) == ("encapsulation", Endpoint(GATEWAY.address))


def test_ports_that_go_with_the_encapsulation_hide_nothing(bench):
    bench.see(bench.up(OLD), bench.native(bench.seal(TO_GATEWAY), NEW))
    (move,) = bench.report.moves
    assert (move.moved, move.left, move.reached) == ("source", OLD, Endpoint(NEW.address))
    assert move.peer == Endpoint(GATEWAY.address)


def test_from_ah_to_esp_is_a_move_between_the_same_addresses():
    bench = Bench(Keys(gcm(TO_GATEWAY), ah(0x3003)))
    bench.see(bench.by_ah(0x3003), bench.native(bench.seal(TO_GATEWAY)))
    (move,) = bench.report.moves
    assert (str(move.old), str(move.new)) == (
        "ah 198.51.100.2 > 203.0.113.2",
        "native 198.51.100.2 > 203.0.113.2",
    )
    assert move.moved == "encapsulation"
    assert {sa.link for sa in bench.report.sas} == {1}


def test_from_udp_to_tcp_between_the_same_ports_is_a_move():
    links, sa = Links(), ObservedSa(TO_GATEWAY)
    udp = Outer(Encapsulation.UDP, *OLD, *GATEWAY)
    assert links.follow(sa, udp, None, None, 1, 1, verified=True) is None
    tcp = udp._replace(encapsulation=Encapsulation.TCP)
    move = links.follow(sa, tcp, None, None, 2, 2, verified=True)
    assert (move.moved, move.left, move.reached) == ("encapsulation", OLD, OLD)


def registered(bench, spi, number, source):
    """An RREQ of an attempt, by an SA that never moved."""
    message = signalling(request(number, number, source, spi=spi))
    return bench.udp(bench.seal(spi, message), source)


def test_back_to_where_another_sa_stayed_is_a_move_where_an_attempt_says_so():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    first, second = registered(bench, TO_GATEWAY, 1, OLD), registered(bench, 0x3003, 2, NEW)
    bench.see(first, second, bench.up(OLD), registered(bench, TO_GATEWAY, 1, OLD))
    assert told(bench) == [(str(OLD), str(NEW))]
    bench.see(registered(bench, TO_GATEWAY, 3, OLD))
    assert told(bench) == [(str(OLD), str(NEW)), (str(NEW), str(OLD))]


def test_both_ends_moved(bench):
    elsewhere = Endpoint.of("203.0.113.9", 4500)
    bench.see(bench.up(OLD), bench.udp(bench.seal(TO_GATEWAY), NEW, elsewhere))
    (move,) = bench.report.moves
    assert (move.moved, move.peer) == ("both", None)


def test_a_rekeyed_sa_at_the_new_address_belongs_to_its_link_by_the_inner_addresses():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE), gcm(0x3003), gcm(0x4004)))
    bench.see(bench.up(OLD), bench.down(OLD))
    back = build_ip(INNER_HOST, HOME, 1, b"ping")
    forth = build_ip(HOME, INNER_HOST, 1, b"ping")
    bench.see(bench.udp(bench.seal(0x4004, back), GATEWAY, NEW))
    bench.see(bench.udp(bench.seal(0x3003, forth), NEW, GATEWAY))
    (move,) = bench.report.moves
    assert (move.moved, move.left, move.reached) == ("destination", OLD, NEW)
    assert move.spis == [0x4004, 0x3003]
    assert {sa.link for sa in bench.report.sas} == {1}


def test_other_inner_addresses_at_other_endpoints_are_another_link():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    other = build_ip(Endpoint.of("10.10.1.9").address, INNER_HOST, 1, b"ping")
    bench.see(bench.up(OLD), bench.udp(bench.seal(0x3003, other), NEW, GATEWAY))
    assert [sa.link for sa in bench.report.sas] == [1, 2]
    assert bench.report.moves == []


def test_a_replay_from_elsewhere_moves_nothing(bench):
    esp = bench.seal(TO_GATEWAY)
    bench.see(bench.udp(esp, OLD), bench.udp(esp, NEW))
    assert bench.report.moves == []


def test_forged_and_unknown_packets_move_nothing(bench):
    bench.see(bench.up(OLD), bench.up(NEW, octet=9), bench.udp(bench.seal(0x5005), NEW))
    assert bench.report.moves == []


def test_moves_are_bounded_but_all_counted(bench, monkeypatch):
    monkeypatch.setattr(links_module, "MAX_MOVES", 2)
    summary = bench.see(*(bench.up(side) for _ in range(3) for side in (OLD, NEW)))
    assert len(bench.report.moves) == 2
    assert summary.moves == 5
    assert bench.report.not_kept == 3


def test_the_same_private_addresses_between_other_hosts_are_another_link():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    elsewhere = Endpoint.of("203.0.113.9", 4500)
    inner = build_ip(HOME, INNER_HOST, 1, b"ping")
    for _ in range(3):
        bench.see(bench.up(OLD), bench.udp(bench.seal(0x3003, inner), NEW, elsewhere))
    assert [sa.link for sa in bench.report.sas] == [1, 2]
    assert bench.report.moves == []


def test_two_clients_that_talk_through_one_gateway_are_two_links():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    inner = build_ip(HOME, INNER_HOST, 1, b"ping")
    for _ in range(2):
        bench.see(bench.up(OLD), bench.udp(bench.seal(0x3003, inner), GATEWAY, NEW))
    assert [sa.link for sa in bench.report.sas] == [1, 2]
    assert bench.report.moves == []


def test_the_first_packet_of_the_reverse_direction_may_be_late(bench):
    bench.see(bench.up(OLD), bench.up(NEW), bench.down(OLD), bench.down(NEW))
    assert told(bench) == [(str(OLD), str(NEW))]


def test_two_moves_before_the_reverse_direction_follows_the_first(bench):
    third = Endpoint.of("192.0.2.77", 4500)
    bench.see(bench.up(OLD), bench.down(OLD), bench.up(NEW), bench.up(third))
    bench.see(bench.down(NEW), bench.down(third))
    assert told(bench) == [(str(OLD), str(NEW)), (str(NEW), str(third))]


def test_broadcasts_of_two_clients_make_no_link():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    inner = build_ip(bytes(4), b"\xff" * 4, 17, bytes(8))
    bench.see(bench.up(OLD, payload=inner), bench.udp(bench.seal(0x3003, inner), NEW))
    assert bench.report.moves == []


def path(mobile, gateway=GATEWAY):
    return Outer(Encapsulation.UDP, *mobile, *gateway)


def test_mobike_moves_the_link_of_its_sas_and_data_only_joins(bench):
    bench.see(bench.up(), bench.down())
    links = bench.observer._links
    move = links.signal(1, path(OLD), path(NEW), 0, 3, verified=True)
    assert (move.evidence, move.signalled, move.spis) == (Evidence.MOBIKE, True, [])
    bench.see(bench.up(NEW), bench.down(NEW))
    assert bench.report.moves == [move]
    assert move.spis == [TO_GATEWAY, TO_MOBILE]


def test_mobike_after_data_signals_the_move_that_data_made(bench):
    bench.see(bench.up(), bench.up(NEW))
    (move,) = bench.report.moves
    assert bench.observer._links.signal(1, path(OLD), path(NEW), 0, 3, verified=True) is move
    assert (move.evidence, move.signalled, move.verified) == (Evidence.DATA, True, True)
    bench.observer._links.signal(1, path(OLD), path(NEW), 0, 4, verified=False)
    assert not move.verified


def test_mobike_of_sas_that_were_not_seen_begins_a_link():
    links = Links()
    first = links.signal(None, path(OLD), path(NEW), 0, 1, verified=True)
    again = links.signal(None, path(NEW), path(OLD), 0, 2, verified=True)
    assert (first.link, again.link, len(links)) == (1, 1, 1)
    assert (again.left, again.reached) == (NEW, OLD)
    assert links.signal(None, path(OLD), path(OLD), 0, 3, verified=True) is again
    assert Links().signal(None, path(OLD), path(OLD), 0, 1, verified=True) is None


def asks(bench, source, number=1, **options):
    message = signalling(request(number, number, source, **options))
    return bench.udp(bench.seal(TO_GATEWAY, message), source)


def answers(bench, destination, number=1, **options):
    esp = bench.seal(TO_MOBILE, signalling(reply(number, number, **options)))
    return bench.udp(esp, GATEWAY, destination)


def at_old(bench):
    """The link is registered at OLD."""
    bench.see(asks(bench, OLD), answers(bench, OLD))
    bench.see(asks(bench, OLD, flags=CONFIRM, response=bytes(8)))
    return bench


def causes(bench):
    return [
        (str(move.reached), move.frame, move.evidence, move.signalled)
        for move in bench.report.moves
    ]


def test_data_of_the_mobile_terminal_moves_no_registered_link_until_the_other_follows(bench):
    """So it is with a rebinding."""
    at_old(bench).see(bench.up(NEW), bench.down(OLD), bench.up(NEW))
    assert bench.report.moves == []
    bench.see(bench.down(NEW), bench.up(NEW), asks(bench, NEW))  # frame 7, and what refreshes it
    assert causes(bench) == [(str(NEW), 7, Evidence.DATA, False)]


def test_where_no_reply_is_seen_data_of_the_mobile_terminal_moves(bench):
    bench.see(asks(bench, OLD), bench.up(NEW))
    assert causes(bench) == [(str(NEW), 2, Evidence.DATA, False)]


def test_a_copied_request_moves_until_the_other_path_is_proved(bench):
    """Data from there tells nothing before that, and a second proof nothing after it."""
    genuine = Endpoint(OLD.address, 4501)
    confirm = {"number": 2, "flags": CONFIRM, "response": bytes(8)}
    at_old(bench).see(asks(bench, NEW, 2), bench.up(genuine))
    assert causes(bench) == [(str(NEW), 4, Evidence.REGISTRATION, True)]
    bench.see(asks(bench, genuine, **confirm), bench.up(genuine), asks(bench, NEW, **confirm))
    assert causes(bench)[1:] == [(str(genuine), 6, Evidence.VALIDATION, True)]


def test_a_proof_of_another_attempt_moves_nothing(bench):
    at_old(bench).see(asks(bench, OLD, 2), asks(bench, NEW, 1, flags=CONFIRM, response=bytes(8)))
    assert bench.report.moves == []


def test_a_stale_request_moves_nothing_and_the_next_attempt_does(bench):
    at_old(bench).see(asks(bench, OLD, 2), asks(bench, NEW, 1), answers(bench, NEW, 1, code=133))
    bench.see(bench.up(NEW))
    assert bench.report.moves == []
    bench.see(asks(bench, NEW, 3))
    assert causes(bench) == [(str(NEW), 8, Evidence.REGISTRATION, True)]
    assert not bench.report.moves[0].refused


def test_a_repeated_request_from_elsewhere_moves_nothing_unless_the_path_is_used(bench):
    at_old(bench).see(asks(bench, NEW, 1), answers(bench, NEW, 1, flags=0))
    assert bench.report.moves == []
    bench.see(answers(bench, NEW, 1))
    assert causes(bench) == [(str(NEW), 6, Evidence.REGISTRATION, True)]


def test_a_late_reply_of_an_older_attempt_moves_nothing(bench):
    at_old(bench).see(asks(bench, OLD, 2), answers(bench, NEW, 1))
    assert bench.report.moves == []


def test_of_requests_in_parallel_the_reply_tells_and_both_directions_are_one_link(bench):
    """The first path is where the link begins; data there may come before."""
    first, second = ({"attempt": Attempt(1, 0, index, 2)} for index in range(2))
    bench.see(asks(bench, OLD, **first), bench.up(OLD), asks(bench, NEW, **second))
    bench.see(answers(bench, NEW, attempt=Attempt(1, AttemptFlag.USE, 1, 2)), bench.up(NEW))
    assert causes(bench) == [(str(NEW), 4, Evidence.REGISTRATION, True)]
    assert {sa.link for sa in bench.report.sas} == {1}


def test_data_that_goes_before_the_reply_to_parallel_requests_shows_the_move_they_told(bench):
    at_old(bench).see(asks(bench, NEW, 2, attempt=Attempt(2, 0, 0, 2)), bench.up(NEW))
    bench.see(answers(bench, NEW, attempt=Attempt(2, AttemptFlag.USE, 0, 2)))
    assert causes(bench) == [(str(NEW), 4, Evidence.REGISTRATION, True)]
    (move,) = bench.report.moves
    assert [each.asked.frame for each in bench.report.registrations if each.move is move] == [4]
    bench.see(bench.up(OLD))  # asked and answered: data tells nothing again
    assert len(bench.report.moves) == 1


def test_what_older_requests_in_parallel_told_is_forgotten(bench):
    at_old(bench).see(asks(bench, NEW, 2, attempt=Attempt(2, 0, 0, 2)))
    bench.see(asks(bench, OLD, 3, attempt=Attempt(3, 0, 0, 2)), bench.up(NEW))
    assert causes(bench) == [(str(NEW), 6, Evidence.DATA, False)]


def test_what_was_proved_in_an_older_attempt_is_not_proved_in_this_one(bench):
    at_old(bench).see(asks(bench, OLD, 2))
    bench.see(asks(bench, NEW, 2, flags=CONFIRM, response=bytes(8)))
    assert causes(bench) == [(str(NEW), 5, Evidence.VALIDATION, True)]


def test_each_sa_goes_forward_or_backward(bench):
    bench.see(bench.down(), bench.up(), bench.up(NEW), bench.down(NEW))
    assert [sa.forward for sa in bench.report.sas] == [True, False]


def test_two_ends_at_one_address_have_directions_too(bench):
    one, other = Endpoint.of("127.0.0.1", 4500), Endpoint.of("127.0.0.1", 4501)
    bench.see(bench.udp(bench.seal(TO_GATEWAY), one, other))
    bench.see(bench.udp(bench.seal(TO_MOBILE), other, one))
    assert [sa.forward for sa in bench.report.sas] == [True, False]


def test_a_move_is_verified_where_all_that_told_it_is():
    links, sa = Links(), ObservedSa(TO_GATEWAY)
    here, there = Outer(Encapsulation.UDP, *OLD, *GATEWAY), Outer(Encapsulation.UDP, *NEW, *GATEWAY)
    links.follow(sa, here, None, None, 1, 1, verified=True)
    move = links.follow(sa, there, None, None, 2, 2, verified=True)
    links.follow(sa, there, None, None, 3, 3, verified=False)
    assert move.verified
    links.follow(sa, there, None, request(), 4, 4, verified=False)
    assert move.signalled
    assert not move.verified
    assert not links.follow(sa, here, None, None, 5, 5, verified=False).verified
