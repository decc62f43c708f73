"""Frames, capsules and messages read from any octet on."""

import pytest
from frames import TO_GATEWAY
from http_samples import ID, NAMED, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.carrier import Carried
from scapy_mobsec.encap.http_message import MAX_HEADERS
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer.stream_units import (
    MAX_UNCERTAIN,
    Kind,
    UnitReader,
    end_of_head,
    is_of_channel,
)
from scapy_mobsec.registration.description import HttpHeader

SPI = TO_GATEWAY.to_bytes(4, "big")
ESP = SPI + bytes(range(1, 29))
OTHER_ESP = b"\1\2\3\4" + bytes(28)
IKE = bytes(range(28))
FRAME, OTHER = wrap_frame(Content.ESP, ESP), wrap_frame(Content.ESP, OTHER_ESP)
CAPSULE = wrap_capsule(ESP)
KEEPALIVE, EMPTY = b"\0\3\xff", b"\0\2"
GREASE = b"\x17\5grease"[:7]
TAIL = b"\x99" * 12
"""What shows nothing, so that the end of a search is seen."""


class Reading:
    """What a reader found in octets that come in parts of a size."""

    def __init__(self, octets, size, kind=None, **options):
        self.drops = []
        self.reader = UnitReader(
            kind,
            lambda spi: spi == TO_GATEWAY,
            lambda drop: self.drops.append(drop.reason),
            **options,
        )
        self.carried = []
        for at in range(0, len(octets), size):
            self.carried += self.reader.receive(octets[at : at + size])

    @property
    def messages(self):
        return [one.message for one in self.carried]


SIZES = pytest.mark.parametrize("size", [1, 7, 50, 100_000])


@SIZES
@pytest.mark.parametrize(
    ("octets", "kind", "found"),
    [
        (FRAME, Kind.TCP, [ESP]),
        (b"xyz" + FRAME + FRAME, Kind.TCP, [ESP, ESP]),
        (FRAME + wrap_frame(Content.IKE, IKE) + FRAME, Kind.TCP, [ESP, IKE, ESP]),
        (FRAME + KEEPALIVE + EMPTY + FRAME, Kind.TCP, [ESP, b"", ESP]),
        (FRAME + OTHER + FRAME + OTHER + FRAME, Kind.TCP, [ESP, ESP, ESP]),
        (FRAME[5:] + OTHER + FRAME, Kind.TCP, [ESP]),
        (b"xyz" + CAPSULE, Kind.HTTP, [ESP]),
        (CAPSULE[3:] + CAPSULE + GREASE + CAPSULE, Kind.HTTP, [ESP, ESP]),
        (wrap_capsule(ESP + bytes(1000)), Kind.HTTP, [ESP + bytes(1000)]),
        (wrap_capsule(ESP + bytes(20_000)), Kind.HTTP, [ESP + bytes(20_000)]),
        (CAPSULE[1:] + CAPSULE, Kind.HTTP, [ESP]),
        (OTHER, None, []),
        (b"\0\6" + SPI + bytes(30), None, []),
        (SPI + bytes(30), None, []),
        (posted(FRAME, NAMED), Kind.POST, [ESP]),
        (posted(FRAME, NAMED)[30:] + posted(FRAME * 2), Kind.POST, [ESP] * 3),
        (posted(FRAME)[-20:] + posted(OTHER, NAMED) + posted(b""), Kind.POST, [OTHER_ESP]),
        (posted(FRAME)[-50:] + posted(FRAME, NAMED), Kind.POST, [ESP, ESP]),
        (FRAME + b"\r\nPOST is no head", Kind.TCP, [ESP]),
    ],
)
def test_units_are_found_in_the_midst(octets, kind, found, size):
    reading = Reading(octets + TAIL, size)
    assert (reading.messages, reading.reader.kind) == (found, kind)
    assert kind in (Kind.POST, Kind.HTTP) or not reading.drops


@SIZES
@pytest.mark.parametrize(
    ("octets", "kind", "found", "reason"),
    [
        (FRAME + b"\0\0" + FRAME + OTHER, Kind.TCP, [ESP, ESP, OTHER_ESP], "BAD_FRAME_LENGTH"),
        (OTHER + b"\0\1" + OTHER + FRAME, Kind.TCP, [OTHER_ESP] * 2 + [ESP], "BAD_FRAME_LENGTH"),
        (FRAME + b"\0\4ab" + FRAME, Kind.TCP, [ESP, ESP], "TRUNCATED"),
        (CAPSULE + b"\0\0" + CAPSULE, Kind.HTTP, [ESP, ESP], "MALFORMED_CAPSULE"),
        (CAPSULE + wrap_capsule(b"ab") + CAPSULE, Kind.HTTP, [ESP, ESP], "TRUNCATED"),
        (CAPSULE + b"\x29\xbf\xff\xff\xff" + CAPSULE, Kind.HTTP, [ESP, ESP], "CAPSULE_TOO_LONG"),
        (posted(FRAME + b"\0\1" + FRAME) + posted(FRAME), Kind.POST, [ESP] * 2, "BAD_FRAME_LENGTH"),
        (posted(FRAME[:-1]) + posted(FRAME), Kind.POST, [ESP], "TRUNCATED"),
        (b"SSH-2.0\r\n\r\n" + posted(FRAME), Kind.POST, [ESP], "MALFORMED_HTTP"),
        (
            post_answer(FRAME, status=b"404 No") + post_answer(FRAME),
            Kind.POST,
            [ESP],
            "HTTP_REFUSED",
        ),
    ],
)
def test_what_cannot_be_read_is_told_and_passed(octets, kind, found, reason, size):
    reading = Reading(octets, size, kind, is_place=True)
    assert reading.messages == found
    assert reading.drops == [DropReason[reason]]


@SIZES
def test_an_empty_payload_is_none(size):
    assert Reading(CAPSULE + wrap_capsule(b""), size, Kind.HTTP, is_place=True).messages == [ESP]


@SIZES
def test_a_chunk_that_is_none_ends_a_message(size):
    head = b"POST /mobsec HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % len(FRAME) + FRAME + b"\r\n"
    reading = Reading(head + chunk + b"no\r\n" + posted(FRAME), size, Kind.POST, is_place=True)
    assert (reading.messages, reading.drops) == ([ESP, ESP], [DropReason.MALFORMED_HTTP])


def test_a_head_without_an_end():
    reading = Reading(b"A" * MAX_HEADERS + posted(FRAME), 1000, Kind.POST, is_place=True)
    assert (reading.messages, reading.drops) == ([ESP], [DropReason.MALFORMED_HTTP])


def test_what_messages_say():
    reading = Reading(posted(FRAME, NAMED), 10)
    assert (reading.reader.channel, reading.reader.from_client) == (ID, True)
    assert reading.reader.headers == (HttpHeader("POST", "y.example", "/mobsec"),)
    reading = Reading(post_answer(FRAME), 10)
    assert (reading.reader.channel, reading.reader.from_client) == (ID, False)
    assert reading.reader.certain


@SIZES
def test_many_frames_without_a_head_are_those_of_a_stream(size):
    count = MAX_UNCERTAIN // len(FRAME) + 1
    reading = Reading(FRAME * count + OTHER, size)
    assert reading.messages == [ESP] * count + [OTHER_ESP]
    assert reading.reader.certain
    assert not Reading(FRAME * (count - 1), size).reader.certain


@SIZES
def test_behind_missing_octets_spis_that_were_read_are_known(size):
    reading = Reading(OTHER + FRAME + OTHER[:9], size, Kind.TCP, is_place=True)
    reading.reader.lose()
    assert reading.reader.octets == 0
    assert reading.reader.receive(b"xyz" + OTHER) == [Carried(Content.ESP, OTHER_ESP)]


def test_the_other_end_tells_the_kind():
    reader = Reading(FRAME, 7).reader
    assert not reader.certain
    reader.is_told(Kind.TCP)
    assert reader.receive(OTHER) == [Carried(Content.ESP, OTHER_ESP)]


PARTS = st.sampled_from(
    [
        *(FRAME, OTHER, CAPSULE, KEEPALIVE, EMPTY, GREASE, b"\0\1", b"POST ", b"\r\n\r\n"),
        *(posted(FRAME), posted(OTHER + FRAME, NAMED), post_answer(FRAME), TAIL, FRAME[7:]),
    ]
)


@given(
    st.lists(PARTS, max_size=8), st.sampled_from([None, Kind.TCP, Kind.HTTP, Kind.POST]), st.data()
)
def test_any_cutting_gives_the_same(parts, kind, data):
    octets = b"".join(parts)
    is_place = kind is not None and data.draw(st.booleans())
    whole = Reading(octets, 1 << 20, kind, is_place=is_place)
    cut = Reading(octets, data.draw(st.integers(1, 40)), kind, is_place=is_place)
    assert (cut.carried, cut.drops) == (whole.carried, whole.drops)
    assert cut.reader.kind is whole.reader.kind


def test_heads():
    head = posted(b"x", NAMED, b"POST /other HTTP/1.1")
    assert end_of_head(head) == len(head) - 1
    assert end_of_head(head[:-3]) == 0
    assert is_of_channel(head)
    assert is_of_channel(posted(b""))
    assert not is_of_channel(posted(b"", b"", b"POST /other HTTP/1.1"))
