"""The choice as a table, and what holds for every input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.choice import choose

NATIVE, UDP, TCP, TLS, HTTP, POST = ALL = tuple(Encapsulation)
SETS = st.sets(st.sampled_from(ALL))


@pytest.mark.parametrize(
    ("translated", "supported", "passed", "allowed", "forced", "chosen"),
    [
        (False, ALL, ALL, ALL, False, ALL),
        (False, ALL, {TCP, UDP}, ALL, False, (UDP, TCP)),
        (False, {UDP, TLS}, ALL, ALL, False, (UDP, TLS)),
        (False, ALL, ALL, {TLS, HTTP}, False, (TLS, HTTP)),
        (False, ALL, {NATIVE, UDP}, ALL, False, (NATIVE, UDP)),
        (True, ALL, {NATIVE, UDP}, ALL, False, (UDP, NATIVE)),
        (True, ALL, {NATIVE}, ALL, False, (NATIVE,)),
        (False, ALL, {NATIVE, POST}, ALL, True, (POST,)),
        (False, ALL, {NATIVE}, ALL, True, ()),
        (False, ALL, {UDP}, {TLS}, False, ()),
    ],
)
def test_table(translated, supported, passed, allowed, forced, chosen):
    translations = ("any",) if translated else ()
    assert choose(bool(translations), supported, passed, allowed, forced=forced) == chosen


@given(st.booleans(), SETS, SETS, SETS, st.booleans())
def test_nothing_is_chosen_that_is_not_allowed_supported_and_known_to_pass(
    translated, supported, passed, allowed, forced
):
    chosen = choose(translated, supported, passed, allowed, forced=forced)
    usable = supported & passed & allowed - ({NATIVE} if forced else set())
    assert set(chosen) == usable
    others = [each for each in chosen if each is not NATIVE]
    assert others == sorted(others, key=ALL.index)
