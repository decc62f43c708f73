"""Terminals that send what others wrote, and whose counters stay above that."""

from dataclasses import replace

import pytest
from terminals import MOBILE_LINK, OLD, OTHER, OTHER_LINK, SUPPORTED, TRANSLATED, Pair, drops

from contrib_layers.numbers import ReplyCode
from scapy_mobsec.drivers.simulation import HOME, SIGNALLING
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import UDP, build_ip
from scapy_mobsec.registration.messages import (
    Attempt,
    build_reply,
    build_request,
    parse_reply,
    parse_request,
)
from scapy_mobsec.terminal import crafting
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.crafting import CraftingMobile, CraftingOther
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.signalling import build_signalling


class CraftingPair(Pair):
    def __init__(self, mode=None):
        super().__init__()
        links = (MOBILE_LINK, OTHER_LINK)
        if mode:
            links = tuple(replace(link, mode=mode) for link in links)
            self.as_mobile = self._forger(links[0], at_mobile=True)
        random = {"random_bytes": self.random.randbytes}
        self.mobile = CraftingMobile(MobileConfiguration(links[0], OTHER, keepalive=0), **random)
        self.other = CraftingOther(OtherConfiguration((links[1],), SUPPORTED[:1]), **random)
        self.rreqs, self.rreps = [], []
        self.other.on_message = lambda home, message: self.rreqs.append((home, message))
        self.mobile.on_message = lambda home, message: self.rreps.append((home, message))

    def craft(self, **changes):
        request = parse_request(self.mobile.write_request(self.now))
        return replace(request, **changes)

    def send(self, request):
        """X sends an RREQ of others; return the RREP that came, None without one."""
        packet = inner(HOME, SIGNALLING, build_request(request))
        self.mobile.send_request(packet, self.now)
        before = len(self.rreps)
        self.carry()
        return parse_reply(self.rreps[-1][1]) if len(self.rreps) > before else None

    def carry(self):
        """All that they have to say to each other."""
        while out := self.mobile.transmits(self.now):
            for transmit in out:
                self.to_other(transmit.data, OLD)
            for transmit in self.other.transmits(self.now):
                self.to_mobile(transmit.data)


def inner(source, destination, message):
    return build_ip(source, destination, UDP, build_signalling(source, destination, message))


@pytest.fixture
def pair():
    pair = CraftingPair()
    pair.register()
    return pair


def test_a_crafted_request_is_accepted_and_moves_nothing(pair):
    before = pair.mobile.path, pair.other.path(HOME), pair.mobile.attempt
    reply = pair.send(pair.craft())
    assert reply.code == ReplyCode.ACCEPTED
    assert (pair.mobile.path, pair.other.path(HOME), pair.mobile.attempt) == before
    assert not drops(pair.mobile)
    assert not drops(pair.other)


def test_it_goes_as_it_is(pair):
    request = pair.craft()
    changed = replace(
        request,
        sent=(request.sent[0], replace(request.sent[1], source_port=31337), request.sent[2]),
    )
    pair.send(changed)
    assert parse_request(pair.rreqs[-1][1]) == changed


@pytest.mark.parametrize("mode", [None, Transport()])
def test_in_every_mode(mode):
    pair = CraftingPair(mode)
    pair.register()
    assert pair.send(pair.craft()).code == ReplyCode.ACCEPTED


def test_the_terminal_goes_on_above_its_identification(pair):
    far = pair.craft().identification + (1 << 40)
    pair.send(pair.craft(identification=far))
    assert pair.craft().identification == far + 1


def test_the_terminal_goes_on_in_a_newer_attempt(pair):
    request = pair.craft()
    pair.send(replace(request, attempt=replace(request.attempt, number=70)))
    assert pair.mobile.attempt == 70
    assert pair.send(pair.craft()).code == ReplyCode.ACCEPTED
    pair.mobile.move([OLD], pair.now)
    assert pair.mobile.attempt == 71


def test_what_it_used_is_on_disk_before_it_leaves(pair):
    pair.mobile.snapshot()
    request = pair.craft()
    pair.send(replace(request, attempt=replace(request.attempt, number=70)))
    assert pair.mobile.snapshot_due == 0
    snapshot = pair.mobile.snapshot()
    assert snapshot.attempt >= 70
    assert snapshot.identification >= request.identification
    pair.send(pair.craft())
    assert pair.mobile.snapshot_due == 0


def test_an_older_attempt_is_stale_and_changes_nothing(pair):
    request = pair.craft()
    pair.send(replace(request, attempt=replace(request.attempt, number=7)))
    reply = pair.send(replace(pair.craft(), attempt=request.attempt))
    assert reply.code == ReplyCode.IDENTIFICATION_MISMATCH
    assert pair.mobile.attempt == 7
    assert not drops(pair.mobile)


def test_no_number_is_used_twice(pair):
    pair.send(pair.craft())
    first = pair.mobile.status().sas
    pair.send(pair.craft())
    assert pair.mobile.status().sas != first
    assert DropReason.REPLAYED not in drops(pair.other)


def test_what_is_no_message_is_sent_too(pair):
    pair.mobile.send_request(inner(HOME, SIGNALLING, b"\x01short"), pair.now)
    pair.to_other(pair.from_mobile().data, OLD)
    assert drops(pair.other)[-1] is DropReason.POORLY_FORMED
    assert pair.rreqs[-1] == (HOME, b"\x01short")


def test_without_a_path_nothing_is_written():
    pair = CraftingPair()
    for ask in (
        lambda: pair.mobile.write_request(pair.now),
        lambda: pair.mobile.send_request(inner(HOME, SIGNALLING, b""), pair.now),
    ):
        with pytest.raises(Drop) as drop:
            ask()
        assert drop.value.reason is DropReason.NO_PATH


def test_a_reply_that_nobody_asked_for_is_still_dropped(pair):
    reply = parse_reply(pair.rreps[-1][1])
    other = replace(reply, identification=reply.identification + 12345, challenge=None)
    pair.to_mobile(pair.as_other.seal_message(build_reply(other)))
    assert drops(pair.mobile)[-1] is DropReason.UNSOLICITED_REPLY


# Y


def refused(home, request, reply):
    return build_reply(replace(parse_reply(reply), code=64))


def test_a_reply_is_altered(pair):
    told = []
    pair.other.alter = lambda *all_: told.append(all_) or refused(*all_)
    request = pair.craft()
    assert pair.send(request).code == 64
    home, asked, reply = told[-1]
    assert (home, parse_request(asked)) == (HOME, request)
    assert parse_reply(reply).code == ReplyCode.ACCEPTED


def test_a_refusal_is_altered_too(pair):
    """Its Identification is not that of the RREQ."""
    pair.other.alter = refused
    old = pair.craft().identification - (1 << 40)
    assert pair.send(pair.craft(identification=old, attempt=Attempt(0))).code == 64


def test_a_reply_is_held_back_and_sent_by_others(pair):
    held = []
    pair.other.alter = lambda home, request, reply: held.append(reply) or b""
    assert pair.send(pair.craft()) is None
    pair.other.send_reply(inner(SIGNALLING, HOME, held[-1]))
    pair.to_mobile(pair.from_other().data)
    assert pair.rreps[-1][1] == held[-1]


def test_a_reply_goes_the_way_that_its_request_came(pair):
    pair.other.alter = lambda home, request, reply: b""
    request = pair.craft()
    pair.give_message(build_request(request), TRANSLATED)
    held = replace(parse_reply(pair.rreps[-1][1]), identification=request.identification)
    pair.other.send_reply(inner(SIGNALLING, HOME, build_reply(held)))
    assert pair.from_other().path.remote == TRANSLATED
    pair.other.send_reply(inner(SIGNALLING, HOME, build_reply(replace(held, identification=1))))
    assert pair.from_other().path.remote == OLD
    pair.other.send_reply(inner(SIGNALLING, HOME, b"nonsense"))
    assert pair.from_other().path.remote == OLD


def test_the_repetition_of_a_challenge_is_altered_too():
    pair = CraftingPair()
    request = pair.move()
    pair.to_other(request.data, OLD)
    pair.from_other()
    pair.other.alter = refused
    pair.now += 0.6
    pair.other.handle_timer(pair.now)
    assert parse_reply(pair.read_reply(pair.from_other())).code == 64


def test_replies_to_nowhere(pair):
    with pytest.raises(Drop) as drop:
        pair.other.send_reply(inner(SIGNALLING, SIGNALLING, b""))
    assert drop.value.reason is DropReason.UNKNOWN_HOME
    with pytest.raises(Drop) as drop:
        CraftingPair().other.send_reply(inner(SIGNALLING, HOME, b""))
    assert drop.value.reason is DropReason.NO_PATH


def test_requests_that_are_remembered_are_bounded(pair):
    for _ in range(2 * crafting.MAX_CRAFTED):
        pair.send(pair.craft())
    assert len(pair.other._requests) == crafting.MAX_CRAFTED
    assert len(pair.mobile._crafted) == crafting.MAX_CRAFTED
