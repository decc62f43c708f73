import json

from frames import GATEWAY, NEW, OLD
from shown import shown

from scapy_mobsec.ui.report_json import report_as_json


def test_interruptions_links_and_keepalives(bench):
    bench.see(bench.up(), bench.up(), bench.down())
    bench.see(bench.up(NEW), after=0.2)
    bench.see(bench.udp(b"\xff"), bench.udp(b"\xff"), after=20)
    result = json.loads(json.dumps(report_as_json(bench.report)))
    (move,) = result["moves"]
    assert move["interruption"] == {
        "to_peer": {
            "ms": 210.0,
            "after_move_ms": 0.0,
            "interval_before_ms": 10.0,
            "missing": 0,
            "verified": True,
        },
        "from_peer": None,
    }
    (link,) = result["links"]
    assert link["link"] == 1
    first, second, third = link["paths"]
    assert (first["source"], first["packets"]) == (str(OLD), 2)
    assert (second["source"], second["bits_per_second"]) == (str(GATEWAY), None)
    assert (third["source"], third["encapsulation"]) == (str(NEW), "udp")
    (keepalive,) = result["keepalives"]
    assert (keepalive["packets"], keepalive["interval_ms"]) == (2, 20_000.0)


def test_loss_and_order_of_sas(bench):
    late = bench.up()
    bench.up()
    bench.see(bench.up(), late, bench.up())
    (sa,) = report_as_json(bench.report)["sas"]
    assert (sa["missing"], sa["reordered"]) == (1, 1)


def test_the_whole_round_trip_at_the_other_terminal():
    entries = report_as_json(shown("handover", "other").report)["registrations"]
    assert {entry["round_trip_ms"] for entry in entries} == {0.0}
    assert {entry["whole_round_trip_ms"] for entry in entries} == {50.0}


def test_a_move_beyond_what_is_measured_has_no_interruption(bench):
    bench.see(bench.up(), bench.up(NEW))
    bench.report.statistics.links[0].handovers.clear()
    assert report_as_json(bench.report)["moves"][0]["interruption"] is None


def test_data_that_is_not_verified(unverified):
    result = report_as_json(unverified.report)
    assert [path["unverified"] for path in result["links"][0]["paths"]] == [1, 1]
    assert result["moves"][0]["interruption"]["to_peer"]["verified"] is False
