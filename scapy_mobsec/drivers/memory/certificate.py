"""Certificates of the servers in memory: X.509 as tools read it, signed by nobody but itself."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID

from scapy_mobsec.drivers.memory.network import EPOCH


@cache
def certificate_of(name: str) -> bytes:
    """Return the certificate (DER) of a server; the same name gives the same octets."""
    key = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())
    subject = Name([NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.fromtimestamp(EPOCH, UTC)
    builder = CertificateBuilder(subject, subject, key.public_key(), serial_number=1)
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=365))
    return builder.sign(key, None).public_bytes(Encoding.DER)
