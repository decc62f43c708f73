"""What is counted adds up, and nothing seen is a report, too."""

import ike
from frames import Keys

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.report import Summary


def test_of_nothing_there_is_a_report():
    report = Observer(Keys()).report()
    assert (report.summary, report.first_time) == (Summary(), 0)
    assert (report.sas, report.registrations, report.moves, report.drops) == ([], [], [], {})


def test_the_kinds_of_esp_add_up(bench):
    good = bench.up()
    wrong = bench.up(octet=9)
    unknown = bench.udp(bench.seal(0x5005))
    summary = bench.see(
        good, wrong, unknown, bench.udp(b"\xff"), bench.udp(bytes(4) + ike.clear(37))
    )
    assert (summary.packets, summary.esp, summary.ike, summary.keepalives) == (5, 3, 1, 1)
    assert (summary.verified, summary.icv_failed, summary.no_key) == (1, 1, 1)
    assert summary.esp == sum((summary.verified, summary.icv_failed, summary.no_key))
    assert bench.report.drops == {DropReason.BAD_ICV: 1, DropReason.UNKNOWN_SPI: 1}
