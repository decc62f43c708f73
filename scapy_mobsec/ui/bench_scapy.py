"""Scapy as a peer of `mobsec bench decode`: reads the capture on stdin, decrypts, counts.

Run as a program, with the suite as its argument; prints how many RREQs and RREPs it found.
"""

import sys
from typing import Any, BinaryIO

from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.utils import PcapReader

from contrib_layers.numbers import MOBILE_IP_PORT
from scapy_mobsec.ui.bench_traffic import sas_of

NAMES = {
    "aes-gcm-16": ("AES-GCM", "NULL"),
    "aes-cbc-hmac-sha1-96": ("AES-CBC", "HMAC-SHA1-96"),
    "aes-cbc-hmac-sha2-256-128": ("AES-CBC", "SHA2-256-128"),
    "chacha20-poly1305": ("CHACHA20-POLY1305", "NULL"),
}
"""What Scapy calls the suites: encryption and integrity."""


def registrations_in(capture: BinaryIO, suite: str) -> int:
    """Decrypt all ESP in a capture, native or in UDP; return how many packets go to port 434."""
    association: Any = SecurityAssociation  # Scapy has no types for these
    reader: Any = PcapReader
    cipher, integrity = NAMES[suite]
    opening = {
        sa.spi: association(
            ESP,
            sa.spi,
            crypt_algo=cipher,
            crypt_key=sa.encryption_key,
            auth_algo=integrity,
            auth_key=sa.integrity_key,
        )
        for sa in sas_of(suite)
    }
    found = 0
    for packet in reader(capture):
        if ESP not in packet:
            continue
        inner = opening[packet[ESP].spi].decrypt(packet[IP])
        found += UDP in inner and inner[UDP].dport == MOBILE_IP_PORT
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{registrations_in(sys.stdin.buffer, sys.argv[1])}\n")
