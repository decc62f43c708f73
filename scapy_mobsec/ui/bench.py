"""Figures of speed: the engine's codec beside the Scapy layers, in one run on one machine.

Each figure is the time of one call in microseconds, over several repetitions of many calls: the
median, and the minimum as what the machine can do undisturbed. Nothing is cached between calls.
"""

import timeit
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy
from rich.console import Console
from rich.table import Table

from contrib_layers.numbers import (
    AttemptFlag,
    EncapsulationCode,
    FieldCode,
    NatureCode,
    ReplyCode,
)
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    Ipv4Header,
    UdpHeader,
)
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    RegistrationRequest,
    TranslationItem,
    build_reply,
    build_request,
    parse_reply,
    parse_request,
)
from scapy_mobsec.registration.serial import ntp_timestamp

_REPEATS = 9
_CALLS = 5_000
_SCAPY_CALLS = 100
_HOME = Endpoint.of("10.1.0.2").address
_MOBILE = Endpoint.of("10.0.0.2").address
_OTHER = Endpoint.of("192.0.2.1").address
_NAT = Endpoint.of("203.0.113.9").address
_SPI = 0x1234_5678


@dataclass(frozen=True, slots=True)
class CodecFigure:
    """Times of one operation, in microseconds; `ratio` = Scapy's median / ours."""

    operation: str
    octets: int
    median: float
    minimum: float
    scapy_median: float
    scapy_minimum: float
    ratio: float


def sample_request() -> RegistrationRequest:
    """Return the RREQ of the figures: ATTEMPT, SENT (IPv4, UDP, ESP) and 4 SUPPORTED items."""
    return RegistrationRequest(
        identification=ntp_timestamp(1_750_000_000.0),
        lifetime=600,
        home_address=_HOME,
        home_agent=_OTHER,
        care_of_address=_MOBILE,
        attempt=Attempt(7),
        sent=(Ipv4Header(_MOBILE, _OTHER), UdpHeader(4500, 4500), EspHeader(_SPI)),
        supported=tuple(
            EncapsulationItem(code)
            for code in (
                EncapsulationCode.NATIVE,
                EncapsulationCode.UDP,
                EncapsulationCode.TCP,
                EncapsulationCode.TLS,
            )
        ),
    )


def sample_reply() -> RegistrationReply:
    """Return the RREP of the figures: it answers `sample_request` behind a NAT."""
    request = sample_request()
    return RegistrationReply(
        identification=request.identification,
        code=ReplyCode.ACCEPTED,
        lifetime=request.lifetime,
        home_address=request.home_address,
        home_agent=request.home_agent,
        attempt=Attempt(7, AttemptFlag.USE),
        sent=(Ipv4Header(_OTHER, _NAT), UdpHeader(4500, 40001), EspHeader(_SPI + 1)),
        observed=(Ipv4Header(_NAT, _OTHER), UdpHeader(40001, 4500), EspHeader(_SPI)),
        translations=(
            TranslationItem(0, FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT),
            TranslationItem(1, FieldCode.SOURCE_PORT, NatureCode.ADDRESS_AND_PORT),
        ),
        supported=request.supported,
        selected=(EncapsulationItem(EncapsulationCode.UDP, port=4500, keepalive=20),),
        challenge=b"\x5a" * 8,
    )


def codec_figures(
    repeats: int = _REPEATS, calls: int = _CALLS, scapy_calls: int = _SCAPY_CALLS
) -> tuple[CodecFigure, ...]:
    """Measure building and parsing of one RREQ and one RREP, with our codec and with Scapy's."""
    from contrib_layers.registration import RREP, RREQ  # Scapy: not before it is needed

    request, reply = sample_request(), sample_reply()
    request_octets, reply_octets = build_request(request), build_reply(reply)
    # The layers begin after the message type, which is the MobileIP layer's.
    rreq, rrep = RREQ(request_octets[1:]), RREP(reply_octets[1:])
    rows: tuple[tuple[str, bytes, Callable[[], object], Callable[[], object]], ...] = (
        ("RREQ build", request_octets, lambda: build_request(request), lambda: bytes(rreq)),
        (
            "RREQ parse",
            request_octets,
            lambda: parse_request(request_octets),
            lambda: RREQ(request_octets[1:]),
        ),
        ("RREP build", reply_octets, lambda: build_reply(reply), lambda: bytes(rrep)),
        (
            "RREP parse",
            reply_octets,
            lambda: parse_reply(reply_octets),
            lambda: RREP(reply_octets[1:]),
        ),
    )
    figures = []
    for operation, octets, ours, scapys in rows:
        median, minimum = _microseconds(ours, repeats, calls)
        scapy_median, scapy_minimum = _microseconds(scapys, repeats, scapy_calls)
        figures.append(
            CodecFigure(
                operation,
                len(octets),
                median,
                minimum,
                scapy_median,
                scapy_minimum,
                scapy_median / median,
            )
        )
    return tuple(figures)


def _microseconds(call: Callable[[], object], repeats: int, calls: int) -> tuple[float, float]:
    times = numpy.array(timeit.repeat(call, repeat=repeats, number=calls)) / calls * 1e6
    return float(numpy.median(times)), float(times.min())


def bench_codec(
    console: Console, as_json: bool = False, figures: tuple[CodecFigure, ...] | None = None
) -> None:
    """Show the figures as a table for people, or as one JSON object for programs."""
    figures = codec_figures() if figures is None else figures
    if as_json:
        console.print_json(data={"unit": "us", "codec": [asdict(each) for each in figures]})
        return
    table = Table(title="Registration codec, microseconds a call")
    table.add_column("operation")
    for name in ("octets", "median", "min", "Scapy layers, median", "min", "ratio"):
        table.add_column(name, justify="right")
    for each in figures:
        table.add_row(
            each.operation,
            str(each.octets),
            f"{each.median:.1f}",
            f"{each.minimum:.1f}",
            f"{each.scapy_median:.0f}",
            f"{each.scapy_minimum:.0f}",
            f"{each.ratio:.0f}",
        )
    console.print(table)
