from dataclasses import replace

import pytest
from frames import GATEWAY, NEW, OLD, TO_MOBILE, Bench, reply, request, signalling
from ike import clear, fragments, init_request, keys, nonce, notify, sealed
from shown import WITH_IKE_KEYS, Shown, shown

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.ui.diagram import Shape

INSIDE = Endpoint.of("10.0.0.2", 4500)


def drawn(bench):
    return Shown(bench.report, bench.packets).diagrams


def steps(bench):
    (diagram,) = drawn(bench)
    return [("->" if step.to_right else "<-", step.text) for step in diagram.steps]


def ike(octets, source=OLD, destination=GATEWAY):
    udp = build_udp(source.address, destination.address, 500, 500, octets)
    return build_ip(source.address, destination.address, 17, udp)


def test_the_end_that_asks_is_left_whoever_speaks_first(bench):
    bench.see(bench.down(), bench.up(payload=signalling(request(source=OLD))))
    bench.see(bench.down(payload=signalling(reply())))
    (diagram,) = drawn(bench)
    assert (diagram.title, diagram.left, diagram.right) == ("Link 1", str(OLD), str(GATEWAY))
    assert steps(bench) == [
        ("<-", "1 x data [udp]"),
        ("->", "RREQ #1 [udp]"),
        ("<-", "RREP #1 accepted USE [udp]"),
    ]


def test_without_a_registration_the_end_that_moves_is_left(bench):
    bench.see(bench.down(), bench.down(NEW), bench.up(NEW))
    assert steps(bench) == [
        ("<-", "1 x data [udp]"),
        ("->", f"moved: udp {OLD} -> udp {NEW}, no registration seen"),
        ("<-", "1 x data [udp]"),
        ("->", "1 x data [udp]"),
    ]


def test_what_was_translated_stands_with_the_message(bench):
    bench.see(bench.up(NEW, payload=signalling(request(source=INSIDE))), bench.up(NEW))
    (diagram,) = drawn(bench)
    assert diagram.translator
    asked, data = diagram.steps
    assert asked.notes == ("source address and port 10.0.0.2:4500 -> 192.0.2.1:40001",)
    assert (asked.translated, data.translated, data.notes) == (True, True, ())


def test_who_translates_an_address_translates_whatever_goes_there(bench):
    bench.see(bench.up(NEW, payload=signalling(request(source=INSIDE))), bench.up(NEW))
    bench.see(bench.native(bench.seal(TO_MOBILE), GATEWAY, NEW))
    (diagram,) = drawn(bench)
    assert [step.translated for step in diagram.steps if step.shape is not Shape.MOVE] == [True] * 3


def test_who_translates_a_port_alone_need_not_translate_other_paths(bench):
    at_port = request(source=NEW._replace(port=4500))
    bench.see(bench.up(NEW, payload=signalling(at_port)), bench.up(NEW))
    bench.see(bench.native(bench.seal(TO_MOBILE), GATEWAY, NEW))
    (diagram,) = drawn(bench)
    translated = [step.translated for step in diagram.steps if step.shape is not Shape.MOVE]
    assert translated == [True, True, False]


def test_a_move_tells_who_the_ends_are_from_here_on(bench):
    bench.see(bench.down(), bench.down(NEW), bench.up(NEW))
    (diagram,) = drawn(bench)
    assert (diagram.left, diagram.right) == (str(OLD), str(GATEWAY))
    (moved,) = (step for step in diagram.steps if step.shape is Shape.MOVE)
    assert (moved.left, moved.right) == (str(NEW), str(GATEWAY))


def test_what_goes_elsewhere_than_the_link_says_so(bench):
    good, other_port = bench.up(), OLD._replace(port=31337)
    bench.see(ike(init_request()), good, ike(init_request(), source=NEW))
    bench.see(bench.udp(good[28:], other_port), bench.udp(good[28:], NEW))
    bench.see(bench.native(good[28:], OLD), bench.native(good[28:], NEW))
    (diagram,) = drawn(bench)
    assert diagram.left == str(OLD)
    assert [text for _, text in steps(bench)] == [
        "IKE_SA_INIT #0: sa, ke, nonce",
        "1 x data [udp]",
        f"IKE_SA_INIT #0, repeated [udp from {NEW._replace(port=500)}]",
        f"1 x REPLAYED [udp from {other_port}]",
        f"1 x REPLAYED [udp from {NEW}]",
        "1 x REPLAYED [native]",
        "1 x REPLAYED [native from 192.0.2.1]",
    ]


def test_nothing_doubtful_is_quiet(bench):
    good = bench.up()
    bench.see(good, good[:-1] + bytes([good[-1] ^ 1]))
    bench.see(good, after=5)
    bench.see(bench.up(payload=signalling(request(source=OLD, sent=None))))
    (diagram,) = drawn(bench)
    told = {step.text: step.loud for step in diagram.steps}
    assert told == {
        "1 x data [udp]": False,
        "1 x WRONG ICV [udp]": True,
        "1 x REPLAYED [udp]": True,
        "RREQ #1 [udp] (poorly formed registration message)": True,
    }


def test_a_message_that_is_not_verified_says_so(bench):
    bench.see(bench.up(payload=signalling(request(source=OLD))))
    (seen,) = bench.packets
    bench.packets[:] = [seen._replace(opened=seen.opened._replace(verified=False))]
    (diagram,) = drawn(bench)
    (step,) = diagram.steps
    assert (step.text, step.loud) == ("RREQ #1 [udp] NOT VERIFIED", True)


def test_ike_that_is_not_verified_says_so():
    sa_keys = keys("aes-cbc", "hmac-sha1-96")
    bench = Bench(ike_keys=[replace(sa_keys, sk_ai=None, sk_ar=None)])
    bench.see(ike(sealed(sa_keys, 37, nonce(bytes(16)), mid=3)))
    (diagram,) = drawn(bench)
    (step,) = diagram.steps
    assert (step.text, step.loud) == ("INFORMATIONAL #3: nonce, NOT VERIFIED", True)


def test_data_that_is_not_verified_says_so(bench):
    bench.see(bench.up(), after=1)
    bench.see(bench.up())
    second = bench.packets[1]
    bench.packets[1] = second._replace(opened=second.opened._replace(verified=False))
    (diagram,) = drawn(bench)
    told = [(step.text, step.loud) for step in diagram.steps]
    assert told == [("1 x data [udp]", False), ("1 x data [udp] NOT VERIFIED", True)]


def test_what_no_key_opens_is_a_diagram_without_link(bench):
    bench.see(bench.native((7).to_bytes(4) + bytes(40)), bench.native((7).to_bytes(4) + bytes(40)))
    (diagram,) = drawn(bench)
    assert (diagram.title, diagram.left) == ("No link", "198.51.100.2")
    assert [(step.text, step.loud) for step in diagram.steps] == [
        ("2 x encrypted (no SA with this SPI) [native] in 10.000 ms", False)
    ]


def test_ike_that_is_no_message_of_its_own(bench):
    whole = init_request()
    bench.see(ike(whole), ike(whole), ike(init_request(notify(7))[:-3]))
    assert [text for _, text in steps(bench)] == [
        "IKE_SA_INIT #0: sa, ke, nonce",
        "IKE_SA_INIT #0, repeated",
        "IKE: not a well-formed IKE message",
    ]


def test_a_fragment_is_named_by_its_exchange():
    bench = Bench(ike_keys=[keys()])
    bench.see(*map(ike, fragments(keys(), 37, nonce(bytes(100)), mid=3)))
    assert [text for _, text in steps(bench)] == [
        "INFORMATIONAL #3, a fragment",
        "INFORMATIONAL #3, a fragment",
        "INFORMATIONAL #3: nonce",
    ]


def test_payloads_of_one_kind_are_counted(bench):
    vendors = (13, b"one"), (13, b"two"), (20, bytes(20)), (13, b"three")
    bench.see(ike(clear(2, *vendors, version=0x10)))
    assert [text for _, text in steps(bench)] == ["MAIN_MODE: 2 x vendor_id, nat_d, vendor_id"]


def test_a_refused_move_and_one_of_encapsulation(bench):
    bench.see(bench.up(), bench.native(bench.seal(TO_MOBILE), GATEWAY, OLD))
    bench.see(bench.up(NEW, payload=signalling(request())))
    bench.see(bench.down(NEW, payload=signalling(reply(code=129))))
    (diagram,) = drawn(bench)
    marks = [step.text for step in diagram.steps if step.shape is Shape.MOVE]
    assert marks[0] == "moved: udp -> native, no registration seen"
    assert marks[-1].endswith("REFUSED")


@pytest.mark.parametrize("name", ["strongswan-natt", WITH_IKE_KEYS])
def test_a_mobike_move_and_ike_stand_with_the_link(name):
    (diagram,) = shown(name).diagrams
    assert diagram.steps[0].text.startswith("IKE_SA_INIT #0")
    assert diagram.steps[0].to_right
    assert sum(step.shape is Shape.MOVE for step in diagram.steps) == 1


def test_a_move_that_is_not_verified_says_so(unverified):
    (diagram,) = drawn(unverified)
    (move,) = (step for step in diagram.steps if step.shape is Shape.MOVE)
    assert move.loud
    assert move.text.endswith(f"udp {NEW}, NOT VERIFIED")


def test_a_number_that_is_too_old_to_tell(bench):
    bench.see(bench.up())
    (seen,) = bench.packets
    forgotten = DropReason.SEQUENCE_FORGOTTEN
    bench.packets.append(seen._replace(type=PacketType.REPEATED, dropped=forgotten))
    assert steps(bench) == [("->", "1 x data [udp]"), ("->", "1 x TOO OLD TO TELL [udp]")]
