"""The figures have their shape; how fast it is depends on the machine and is not tested."""

import io
import json

import pytest
from rich.console import Console

from scapy_mobsec.registration.messages import (
    build_reply,
    build_request,
    missing_required,
    parse_message,
)
from scapy_mobsec.ui.bench import (
    CodecFigure,
    bench_codec,
    codec_figures,
    sample_reply,
    sample_request,
)

OPERATIONS = ["RREQ build", "RREQ parse", "RREP build", "RREP parse"]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


def test_samples_are_what_terminals_send():
    request, reply = sample_request(), sample_reply()
    assert parse_message(build_request(request)) == request
    assert parse_message(build_reply(reply)) == reply
    assert missing_required(request) is missing_required(reply) is None
    assert len(request.supported) == 4
    assert [type(header).__name__ for header in request.sent] == [
        "Ipv4Header",
        "UdpHeader",
        "EspHeader",
    ]


def test_figures_of_a_short_run():
    figures = codec_figures(repeats=3, calls=20, scapy_calls=2)
    assert [each.operation for each in figures] == OPERATIONS
    for each in figures:
        assert 0 < each.minimum <= each.median
        assert 0 < each.scapy_minimum <= each.scapy_median
        assert each.ratio == pytest.approx(each.scapy_median / each.median)
        assert each.octets in (
            len(build_request(sample_request())),
            len(build_reply(sample_reply())),
        )


FIGURE = CodecFigure("RREQ build", 119, 4.25, 4.125, 850.5, 800.25, 200.1)


def test_table(console):
    bench_codec(console, figures=(FIGURE,))
    text = console.file.getvalue()
    for word in ("microseconds", "RREQ build", "119", "4.2", "4.1", "850", "800", "200"):
        assert word in text


def test_json(console):
    bench_codec(console, as_json=True, figures=(FIGURE,))
    shown = json.loads(console.file.getvalue())
    assert shown["unit"] == "us"
    assert shown["codec"] == [
        {
            "operation": "RREQ build",
            "octets": 119,
            "median": 4.25,
            "minimum": 4.125,
            "scapy_median": 850.5,
            "scapy_minimum": 800.25,
            "ratio": 200.1,
        }
    ]


def test_the_command_measures_by_itself(console, monkeypatch):
    monkeypatch.setattr("scapy_mobsec.ui.bench.codec_figures", lambda: (FIGURE,))
    bench_codec(console)
    assert "RREQ build" in console.file.getvalue()
