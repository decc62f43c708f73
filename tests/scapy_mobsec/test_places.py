"""Places: who has to go when there are too many."""

from scapy_mobsec.places import Places


def filled(wanted, others, most=16):
    """Return places, and those that had to go in this order."""
    places, gone = Places(most), []
    for name in wanted:
        gone.append(places.put(name, name, wanted=True))
    for name in others:
        gone.append(places.put(name, name, wanted=False))
    return places, [name for name in gone if name]


def test_who_is_not_wanted_goes_first():
    places, gone = filled("abc", "ABCDEFGHIJKLMNOP")
    assert gone == ["A", "B", "C"]
    assert (len(places), set(places)) == (16, {*"abc", *"DEFGHIJKLMNOP"})


def test_the_others_have_an_eighth():
    places, gone = filled("abcdefghijklmnop", "ABC")
    assert gone == ["a", "b", "A"]
    assert "A" not in places


def test_without_others_the_one_that_was_put_longest_ago_goes():
    places, _ = filled("abcd", "", most=4)
    assert places.put("a", "a", wanted=True) is None
    assert places.put("e", "e", wanted=True) == "b"


def test_one_that_changes_has_one_place():
    places, _ = filled("", "A")
    assert places.put("A", "A", wanted=True) is None
    assert (len(places), places.get("A"), places.pop("A"), places.pop("A")) == (1, "A", "A", None)
    assert places.get("A") is None
