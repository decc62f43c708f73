"""Captures of real IKE: strongSwan's, decoded from the keys of its IKE SA alone, and IKEv1."""

from dataclasses import replace
from pathlib import Path

import pytest
from frames import Keys

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.keyfiles import read_key_file
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.nat_detection import Verdict
from scapy_mobsec.ike.numbers import Exchange, NotifyType, Protocol
from scapy_mobsec.ike.payloads import Delete, Identity
from scapy_mobsec.observer.links import Evidence
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import PacketType

PCAPS = Path(__file__).parents[2] / "pcaps"
DATA = Path(__file__).parents[1] / "data"
SAMPLES = "strongswan-natt", "strongswan-natt-aes128-sha256"


def observed(capture, *ike_keys, on_packet=None):
    observer = Observer(Keys(), ike_keys, on_packet=on_packet)
    with open_capture(capture) as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
    observer.finish()
    return observer.report()


@pytest.fixture(scope="module", params=SAMPLES)
def report(request):
    keys = read_key_file(str(PCAPS / f"{request.param}.ike.keys.txt")).ike_keys
    return observed(PCAPS / f"{request.param}.pcap", *keys)


def test_all_of_ike_and_esp_is_decrypted_and_verified(report):
    summary = report.summary
    assert (summary.ike, summary.esp, summary.verified, report.drops) == (14, 20, 20, {})
    (sa,) = report.ike
    assert (sa.verified, sa.icv_failed, sa.deleted) == (12, 0, True)


def test_ike_auth_names_both_ends(report):
    (sa,) = report.ike
    assert {end: each.data for end, each in sa.identities.items()} == {
        True: b"mobile@sb",
        False: b"gw@sb",
    }
    auth = next(each for each in sa.exchanges if each.request.header.exchange == Exchange.IKE_AUTH)
    assert any(isinstance(each, Identity) for each in auth.response.contents)


def test_both_child_sas_are_derived_and_the_second_replaces_the_first(report):
    (sa,) = report.ike
    first, second = sa.children
    assert (first.reason, second.reason) == ("", "")
    assert second.replaces == first.responder_spi
    assert (first.deleted, second.deleted) == (True, False)
    assert [each.verified for each in report.sas] == [5] * 4
    assert {each.spi for each in report.sas} == {spi for _, spi in sa.child_spis}


def test_mobike_tells_the_move_before_any_data_follows(report):
    (move,) = report.moves
    assert (move.frame, move.evidence, move.signalled) == (17, Evidence.MOBIKE, True)
    assert (str(move.left), str(move.reached)) == ("192.0.2.2:4500", "192.0.2.6:4500")
    assert len(move.spis) == 2


def test_the_move_is_told_with_the_message_that_made_it():
    packets = []
    keys = read_key_file(str(PCAPS / "strongswan-natt.ike.keys.txt")).ike_keys
    report = observed(PCAPS / "strongswan-natt.pcap", *keys, on_packet=packets.append)
    assert len(packets) == report.summary.ike + report.summary.esp + report.summary.keepalives
    moving = [seen for seen in packets if seen.move]
    assert [(seen.frame, seen.type) for seen in moving] == [(17, PacketType.IKE)]
    assert [seen.move for seen in moving] == report.moves


def test_the_update_is_behind_another_nat_and_its_path_is_proved(report):
    (sa,) = report.ike
    update = next(
        each for each in sa.exchanges if each.request.notifies(NotifyType.UPDATE_SA_ADDRESSES)
    )
    assert update.path_proved
    assert [each.verdict for each in update.request.detections] == [
        Verdict.TRANSLATED,
        Verdict.NOT_TRANSLATED,
    ]
    # This gateway forces UDP encapsulation: nothing translates its address.
    assert [each.verdict for each in update.response.detections] == [
        Verdict.FORCED,
        Verdict.NOT_TRANSLATED,
    ]


def test_without_sk_d_ike_opens_and_esp_does_not():
    (keys,) = read_key_file(str(PCAPS / "strongswan-natt.ike.keys.txt")).ike_keys
    report = observed(PCAPS / "strongswan-natt.pcap", replace(keys, sk_d=None))
    assert (report.ike[0].verified, report.summary.verified, report.summary.no_key) == (12, 0, 20)
    assert ["SK_d" in each.reason for each in report.ike[0].children] == [True, True]


def test_a_move_that_ike_told_without_integrity_keys_is_marked(report):
    (keys,) = read_key_file(str(PCAPS / f"{SAMPLES[1]}.ike.keys.txt")).ike_keys
    keys = replace(keys, sk_ai=None, sk_ar=None)
    unverified = observed(PCAPS / f"{SAMPLES[1]}.pcap", keys)
    for each, verified in ((report, True), (unverified, False)):
        (move,), (handover,) = each.moves, each.statistics.handovers
        assert (each.summary.verified, each.summary.unverified) == (20, 0)
        assert (move.evidence, move.verified, handover.verified) == (
            Evidence.MOBIKE,
            verified,
            verified,
        )


def test_aes_ccm():
    keys = IkeSaKeys(
        bytes.fromhex("ea684d21597afd36"),
        bytes.fromhex("d9fe2ab22dac23ac"),
        "aes-ccm-12",
        None,
        None,
        bytes.fromhex("be83fe15f6a9976941870830fe26c014b863b3"),
        bytes.fromhex("79e0f4476861a76e64329e787b1c4ff38d732f"),
    )
    report = observed(DATA / "wireshark" / "ikev2-aes128ccm12.pcap", keys)
    (sa,) = report.ike
    assert (sa.verified, sa.deleted, report.drops) == (2, True, {})
    assert sa.exchanges[1].request.contents == (Delete(Protocol.IKE, ()),)


def test_ikev1_through_a_nat_is_named():
    report = observed(DATA / "tcpdump" / "isakmp4500.pcap")
    assert report.summary.keepalives == 4
    (sa,) = report.ike
    kinds = [each.request.header.exchange for each in sa.exchanges]
    assert kinds[:6] == [2] * 6
    assert set(kinds[6:]) == {32, 5}
    verdicts = [
        [each.verdict for each in exchange.request.detections] for exchange in sa.exchanges[:6]
    ]
    assert [len(each) for each in verdicts] == [0, 0, 2, 2, 0, 0]
