"""Opening of SK and SKF payloads (RFC 7296 section 3.14, RFC 5282, RFC 7383 section 2.5).

    SK  = IV | ciphertext of (payloads | padding | padding length (1)) | ICV
    SKF = fragment number (2) | total fragments (2) | what SK has

The ICV covers the message from its header up to the IV as additional data: with a combined mode
algorithm so, with another one as the beginning of what is authenticated, which is the same.
"""

from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.ike.algorithms import UnsupportedAlgorithm, suite_named
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.message import Message
from scapy_mobsec.ike.numbers import PayloadType

_FRAGMENT_HEADER = 4
_ANY_SPI = 1


class Opened(NamedTuple):
    """What was inside. first_type: of its first payload, 0 in a fragment that is not the first.

    number, total: of a fragment, 1 and 1 of a whole message. verified: its ICV was good.
    """

    plaintext: bytes
    first_type: int
    verified: bool
    number: int = 1
    total: int = 1


class Opener:
    """The keys of one IKE SA, ready to open its messages."""

    def __init__(self, keys: IkeSaKeys, integrity: str | None) -> None:
        """`integrity`: its algorithm where `keys` does not name it.

        Raises UnsupportedAlgorithm, also for keys of a wrong length.
        """
        suite = suite_named(keys.encryption, keys.integrity or integrity)
        try:
            for key, integrity_key in ((keys.sk_ei, keys.sk_ai), (keys.sk_er, keys.sk_ar)):
                SaParameters(_ANY_SPI, suite, key, integrity_key or None)
        except ValueError as error:
            raise UnsupportedAlgorithm(str(error)) from None
        self.suite = suite
        self.verifies = bool(keys.sk_ai) or not suite.integrity_key_length
        self._of_initiator = suite.protection(keys.sk_ei, keys.sk_ai or None)
        self._of_responder = suite.protection(keys.sk_er, keys.sk_ar or None)

    def open(self, message: Message) -> Opened:
        """Verify and decrypt the SK or SKF payload of a message that has one.

        Raises Drop: MALFORMED_IKE for lengths or padding that cannot be, BAD_ICV.
        """
        encrypted = message.encrypted
        assert encrypted is not None
        suite = self.suite
        at, number, total = encrypted.body_at, 1, 1
        if encrypted.type == PayloadType.SKF:
            number, total = _fragment(encrypted.body)
            at += _FRAGMENT_HEADER
        iv_end = at + suite.iv_length
        octets = message.octets
        length = len(octets) - iv_end - suite.icv_length
        if length < 1 or length % suite.block_length:
            raise Drop(DropReason.MALFORMED_IKE, f"{length} encrypted octets")
        sender = self._of_initiator if message.header.from_initiator else self._of_responder
        plaintext = sender.decrypt(octets[:at], b"", octets[at:iv_end], octets[iv_end:])
        padding = plaintext[-1] + 1
        if padding > len(plaintext):
            raise Drop(DropReason.MALFORMED_IKE, f"padding of {padding} octets")
        return Opened(plaintext[:-padding], encrypted.next_type, self.verifies, number, total)


def _fragment(body: bytes) -> tuple[int, int]:
    """Return number and total. Raises Drop(MALFORMED_IKE)."""
    number, total = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    if len(body) < _FRAGMENT_HEADER or not 1 <= number <= total:
        raise Drop(DropReason.MALFORMED_IKE, f"fragment {number} of {total}")
    return number, total
