"""Checks where values enter: from a peer (`Drop(POORLY_FORMED)`) or made by hand (ValueError).

Text is printable ASCII: it comes from a peer and ends up on people's terminals.
"""

from scapy_mobsec.drops import Drop, DropReason


def poorly_formed(detail: str) -> Drop:
    """Return the Drop of a message that is not as it should be; `detail` says what is wrong."""
    return Drop(DropReason.POORLY_FORMED, detail)


def parse_text(octets: bytes, name: str) -> str:
    """Return the octets as text. Raises Drop if they are not printable ASCII."""
    text = octets.decode("latin-1")
    if not _is_text(text):
        raise poorly_formed(f"{name} is not printable ASCII")
    return text


def check_text(text: str, limit: int, name: str) -> None:
    """Raise ValueError unless `text` is printable ASCII of at most `limit` octets."""
    if not _is_text(text) or len(text) > limit:
        raise ValueError(f"{name} is not printable ASCII of at most {limit} octets")


def check_length(octets: bytes, length: int, name: str) -> None:
    """Raise ValueError unless `octets` has this length."""
    if len(octets) != length:
        raise ValueError(f"{name} has {len(octets)} octets, not {length}")


def _is_text(text: str) -> bool:
    return text.isascii() and text.isprintable()
