import csv
import io

from frames import GATEWAY, NEW, OLD, TO_GATEWAY, Bench, reply, request, signalling
from ike import init_request

from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.ui.csv_view import COLUMNS, CsvView


def rows(bench):
    stream = io.StringIO()
    view = CsvView(stream)
    for seen in bench.packets:
        view.take(seen)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_each_packet_is_a_line(bench):
    inner = build_ip(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 17, bytes(12))
    bench.see(bench.up(payload=inner))
    assert rows(bench) == [
        {
            "time": "1767225600.010000000",
            "frame": "1",
            "type": "data",
            "link": "1",
            "spi": "0x00001001",
            "sequence": "1",
            "encapsulation": "udp",
            "source": "198.51.100.2:4500",
            "destination": "203.0.113.2:4500",
            "length": "68",
            "verified": "true",
            "dropped": "",
            "inner_source": "10.0.0.1",
            "inner_destination": "10.0.0.2",
            "protocol": "17",
            "inner_length": "32",
            "message": "",
        }
    ]


def test_messages_and_what_is_not_esp(bench):
    ike = build_udp(OLD.address, GATEWAY.address, 500, 500, init_request())
    bench.see(bench.up(NEW, payload=signalling(request())))
    bench.see(bench.down(NEW, payload=signalling(reply(code=133))))
    bench.see(bench.udp(b"\xff"), build_ip(OLD.address, GATEWAY.address, 17, ike))
    told = [(row["type"], row["verified"], row["message"]) for row in rows(bench)]
    assert told == [
        ("rreq", "true", "RREQ #1"),
        ("rrep", "true", "RREP #1 identification mismatch (133) USE"),
        ("keepalive", "", ""),
        ("ike", "", ""),
    ]


def test_a_wrong_icv_shows_no_content(bench):
    good = bench.up(sequence=7)
    bench.see(good, good[:-1] + bytes([good[-1] ^ 1]))
    altered = rows(bench)[1]
    assert (altered["type"], altered["verified"], altered["dropped"]) == (
        "encrypted",
        "false",
        "bad_icv",
    )
    content = ("sequence", "link", "inner_source", "inner_destination", "protocol", "inner_length")
    assert [altered[name] for name in content] == [""] * 6


def test_transport_mode_and_broken_content(bench):
    bench.see(bench.up(payload=bytes(20), next_header=6), bench.up(payload=b"\x45"))
    first, second = rows(bench)
    assert (first["inner_source"], first["protocol"], first["inner_length"]) == ("", "6", "20")
    assert (second["inner_source"], second["protocol"], second["dropped"]) == (
        "",
        "",
        "malformed_ip",
    )


def test_the_columns_are_documented():
    from shown import ROOT

    document = (ROOT / "docs" / "decode.md").read_text()
    for name in COLUMNS:
        assert f"`{name}`" in document, name


def test_ipv6_endpoints_and_native_ones():
    bench = Bench()
    bench.see(bench.native(bench.seal(TO_GATEWAY)))
    (row,) = rows(bench)
    assert (row["encapsulation"], row["source"]) == ("native", "198.51.100.2")
