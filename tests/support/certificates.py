"""Certificates of tests: self-signed, on disk as a server wants them."""

from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate:
    """`certificate` and `key`: names of files in PEM. `sha256`: of the certificate."""

    def __init__(self, folder, name="y.example"):
        private = ec.generate_private_key(ec.SECP256R1())
        names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = datetime(2026, 1, 1)
        made = (
            x509.CertificateBuilder()
            .subject_name(names)
            .issuer_name(names)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=3650))
            .sign(private, hashes.SHA256())
        )
        self.certificate, self.key = (str(folder / f"{name}.{end}") for end in ("crt", "key"))
        self.sha256 = sha256(made.public_bytes(serialization.Encoding.DER)).digest()
        self._write(self.certificate, made.public_bytes(serialization.Encoding.PEM))
        self._write(
            self.key,
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def _write(self, name, octets):
        with open(name, "wb") as file:
            file.write(octets)
