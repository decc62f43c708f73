"""Checks where values enter: from a peer (`Drop(POORLY_FORMED)`) or made by hand (ValueError).

Text is printable ASCII: it comes from a peer and ends up on people's terminals.
"""

from scapy_mobsec import kinds
from scapy_mobsec.drops import Drop, DropReason


def poorly_formed(detail: str) -> Drop:
    """Return the Drop of a message that is not as it should be; `detail` says what is wrong."""
    return Drop(DropReason.POORLY_FORMED, detail)


def parse_text(octets: bytes, name: str) -> str:
    """Return the octets as text. Raises Drop if they are not printable ASCII."""
    text = octets.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        raise poorly_formed(f"{name} is not printable ASCII")
    return text


def check_text(text: str, limit: int, name: str) -> None:
    """Raise ValueError unless `text` is printable ASCII of at most `limit` octets."""
    kinds.text(limit).check(name, text)


def check_length(octets: bytes, length: int, name: str) -> None:
    """Raise ValueError unless `octets` has this length."""
    if len(octets) != length:
        raise ValueError(f"{name} has {len(octets)} octets, not {length}")
