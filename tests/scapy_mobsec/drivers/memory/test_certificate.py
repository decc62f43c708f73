"""Certificates: X.509, and the same octets for the same name."""

from cryptography.x509 import load_der_x509_certificate

from scapy_mobsec.drivers.memory.certificate import certificate_of


def test_a_certificate_is_one_and_depends_on_its_name_alone():
    certificate = load_der_x509_certificate(certificate_of("Y"))
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == "CN=Y"
    octets = certificate_of("Y")
    certificate_of.cache_clear()
    assert certificate_of("Y") == octets != certificate_of("Z")
