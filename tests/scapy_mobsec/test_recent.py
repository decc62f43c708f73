"""What was asked before is not worked out again, whatever was asked in between."""

from scapy_mobsec.recent import recent


def test_an_answer_is_remembered():
    asked = []

    @recent(2)
    def length(octets):
        asked.append(octets)
        return len(octets)

    for octets, expected in [(b"ab", 2), (b"ab", 2), (b"", 0), (b"ab", 2), (b"", 0)]:
        assert length(octets, 0) == expected
    assert asked == [b"ab", b""]
    assert [length(each, 0) for each in (b"abc", b"ab", b"abc")] == [3, 2, 3]
    assert asked == [b"ab", b"", b"abc", b"ab"]


def test_an_answer_of_none_is_one():
    asked = []
    nothing = recent(1)(asked.append)
    assert nothing(b"a", 0) is nothing(b"ba", 1) is None
    assert asked == [b"a"]


def test_it_is_about_the_octets_from_there_on():
    same = recent(1)(bytes)
    for octets in (b"abc", b"bc", b"xbc", b"c"):
        for start in range(len(octets) + 1):
            assert same(octets, start) == octets[start:]
