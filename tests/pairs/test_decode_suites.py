"""Each suite from a sender, by a key table, to the report of an observer."""

import io
from pathlib import Path
from random import Random
from socket import inet_aton

import pytest
from frames import GATEWAY, INNER_HOST, OLD, RAW_IP, START, TO_GATEWAY
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw
from suites import EACH_ALGORITHM, UNVERIFIABLE

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters, OutboundAh
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.ip import build_ip, build_udp

DATA = Path(__file__).parents[1] / "data"
INNER = build_ip(bytes((10, 0, 0, 1)), INNER_HOST, 1, b"ping")
DATAGRAM = build_udp(OLD.address, GATEWAY.address, 7, 9, b"transport mode")


def keys_of(*sas):
    """A table with these SAs, written and read."""
    stream = io.StringIO()
    write_esp_sa(sas, stream)
    return read_keys(io.StringIO(stream.getvalue()), "keys")


def report_of(keys, *packets):
    observer = Observer(keys)
    for number, packet in enumerate(packets):
        observer.feed(START + number * 10**7, packet, RAW_IP)
    return observer.report()


def by_udp(esp):
    carried = build_udp(OLD.address, GATEWAY.address, 4500, 4500, esp)
    return build_ip(OLD.address, GATEWAY.address, 17, carried)


def native(esp):
    return build_ip(OLD.address, GATEWAY.address, 50, esp)


def parameters(name, esn=False):
    suite, random = SUITES[name], Random(name)
    key = random.randbytes(max(suite.key_lengths) + suite.salt_length)
    return SaParameters(
        TO_GATEWAY, suite, key, random.randbytes(suite.integrity_key_length) or None, esn
    )


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("name", EACH_ALGORITHM)
def test_tunnel_and_transport_mode_by_udp_and_native(name, esn):
    sa = parameters(name, esn)
    sender = OutboundSa(
        sa, random_bytes=Random(1).randbytes, first_sequence=(9 << 32) + 7 if esn else 7
    )
    packets = [by_udp(sender.seal(INNER, 4)), native(sender.seal(DATAGRAM, 17))]
    wrong = by_udp(sender.seal(INNER, 4))
    report = report_of(keys_of(sa), *packets, wrong[:-1] + bytes([wrong[-1] ^ 1]))
    summary = report.summary
    assert (summary.esp, summary.verified, summary.icv_failed) == (3, 2, 1)
    (observed,) = report.sas
    assert (observed.suite, observed.key_found) == (name, True)
    assert observed.seen.highest == ((9 << 32) + 8 if esn else 8)


@pytest.mark.parametrize("name", AH_SUITES)
def test_ah(name):
    suite = AH_SUITES[name]
    sa = AhParameters(TO_GATEWAY, suite, bytes(range(suite.key_length)))
    sender = OutboundAh(sa)
    packets = [
        sender.seal(*content, OLD.address, GATEWAY.address)
        for content in ((INNER, 4), (DATAGRAM, 17))
    ]
    wrong = sender.seal(INNER, 4, OLD.address, GATEWAY.address)
    report = report_of(keys_of(sa), *packets, wrong[:-1] + bytes([wrong[-1] ^ 1]))
    assert (report.summary.ah, report.summary.verified, report.summary.icv_failed) == (3, 2, 1)
    assert [(each.suite, each.key_found) for each in report.sas] == [(name, True)]


INSIDE = SaParameters(0x101, SUITES["aes-gcm-16"], bytes(range(20)))
AROUND = AhParameters(0x202, AH_SUITES["hmac-sha2-256-128"], bytes(range(32)))


def by_esp_and_ah(number, source="198.51.100.2"):
    """Scapy puts ESP in transport mode around a datagram; AH is around that.

    It does not sign AH around ESP.
    """
    packet = IP(src=source, dst="203.0.113.2") / UDP(sport=7, dport=9) / Raw(b"inside")
    key = INSIDE.encryption_key
    sa = SecurityAssociation(ESP, INSIDE.spi, crypt_algo="AES-GCM", crypt_key=key)
    esp = bytes(sa.encrypt(packet, seq_num=number))[20:]
    ends = packet.src, packet.dst
    return OutboundAh(AROUND, first_sequence=number).seal(esp, 50, *map(inet_aton, ends))


@pytest.mark.parametrize(
    ("sas", "verified", "no_key", "told"),
    [
        ([INSIDE, AROUND], 6, 0, ["native"]),
        ([INSIDE], 3, 3, ["native"]),
        ([AROUND], 3, 3, ["ah"]),
        ([], 0, 6, []),
    ],
)
def test_esp_behind_ah(sas, verified, no_key, told):
    """Each counts, and one of the two tells of the link and its moves."""
    packets = by_esp_and_ah(1), by_esp_and_ah(2), by_esp_and_ah(3, "192.0.2.9")
    report = report_of(keys_of(*sas), *packets)
    summary = report.summary
    assert (summary.ah, summary.esp) == (3, 3)
    assert (summary.verified, summary.no_key, summary.malformed) == (verified, no_key, 0)
    assert [move.new.carrier for move in report.moves] == told
    assert len(report.statistics.links) == len(told)


def test_nothing_behind_ah_is_believed_whose_icv_is_wrong():
    packet = by_esp_and_ah(1)
    forged = packet[:-40] + bytes([packet[-40] ^ 1]) + packet[-39:]
    summary = report_of(keys_of(INSIDE, AROUND), forged, packet, packet, forged).summary
    assert (summary.ah, summary.esp, summary.verified, summary.icv_failed) == (4, 2, 4, 2)
    assert (summary.duplicates, summary.replayed) == (3, 0)


@pytest.mark.parametrize("name", UNVERIFIABLE)
def test_what_cannot_be_verified_is_told_to_be_so(name):
    """The key of the cipher alone, and of the ICV at most how long it is."""
    cipher = name.removesuffix("-none").split("-unknown-")[0]
    sealing = parameters(f"{cipher}-hmac-sha2-512-256")
    esp = OutboundSa(sealing, random_bytes=Random(1).randbytes).seal(INNER, 4)
    esp = esp[: len(esp) - 32 + SUITES[name].icv_length]
    unknown = SaParameters(TO_GATEWAY, SUITES[name], sealing.encryption_key)
    report = report_of(keys_of(unknown), by_udp(esp))
    assert (report.summary.unverified, report.summary.verified) == (1, 0)
    assert [(each.suite, each.key_found) for each in report.sas] == [(name, False)]


@pytest.mark.parametrize("name", ["02-sunrise-sunset-esp", "espudp1"])
def test_captures_of_tcpdump_are_decrypted_unverified(name):
    row = (
        '"IPv4","*","*","0x12345678","TripleDES-CBC [RFC2451]",'
        '"0x4043434545464649494a4a4c4c4f4f515152525454575758",'
        '"ANY 96 bit authentication [no checking]",""\n'
    )
    observer = Observer(read_keys(io.StringIO(row), "keys"))
    with open_capture(DATA / "tcpdump" / f"{name}.pcap") as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type)
    report = observer.report()
    assert (report.summary.esp, report.summary.unverified) == (8, 8)
    assert [sa.suite for sa in report.sas] == ["3des-cbc-unknown-96"]
