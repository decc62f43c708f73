import pytest
from ike import clear, notify, outer

from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import Exchange, NotifyType
from scapy_mobsec.ike.payloads import parse_payload
from scapy_mobsec.observer.ike_messages import (
    IkeExchange,
    Reading,
    SeenMessage,
    whole_round_trip_ns,
)


def seen(*items, **fields):
    message = parse_message(clear(Exchange.INFORMATIONAL, *items, **fields))
    contents = tuple(parse_payload(each) for each in message.payloads)
    return SeenMessage(1, 0, outer(), message.header, contents, Reading.VERIFIED)


def test_request_and_response_have_a_place_each_that_is_taken_once():
    exchange, request, response = IkeExchange(), seen(), seen(response=True)
    assert exchange.take(response)
    assert exchange.messages == [response]
    assert exchange.take(request)
    assert exchange.messages == [request, response]
    assert not exchange.take(seen())
    assert not exchange.take(seen(response=True))


@pytest.mark.parametrize(
    ("asked", "answered", "proved"),
    [
        (None, None, None),
        (bytes(8), bytes(8), True),
        (bytes(8), b"8 octets", False),
        (bytes(8), None, False),
    ],
)
def test_a_path_is_proved_by_cookie2_come_back(asked, answered, proved):
    def cookie(data):
        return [] if data is None else [notify(NotifyType.COOKIE2, data)]

    exchange = IkeExchange(seen(*cookie(asked)))
    assert exchange.path_proved is None
    exchange.take(seen(*cookie(answered), response=True))
    assert exchange.path_proved is proved


def test_errors_are_the_notifications_below_16384():
    assert seen(notify(NotifyType.COOKIE2, bytes(8))).error is None
    message = seen(notify(16384), notify(NotifyType.UNACCEPTABLE_ADDRESSES))
    assert message.error.kind == NotifyType.UNACCEPTABLE_ADDRESSES
    assert [each.kind for each in message.notifies(NotifyType.INITIAL_CONTACT)] == [16384]


def took(milliseconds, *, initiator):
    exchange = IkeExchange(seen(initiator=initiator), seen(response=True, initiator=not initiator))
    exchange.response.time_ns = milliseconds * 10**6
    return exchange


def test_the_round_trip_is_the_shortest_of_both_ends_together():
    assert whole_round_trip_ns([]) is None
    ours = [took(20, initiator=True), took(30, initiator=True)]
    assert whole_round_trip_ns([*ours, IkeExchange(request=seen())]) is None
    assert whole_round_trip_ns([*ours, took(7, initiator=False)]) == 27_000_000


def test_an_exchange_without_an_answer_took_no_time_that_is_known():
    assert IkeExchange(request=seen()).duration_ns is None
    assert took(3, initiator=True).duration_ns == 3_000_000
