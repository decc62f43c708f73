import io

import pytest
from frames import GATEWAY, NEW, OLD, TO_GATEWAY, Bench, reply, request, signalling
from ike import init_request
from rich.console import Console
from shown import CAPTURES, shown

import scapy_mobsec.ui.tables as tables_module
from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.report import Summary
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    AhHeader,
    HttpHeader,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UnknownHeader,
)
from scapy_mobsec.ui.views import code_text, description_line, print_report, summary_line

INSIDE = Endpoint.of("10.0.0.2", 4500)
V6 = Endpoint.of("2001:db8::1").address


def printed(bench, **options):
    stream = io.StringIO()
    print_report(bench.report, Console(file=stream), **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", CAPTURES)
def test_80_columns_break_no_path_and_no_time_from_its_unit(name):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_report(shown(name).report, console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    cells = [cell.strip() for line in lines for cell in line.split("│")]
    assert not {"ms", "s", "packets"} & set(cells)
    for span in (span for link in shown(name).report.statistics.links for span in link):
        if len(str(span.outer)) < 44:
            assert str(span.outer) in cells


def handover():
    bench = Bench()
    bench.see(bench.up(OLD), bench.down(OLD))
    bench.see(bench.up(NEW, payload=signalling(request(source=INSIDE))))
    bench.see(bench.down(NEW, payload=signalling(reply())), after=0.05)
    return bench


def test_a_handover():
    text = printed(handover())
    for words in (
        "4 packets, 4 ESP (4 verified), 1 registration, 1 move",
        "IPv4 10.0.0.2 > 203.0.113.2 / UDP 4500 > 4500 / ESP 0x00001001",
        "accepted",
        "RTT 50.000 ms",
        "by registration",
        "udp 192.0.2.1:40001 > 203.0.113.2:4500",
        "aes-gcm-16",
    ):
        assert words in text


def test_what_is_moved_back_by_a_proof_is_said_so():
    bench = handover()
    confirm = request(flags=AttemptFlag.CONFIRM, response=bytes(8), source=OLD)
    bench.see(bench.up(OLD, payload=signalling(confirm)))
    assert [move.evidence.value for move in bench.report.moves] == ["registration", "validation"]
    assert "by validation" in printed(bench)


def test_tls_is_counted():
    assert summary_line(Summary(packets=3, tls=1)).plain == "3 packets, 0 ESP, 1 TLS"


def test_frames_cut_short_are_told_in_the_summary():
    line = summary_line(Summary(packets=3, cut_by_capture=2)).plain
    assert line == "3 packets, 0 ESP, 2 cut short by the capture"


def test_ah_is_counted_where_there_is_some():
    line = summary_line(Summary(packets=3, esp=1, ah=2, verified=3)).plain
    assert line == "3 packets, 1 ESP, 2 AH (3 verified)"


def test_only_what_there_is_to_say():
    bench = Bench()
    bench.see(bench.up())
    text = printed(bench)
    for title in ("Registrations", "Moves", "Drops"):
        assert title not in text
    assert printed(bench, summary_only=True).count("\n") == 1


def test_nothing_seen():
    assert printed(Bench()) == "0 packets, 0 ESP\n"


def test_what_is_not_verified_is_marked_loudly():
    bench = Bench()
    bench.see(bench.up(), bench.up(octet=9))
    assert "ICV FAILURES" in summary_line(bench.report.summary).plain
    assert "bad_icv" in printed(bench)
    assert "NOT VERIFIED" not in printed(bench)
    line = summary_line(Summary(packets=3, esp=3, verified=1, unverified=2))
    assert line.plain == "3 packets, 3 ESP (1 verified, 2 unverified)  NOT VERIFIED"
    assert str(line.spans[-1].style) == "bold red"


def test_a_request_without_reply_and_a_refusal():
    bench = Bench()
    bench.see(bench.up(payload=signalling(request())))
    assert "not in this capture" in printed(bench)
    bench.see(bench.down(payload=signalling(reply(code=134))))
    assert "Refused registrations" in printed(bench)
    assert "poorly formed (134)" in printed(bench)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "accepted"), (133, "identification mismatch (133)"), (77, "unknown code (77)")],
)
def test_code_text(code, text):
    assert code_text(code) == text


def test_description_line():
    headers = (
        Ipv6Header(V6, V6),
        TcpHeader(1, 443),
        TlsHeader(bytes(32), "gw.example"),
        HttpHeader("GET", "gw.example", "/", ("Via",)),
        UnknownHeader(77, b"\x01"),
        AhHeader(TO_GATEWAY),
    )
    assert description_line(headers) == (
        "IPv6 2001:db8::1 > 2001:db8::1 / TCP 1 > 443 / TLS gw.example " + "00" * 32 + " / "
        "HTTP GET gw.example / HTTP/1.1, Via / type 77 1 octets / AH 0x00001001"
    )


def test_brackets_are_no_markup():
    bench = Bench()
    v6 = Endpoint.of("fe80::1", 4500)
    bench.see(bench.udp(bench.seal(TO_GATEWAY), v6, Endpoint.of("fe80::2", 4500)))
    assert "udp [fe80::1]:4500 > [fe80::2]:4500" in printed(bench)
    headers = (HttpHeader("GET", "gw", "/[/red]"), AhHeader(1))
    bench.see(bench.up(payload=signalling(request(sent=headers))))
    assert "/[/red]" in printed(bench)


def test_tables_end_and_say_so(monkeypatch):
    monkeypatch.setattr(tables_module, "MAX_ROWS", 2)
    bench = Bench()
    bench.see(*(bench.up(Endpoint(NEW.address, port)) for port in range(1, 10)))
    text = printed(bench)
    assert "and 6 more: -T json shows up to 20,000" in text
    assert "frame 3" in text
    assert "frame 4" not in text


def test_a_reply_that_contradicts_itself_is_shouted_at():
    bench = Bench()
    bench.see(bench.up(NEW, payload=signalling(request(source=INSIDE))))
    sent = request(source=NEW).sent
    bench.see(bench.down(NEW, payload=signalling(reply(observed=sent, translations=()))))
    assert "CONTRADICTS" in printed(bench)


def test_a_refused_move_says_so():
    bench = Bench()
    bench.see(bench.up(OLD), bench.up(NEW, payload=signalling(request())))
    bench.see(bench.down(NEW, payload=signalling(reply(code=129))))
    assert "by registration, REFUSED" in printed(bench)


def test_nothing_is_claimed_of_a_request_that_does_not_describe_itself():
    bench = Bench()
    bench.see(bench.up(payload=signalling(request(sent=None))))
    assert "not known: the RREQ has no SENT" in printed(bench)


def test_ike_is_shown_beside_the_moves_that_it_told():
    bench = Bench()
    links = bench.observer._links
    outers = [Outer(Encapsulation.UDP, *place, *GATEWAY) for place in (OLD, NEW)]
    links.signal(None, *outers, bench.time_ns, 1, verified=True).refused = True
    bench.see(bench.udp(bytes(4) + init_request()))
    text = printed(bench)
    for words in ("by MOBIKE, REFUSED", "IKE_SA_INIT #0", "1 IKE"):
        assert words in text


def test_what_an_unverified_packet_made_of_a_link_is_marked(unverified):
    text = printed(unverified)
    assert "by registration, NOT VERIFIED" in text
    assert "gap to peer 20.000 ms, NOT VERIFIED" in text
    assert text.count("│ 1 NOT VERIFIED") == 2
