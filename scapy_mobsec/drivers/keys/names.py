"""Names of suites, put together and taken apart: formats name encryption and integrity apart."""

from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.suites import SUITES, Suite

INTEGRITY_OF_KEY_LENGTH = {
    20: "hmac-sha1-96",
    32: "hmac-sha2-256-128",
    48: "hmac-sha2-384-192",
    64: "hmac-sha2-512-256",
}
"""By the octets of a key, where only one algorithm is in use that has such a key."""

COMBINED = {
    suite.name for suite in SUITES.values() if suite.verifiable and not suite.integrity_key_length
}
"""Names of combined mode suites, which have no integrity algorithm beside them."""


class NotDecrypted(Exception):
    """Algorithms that are known by name and not decrypted here; the text names them."""


def find_suite(encryption: str, integrity: str | None = None) -> Suite | None:
    """Return the suite of two names, or of one if it is a combined mode."""
    return SUITES.get(encryption if integrity is None else f"{encryption}-{integrity}")


def parts_of(suite: Suite) -> tuple[str, str | None]:
    """Return the names of encryption and integrity; one name alone of a combined mode suite.

    Of a suite that cannot be verified the second one is `none` or `unknown-N` (bits of the ICV).
    """
    for cipher in CIPHERS:
        if suite.name.startswith(f"{cipher}-") and suite.name not in COMBINED:
            return cipher, suite.name.removeprefix(f"{cipher}-")
    return suite.name, None
