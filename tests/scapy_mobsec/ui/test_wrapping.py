import pytest

from scapy_mobsec.ui.wrapping import wrapped, wrapped_packet, wrapped_picture


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("it fits", 7, ["it fits"]),
        ("one two three", 7, ["one two", "  three"]),
        ("lost for 25 ms", 12, ["lost for", "  25 ms"]),
        ("29 of 29 pings", 3, ["29 of 29 pings"]),
        ("udp [::2]:4500 > [::1]:4500", 22, ["udp [::2]:4500", "  > [::1]:4500"]),
        ("a 10.0.0.2:4500 -> 192.0.2.1:37880", 20, ["a 10.0.0.2:4500", "  -> 192.0.2.1:37880"]),
        ("re-encoded http-post", 12, ["re-encoded", "  http-post"]),
        ("x 192.0.2.129:63948", 19, ["x 192.0.2.129:63948"]),
        ("x 192.0.2.129:63948", 18, ["x", " 192.0.2.129:63948"]),
        ("x 192.0.2.129:63948", 5, ["x", "192.0.2.129:63948"]),
    ],
)
def test_lines_end_between_words_that_do_not_belong_together(text, width, lines):
    assert wrapped(text, width) == lines


def test_what_is_indented_stays_so():
    assert wrapped("    one two", 9, "      ") == ["    one", "      two"]


def test_a_picture_goes_on_with_its_stems():
    picture = """internet
├─ NAT 192.0.2.1 ── 25 ms ── X 10.0.0.2 (until 1 s)
├─ 5 ms
│  ├─ X 10.0.0.3 (from 1 s until 2 s)
│  └─ X 10.0.0.4 (from 3 s until 4 s)
└─ firewall (no native IPsec to the inside) ── 25 ms ── Y 203.0.113.2"""
    assert wrapped_picture(picture, 30) == [
        "internet",
        "├─ NAT 192.0.2.1 ── 25 ms",
        "│    ── X 10.0.0.2 (until 1 s)",
        "├─ 5 ms",
        "│  ├─ X 10.0.0.3 (from 1 s",
        "│  │    until 2 s)",
        "│  └─ X 10.0.0.4 (from 3 s",
        "│       until 4 s)",
        "└─ firewall (no native IPsec",
        "     to the inside) ── 25 ms",
        "     ── Y 203.0.113.2",
    ]
    assert wrapped_picture(picture, 80) == picture.splitlines()


def test_what_a_packet_is_goes_to_a_line_of_its_own():
    line = "    50 ms  udp 10.0.0.2:4500 > 10.0.0.1:4500  RREP #1 code 0 USE"
    hang = " " * 13
    assert wrapped_packet(line, 80, hang) == [line]
    assert wrapped_packet(line, 60, hang) == [line[:44], hang + "RREP #1 code 0 USE"]
    assert wrapped_packet(line, 30, hang) == [
        "    50 ms  udp 10.0.0.2:4500",
        hang + "> 10.0.0.1:4500",
        hang + "RREP #1 code 0",
        hang + "USE",
    ]


def test_other_lines_between_packets_break_where_they_are_full():
    line = "  2000 ms  --- the firewall changes: all passes ---"
    assert wrapped_packet(line, 36, " " * 13) == [line[:36], " " * 13 + line[37:]]
