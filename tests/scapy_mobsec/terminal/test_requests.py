"""What RREQs of X say."""

from scripted import NATIVE, TCP, UDP, Script, items
from terminals import NEW, OTHER

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.registration.description import EncapsulationItem


def test_supported_is_what_is_allowed_cheapest_first_without_ports():
    script = Script(allow=(EncapsulationItem(2, port=443), EncapsulationItem(1, port=4500)))
    script.move()
    assert script.last().request.supported == items(UDP, TCP)


def test_forced_is_in_every_request():
    script = Script(UDP, forced=True, keepalive=20)
    script.move()
    script.reply(script.last())
    script.wait(61)
    flags = [out.request.attempt.flags for out in script.outs if out.request]
    assert flags[0] == AttemptFlag.FORCED
    assert set(flags[1:]) == {AttemptFlag.FORCED | AttemptFlag.PROBE}


def test_a_native_request_describes_itself():
    script = Script(NATIVE)
    script.move()
    request = script.last().request
    assert (request.care_of_address, request.home_agent) == (NEW.address, OTHER.address)
    assert [type(header).__name__ for header in request.sent] == ["Ipv4Header", "EspHeader"]
    assert 1200 <= len(script.last().data) <= 1232


def test_the_confirm_carries_the_response_alone():
    script = Script(UDP)
    script.move()
    script.reply(script.last(), challenge=b"8 octets")
    confirm = script.last(flags=AttemptFlag.CONFIRM)
    assert confirm.request.response == b"8 octets"
    assert confirm.request.sent == script.outs[0].request.sent
    assert confirm.request.supported is confirm.request.report is None
    assert len(confirm.data) < 200


def test_after_an_rreq_of_others_it_goes_on_above_that():
    script = Script(UDP)
    script.move()
    requests = script.mobile._requests
    last = requests.identifications.last
    requests.go_on_after(last + 5, 9)
    assert (requests.attempt, requests.identifications.last) == (9, last + 5)
    requests.go_on_after(last, 3)
    assert (requests.attempt, requests.identifications.last) == (9, last + 5)
