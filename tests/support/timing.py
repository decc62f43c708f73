"""How long a handover takes on the simulated internet, and the table that says so.

X has registered and moves behind a NAT (for native, to a place without one). From that moment on
both ends have data to send, each packet as long as the inner MTU allows: X at once and every 20 ms,
Y when it has another path to X. Until then what Y sends is lost at the old place. With a spare
stream X had both places, the NAT's among them, and the other one goes.

    PYTHONPATH=. python tests/support/timing.py     writes the table of docs/evidence/timing.md
"""

from typing import NamedTuple

from generated import write_part
from play import HTTP, HTTP_POST, INSIDE, NATIVE, SAS, TCP, TLS, UDP, Play, nat, told
from terminals import HOME, INNER_HOST

from contrib_layers.numbers import ITEM_INSIDE_TLS
from scapy_mobsec.drivers.memory import SECOND, chart
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.events import BindingMoved

ROUND_TRIPS = (0.05, 0.1, 0.5)
PAUSE = 0.02
"""Seconds between two packets of X: what waits for a stream does so for 100 ms at most."""

WAYS = {
    "native": EncapsulationItem(NATIVE.code),
    "udp": EncapsulationItem(UDP.code),
    "tcp": EncapsulationItem(TCP.code, port=4500),
    "tls": EncapsulationItem(TLS.code, port=443),
    "tls, spare stream": EncapsulationItem(TLS.code, port=443),
    "http": EncapsulationItem(HTTP.code, port=4500),
    "http in TLS": EncapsulationItem(HTTP.code, ITEM_INSIDE_TLS, port=443),
    "http-post": EncapsulationItem(HTTP_POST.code, port=4500),
    "http-post in TLS": EncapsulationItem(HTTP_POST.code, ITEM_INSIDE_TLS, port=443),
}


class Handover(NamedTuple):
    """Nanoseconds from the move to the arrival of the first data, octets of it, RREQs and RREPs."""

    to_server: int
    to_client: int
    octets: int
    messages: int


def measure(way, round_trip):
    """Move once; `round_trip` in seconds."""
    to_server, *_ = _first_data(way, round_trip, from_client=True)
    return Handover(to_server, *_first_data(way, round_trip, from_client=False))


def _first_data(way, round_trip, *, from_client):
    spare = "spare" in way
    play = Play(items=(WAYS[way],), round_trip=round_trip, spare=spare)
    places = [(play.segment, play.place)]
    if spare:
        places.append((play.place_behind(nat()), INSIDE))
    play.mobile.move_all(places)
    play.wait(40 * round_trip)
    ends = (HOME, INNER_HOST) if from_client else (INNER_HOST, HOME)
    data = build_ip(*ends, 253, bytes(play.mobile.terminal.inner_mtu - 20))
    moves = len(told(play.other, BindingMoved))
    if spare:
        play.start = play.network.time_ns
        play.mobile.move_all(places[1:])
    else:
        play.roam(*([] if way == "native" else [nat()]))
    if from_client:
        for number in range(round(4 * round_trip / PAUSE)):
            play.network.after(round(number * PAUSE * SECOND), play.mobile.send, data)
    assert play.network.run_until(lambda: len(told(play.other, BindingMoved)) > moves)
    if not from_client:
        play.other.send(data)
    play.wait(4 * round_trip)
    (arrived, packet), *_ = (play.other if from_client else play.mobile).inner
    assert packet == data
    lines = chart(play.taps["other"].packets, SAS, play.start, play.network.tls_keys)
    messages = [line for line in lines if ("RREQ" in line or "RREP" in line) and line[0] != "-"]
    return arrived - play.start, len(data), len(messages)


def table():
    """Measure everything, and write the table of docs/evidence/timing.md."""
    columns = "".join(f" {1000 * each:.0f} ms |" for each in ROUND_TRIPS)
    rows = [f"| | data |{columns} in RTT | messages |", "| --- |" + " --- |" * 6]
    for way in WAYS:
        found = [measure(way, round_trip) for round_trip in ROUND_TRIPS]
        messages = ", ".join(str(each.messages) for each in found)
        rows.append(_row(way, "client->server", [each.to_server for each in found], messages))
        rows.append(_row("", "server->client", [each.to_client for each in found], ""))
    return "\n".join(rows)


def _row(way, direction, times, messages):
    cells = [f"{time / 1e6:g}" for time in times]
    pairs = zip(times, ROUND_TRIPS, strict=True)
    (rounds,) = {f"{time / SECOND / round_trip:g}" for time, round_trip in pairs}
    return " | ".join([f"| {way}", direction, *cells, rounds, f"{messages} |"])


if __name__ == "__main__":
    write_part("evidence/timing.md", "handovers", table())
