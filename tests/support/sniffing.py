"""Captures sniffed by Scapy with a session of ours."""

from tempfile import TemporaryDirectory

from scapy.sendrecv import sniff

from scapy_mobsec import MobsecSession
from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.esp.ah import AhParameters

RAW_IP, ETHERNET = 101, 1


def table_for(*parameters):
    """The keys of SAs, for any addresses."""
    table = KeyTable()
    for each in parameters:
        is_ah = isinstance(each, AhParameters)
        keys = {} if is_ah else {"encryption_key": each.encryption_key}
        spi = SpiPattern.of(f"0x{each.spi:08x}")
        table.add(KeyRow(spi=spi, suite=each.suite, integrity_key=each.integrity_key, **keys))
    return table


def sniffed(frames, keys, *, link_type=RAW_IP, start=1_767_225_600 * 10**9, apart=10**7, **options):
    """Sniff frames (octets), each `apart` nanoseconds after the one before. options: of sniff."""
    with TemporaryDirectory() as folder:
        name = f"{folder}/sniffed.pcap"
        with open(name, "wb") as stream:
            writer = CaptureWriter(stream, link_type)
            for number, frame in enumerate(frames):
                writer.write(start + number * apart, frame)
        session = keys if isinstance(keys, MobsecSession) else MobsecSession(keys)
        return sniff(offline=name, session=session, quiet=True, **options)


def count(packets, layer):
    """How many layers of a kind there are in packets, those in `Completed` too."""
    found = 0
    for packet in packets:
        number = 1
        while packet.getlayer(layer, number) is not None:
            number += 1
        found += number - 1
    return found
