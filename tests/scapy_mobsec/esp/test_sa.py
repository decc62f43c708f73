"""SAs: what goes in comes out once, and whatever else comes in is dropped with its reason."""

from contextlib import suppress
from dataclasses import replace
from os import urandom
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suites import CBC, COMBINED, SEPARATE, UNVERIFIABLE, VERIFIABLE

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import InboundSa, OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES

CBC_SHA256 = "aes-cbc-hmac-sha2-256-128"


def sender(parameters, **numbers):
    return OutboundSa(parameters, random_bytes=Random(1).randbytes, **numbers)


def protect(parameters, plaintext, sequence=1):
    """A packet with a good ICV around any plaintext, well padded or not."""
    suite = parameters.suite
    header = parameters.spi.to_bytes(4) + (sequence % 2**32).to_bytes(4)
    high = (sequence >> 32).to_bytes(4) if parameters.esn else b""
    iv = bytes(range(suite.iv_length))
    row = suite.protection(parameters.encryption_key, parameters.integrity_key)
    return header + iv + row.encrypt(header, high, iv, plaintext)


# Parameters


@pytest.mark.parametrize("name", VERIFIABLE)
def test_every_key_length(make_parameters, name):
    for key_length in SUITES[name].key_lengths:
        parameters = make_parameters(name, key_length=key_length)
        assert InboundSa(parameters).open(sender(parameters).seal(b"data", 17)).payload == b"data"


@pytest.mark.parametrize("name", SUITES)
def test_wrong_encryption_key_length(name):
    suite = SUITES[name]
    for length in {*range(40)} - {n + suite.salt_length for n in suite.key_lengths}:
        with pytest.raises(ValueError, match="encryption key"):
            SaParameters(256, suite, bytes(length))


@pytest.mark.parametrize("name", SEPARATE)
@pytest.mark.parametrize("excess", [-32, -12, -1, 1])
def test_wrong_integrity_key_length(name, excess):
    suite = SUITES[name]
    key = bytes(min(suite.key_lengths) + suite.salt_length)
    with pytest.raises(ValueError, match="integrity key"):
        SaParameters(256, suite, key, bytes(max(suite.integrity_key_length + excess, 0)))


@pytest.mark.parametrize("name", [*COMBINED, *UNVERIFIABLE])
def test_suites_without_an_integrity_key(name):
    suite = SUITES[name]
    with pytest.raises(ValueError, match="no integrity key"):
        SaParameters(256, suite, bytes(min(suite.key_lengths) + suite.salt_length), bytes(20))


@pytest.mark.parametrize("spi", [-1, 0, 2**32])
def test_impossible_spi(make_parameters, spi):
    with pytest.raises(ValueError, match="SPI"):
        make_parameters(spi=spi)


@pytest.mark.parametrize("high", [-1, 2**32])
def test_impossible_upper_half(make_parameters, high):
    with pytest.raises(ValueError, match="upper half"):
        replace(make_parameters(esn=True), esn_high=high)


def test_no_key_in_a_representation():
    parameters = SaParameters(256, SUITES[CBC_SHA256], b"a secret, a key!", b"a secret, a key!" * 2)
    for thing in (parameters, InboundSa(parameters), sender(parameters)):
        assert "secret" not in repr(thing)


@pytest.mark.parametrize(
    "numbers",
    [{"first_sequence": 0}, {"first_sequence": -1}, {"last_sequence": 2**32}],
)
def test_impossible_sequence_numbers(make_parameters, numbers):
    with pytest.raises(ValueError, match="sequence numbers"):
        sender(make_parameters(), **numbers)


def test_extended_sequence_numbers_end_at_64_bits(make_parameters):
    with pytest.raises(ValueError, match="sequence numbers"):
        sender(make_parameters(esn=True), last_sequence=2**64)


# There and back


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 255)), max_size=12), st.randoms())
def test_round_trip_in_any_order(parameters, contents, random):
    outbound, inbound = sender(parameters), InboundSa(parameters)
    packets = []
    for number, (payload, next_header) in enumerate(contents, 1):
        assert outbound.next_sequence == number
        packet = outbound.seal(payload, next_header)
        assert len(packet) == outbound.sealed_length(len(payload))
        packets.append((packet, (payload, next_header, number, True)))
    random.shuffle(packets)
    for packet, expected in packets:
        assert inbound.open(packet) == expected
    for packet, _ in packets:
        with pytest.raises(Drop) as caught:
            inbound.open(packet)
        assert caught.value.reason is DropReason.REPLAYED


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        # 8 header, 8 IV, 16 ICV, the rest in words of 4
        ("aes-gcm-16", {0: 36, 1: 36, 2: 36, 3: 40, 600: 636, 1400: 1436}),
        # 8 header, 16 IV, 16 ICV, the rest in blocks of 16
        (CBC_SHA256, {0: 56, 14: 56, 15: 72, 600: 648}),
        ("aes-cbc-hmac-sha1-96", {0: 52, 14: 52, 15: 68, 600: 644}),
        # 8 header, 8 IV, 12 ICV, the rest in blocks of 8
        ("3des-cbc-hmac-sha1-96", {0: 36, 6: 36, 7: 44}),
        ("aes-ctr-hmac-sha2-512-256", {0: 52, 2: 52, 3: 56}),
        ("null-hmac-sha2-384-192", {0: 36, 2: 36, 3: 40}),
        ("aes-ccm-8", {0: 28, 2: 28, 3: 32}),
    ],
)
def test_sealed_length(make_parameters, name, lengths):
    sa = sender(make_parameters(name))
    assert {n: sa.sealed_length(n) for n in lengths} == lengths


@pytest.mark.parametrize("name", [*COMBINED, "aes-ctr-hmac-sha1-96"])
def test_a_counting_iv_is_the_sequence_number(make_parameters, name):
    sa = sender(make_parameters(name, esn=True), first_sequence=2**32 - 1)
    ivs = [sa.seal(b"", 59)[8:16] for _ in range(3)]
    assert ivs == [n.to_bytes(8) for n in range(2**32 - 1, 2**32 + 2)]


@pytest.mark.parametrize("name", CBC)
def test_cbc_iv_comes_from_random_bytes(make_parameters, name):
    asked = []

    def random_bytes(n):
        asked.append(urandom(n))
        return asked[-1]

    sa = OutboundSa(make_parameters(name), random_bytes=random_bytes)
    end = 8 + SUITES[name].iv_length
    assert [sa.seal(b"same", 17)[8:end] for _ in range(5)] == asked
    assert len(set(asked)) == 5


# Sequence numbers


def test_exhausted_never_wraps(parameters, drops):
    last = 2**64 - 1 if parameters.esn else 2**32 - 1
    outbound = sender(parameters, first_sequence=last - 1)
    inbound = InboundSa(parameters, ceiling=last - 2)
    assert [inbound.open(outbound.seal(b"", 59)).sequence for _ in range(2)] == [last - 1, last]
    for _ in range(3):
        with drops(DropReason.SEQUENCE_EXHAUSTED):
            outbound.seal(b"", 59)


def test_a_block_of_numbers_ends(parameters, drops):
    sa = sender(parameters, first_sequence=7, last_sequence=9)
    sealed = [sa.seal(b"", 59)[4:8] for _ in range(3)]
    assert sealed == [n.to_bytes(4) for n in (7, 8, 9)]
    with drops(DropReason.SEQUENCE_EXHAUSTED):
        sa.seal(b"", 59)


@pytest.mark.parametrize("name", CBC)
def test_a_failed_seal_spends_its_number(make_parameters, name):
    parameters = make_parameters(name)
    iv = iter([OSError("no entropy"), bytes(parameters.suite.iv_length)])

    def random_bytes(_):
        value = next(iv)
        if isinstance(value, OSError):
            raise value
        return value

    sa = OutboundSa(parameters, random_bytes=random_bytes)
    with pytest.raises(OSError, match="entropy"):
        sa.seal(b"data", 17)
    assert InboundSa(parameters).open(sa.seal(b"data", 17)).sequence == 2


def test_next_header_must_be_an_octet(parameters):
    sa = sender(parameters)
    for next_header in (-1, 256):
        with pytest.raises(ValueError, match="range"):
            sa.seal(b"", next_header)
    assert sa.next_sequence == 1


def test_esn_goes_on_over_32_bits(make_parameters):
    for name in VERIFIABLE:
        parameters = make_parameters(name, esn=True)
        outbound = sender(parameters, first_sequence=2**32 - 3)
        inbound = InboundSa(parameters, ceiling=2**32 - 4)
        packets = [outbound.seal(b"", 59) for _ in range(6)]
        order = [0, 4, 1, 3, 5, 2]
        assert [inbound.open(packets[n]).sequence - (2**32 - 3) for n in order] == order


def test_esn_high_half_is_under_the_icv(make_parameters, drops):
    for name in VERIFIABLE:
        parameters = make_parameters(name, esn=True)
        packet = sender(parameters, first_sequence=2**32 + 5).seal(b"", 59)
        with drops(DropReason.BAD_ICV):
            InboundSa(parameters).open(packet)
        assert InboundSa(parameters, ceiling=2**32).open(packet).sequence == 2**32 + 5


# What is dropped, and that it changes nothing


def test_zero(parameters, drops):
    with drops(DropReason.SEQUENCE_ZERO):
        InboundSa(parameters).open(protect(parameters, b"\1\2\2\x3b" * 4, sequence=0))


def test_too_old(parameters, drops):
    outbound, inbound = sender(parameters), InboundSa(parameters, window=4)
    packets = [outbound.seal(b"", 59) for _ in range(5)]
    inbound.open(packets[4])
    # With ESN, the number is taken for one of the next 2^32, and its ICV says no.
    with drops(DropReason.BAD_ICV if parameters.esn else DropReason.TOO_OLD):
        inbound.open(packets[0])
    assert inbound.open(packets[1]).sequence == 2


def test_the_window_is_1024_wide(make_parameters, drops):
    outbound, inbound = sender(make_parameters()), InboundSa(make_parameters())
    packets = [outbound.seal(b"", 59) for _ in range(1025)]
    assert inbound.open(packets[1024]).sequence == 1025
    assert inbound.open(packets[1]).sequence == 2
    with drops(DropReason.TOO_OLD):
        inbound.open(packets[0])


def test_no_window(parameters):
    packet, inbound = sender(parameters).seal(b"", 59), InboundSa(parameters, window=0)
    assert inbound.open(packet) == inbound.open(packet)


def test_of_another_sa(parameters, drops):
    packet = sender(parameters).seal(b"", 59)
    with drops(DropReason.UNKNOWN_SPI):
        InboundSa(replace(parameters, spi=0x4321)).open(packet)


def test_every_shorter_packet(parameters):
    packet = sender(parameters).seal(bytes(14), 17)
    suite, inbound = parameters.suite, InboundSa(parameters)
    shortest = 8 + suite.iv_length + 2 + suite.icv_length
    for length in range(len(packet)):
        with pytest.raises(Drop) as caught:
            inbound.open(packet[:length])
        expected = DropReason.BAD_ICV
        if length < shortest:
            expected = DropReason.ESP_TOO_SHORT
        elif (length - shortest + 2) % suite.block_length:
            expected = DropReason.ESP_UNALIGNED
        assert caught.value.reason is expected
    assert inbound.open(packet).payload == bytes(14)


def test_every_octet_is_protected(parameters):
    """No change of one octet opens, or moves the window, or blocks the packet itself."""
    packet = sender(parameters, first_sequence=5000).seal(b"some data", 17)
    inbound = InboundSa(parameters)
    for position in range(len(packet)):
        changed = bytearray(packet)
        changed[position] ^= 0x81
        with pytest.raises(Drop) as caught:
            inbound.open(bytes(changed))
        expected = DropReason.UNKNOWN_SPI if position < 4 else DropReason.BAD_ICV
        assert caught.value.reason is expected
        assert inbound.replay.highest == 0
    assert inbound.open(packet).sequence == 5000


@pytest.mark.parametrize(
    "plaintext",
    [
        bytes(12) + b"\0\0\2\x3b",  # zeros
        bytes(12) + b"\2\1\2\x3b",  # the wrong way round
        bytes(12) + b"\1\3\2\x3b",  # last one wrong
        bytes(12) + b"\2\2\2\x3b",  # first one wrong
        bytes(range(1, 15)) + b"\x0f\x3b",  # one more than there is
        bytes(range(1, 15)) + b"\xff\x3b",
        bytes(14) + b"\1\x3b",
    ],
)
def test_bad_padding(parameters, drops, plaintext):
    inbound = InboundSa(parameters)
    with drops(DropReason.BAD_PADDING):
        inbound.open(protect(parameters, plaintext, sequence=3))
    assert inbound.replay.highest == 0
    good = protect(parameters, bytes(range(1, 15)) + b"\x0e\x3b", sequence=3)
    assert inbound.open(good) == (b"", 59, 3, True)


def test_unaligned_stream_cipher_text_opens(make_parameters):
    packet = protect(make_parameters(), b"12345\x00\x11")
    assert InboundSa(make_parameters()).open(packet) == (b"12345", 17, 1, True)


def test_more_padding_than_needed(parameters):
    """Up to 255 octets, to hide the length (RFC 4303 section 2.4)."""
    plaintext = bytes(15) + bytes(range(1, 256)) + b"\xff\x04"
    assert InboundSa(parameters).open(protect(parameters, plaintext)).payload == bytes(15)


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4), st.booleans())
def test_only_drop_escapes_random_octets(parameters, octets, number, unverified):
    if unverified and parameters.suite.integrity_key_length:
        parameters = SaParameters(parameters.spi, parameters.suite, parameters.encryption_key)
    inbound = InboundSa(parameters)
    for packet in (octets, parameters.spi.to_bytes(4) + number + octets):
        with suppress(Drop):
            assert not inbound.open(packet).verified
        assert inbound.replay.highest == 0


MUTATION = st.tuples(st.sampled_from("xidt"), st.integers(0, 120), st.integers(1, 255))


def mutate(packet, mutations):
    """Change, insert, delete octets, truncate."""
    octets = bytearray(packet)
    for kind, position, value in mutations:
        position = min(position, len(octets))
        if kind == "x":
            octets[position : position + 1] = bytes(
                octet ^ value for octet in octets[position : position + 1]
            )
        elif kind == "i":
            octets.insert(position, value)
        elif kind == "d":
            del octets[position : position + 1]
        else:
            del octets[position:]
    return bytes(octets)


@settings(deadline=None, max_examples=40)
@given(st.lists(MUTATION, min_size=1, max_size=4), st.binary(max_size=60))
def test_only_drop_escapes_mutations(parameters, mutations, payload):
    """And good packets between them open: nothing that failed is left in the SA."""
    outbound, inbound = sender(parameters, first_sequence=100), InboundSa(parameters)
    for _ in range(3):
        packet = outbound.seal(payload, 17)
        changed = mutate(packet, mutations)
        before = inbound.replay.highest
        if changed != packet:
            with pytest.raises(Drop):
                inbound.open(changed)
        assert inbound.replay.highest == before
        assert inbound.open(packet).payload == payload


# Without the integrity key


@pytest.fixture(params=SEPARATE)
def known_and_unknown(request, make_parameters):
    known = make_parameters(request.param)
    return known, SaParameters(known.spi, known.suite, known.encryption_key)


def test_opened_unverified(known_and_unknown):
    known, unknown = known_and_unknown
    inbound, packet = InboundSa(unknown), sender(known).seal(b"data", 17)
    for icv in (packet[-12:], bytes(12)):
        assert inbound.open(packet[:-12] + icv) == (b"data", 17, 1, False)
    assert inbound.replay.highest == 0


@pytest.mark.parametrize("name", CBC)
def test_nonsense_is_still_noticed(make_parameters, drops, name):
    known = make_parameters(name)
    suite = known.suite
    inbound, icv = InboundSa(replace(known, integrity_key=None)), bytes(suite.icv_length)
    header = known.spi.to_bytes(4) + b"\0\0\0\1" + bytes(suite.iv_length)
    with drops(DropReason.ESP_UNALIGNED):
        inbound.open(header + bytes(17) + icv)
    with drops(DropReason.BAD_PADDING):
        inbound.open(header + bytes(32) + icv)
    assert inbound.open(sender(known).seal(b"data", 17)).payload == b"data"


@pytest.mark.parametrize("cipher", ["aes-cbc", "aes-ctr", "3des-cbc", "null"])
@pytest.mark.parametrize("integrity", ["aes-xcbc-96", "hmac-sha2-256-128", "hmac-sha2-384-192"])
def test_an_icv_of_an_unknown_algorithm(make_parameters, cipher, integrity):
    """Just as many octets are cut off, and nothing is verified or sealed."""
    known = make_parameters(f"{cipher}-{integrity}")
    bits = known.suite.icv_length * 8
    suite = SUITES[f"{cipher}-unknown-{bits}"]
    unknown = replace(known, suite=suite, integrity_key=None)
    assert not unknown.verifiable
    assert InboundSa(unknown).open(sender(known).seal(b"data", 17)) == (b"data", 17, 1, False)
    without = replace(unknown, suite=SUITES[f"{cipher}-none"])
    packet = sender(known).seal(b"data", 17)[: -bits // 8]
    assert InboundSa(without).open(packet) == (b"data", 17, 1, False)
    for parameters in (unknown, without):
        with pytest.raises(ValueError, match="no integrity key to seal with"):
            sender(parameters)


def test_not_sealed(known_and_unknown):
    _, unknown = known_and_unknown
    with pytest.raises(ValueError, match="no integrity key"):
        sender(unknown)
    row = unknown.suite.protection(unknown.encryption_key, None)
    with pytest.raises(ValueError, match="integrity key"):
        row.encrypt(bytes(8), b"", bytes(16), bytes(16))
