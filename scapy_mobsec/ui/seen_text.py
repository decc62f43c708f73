"""What a packet tells of its link, in lines: for comments in captures, and as packets come."""

from collections.abc import Iterator

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.registration.messages import RegistrationReply
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.message_text import message_text
from scapy_mobsec.ui.views import told_by

NOT_VERIFIED = "NOT VERIFIED: decrypted without an integrity key, so anybody may have written it"

_USUAL = frozenset({None, DropReason.UNKNOWN_SPI, DropReason.UNREADABLE, DropReason.REPLAYED})
"""Why a packet does not count, where nothing is wrong with it or its type tells it."""
_REPEATED = {None: "captured twice", DropReason.SEQUENCE_FORGOTTEN: "TOO OLD TO TELL"}


def link_lines(seen: SeenPacket) -> Iterator[str]:
    """Yield a line for the registration message that a packet is, and one for its link's move."""
    if seen.message is not None:
        yield _message_line(seen)
    if seen.move is not None:
        yield move_line(seen.move)


def packet_lines(seen: SeenPacket) -> Iterator[str]:
    """Yield the same and what is wrong with the packet: replayed, dropped, not verified."""
    if seen.opened is not None and not seen.opened.verified:
        yield NOT_VERIFIED
    yield from link_lines(seen)
    if seen.type is PacketType.REPEATED:
        what = _REPEATED.get(seen.dropped, "REPLAYED")
        yield f"{what}: SPI 0x{seen.spi or 0:08x}, sequence {seen.sequence}"
    if seen.dropped not in _USUAL:
        assert seen.dropped is not None
        yield f"dropped, {seen.dropped.name.lower()}: {seen.dropped.value}"


def move_line(move: Move) -> str:
    """Tell a move: from where to where, and what told it."""
    old, new = move.old.carrier, move.new.carrier
    peer = "both ends" if move.peer is None else f"peer {move.peer}"
    way = f"{old} {move.left} -> {new} {move.reached}"
    return f"link {move.link} moved: {way}, {peer}, {told_by(move)}"


def _message_line(seen: SeenPacket) -> str:
    message, registration = seen.message, seen.registration
    assert message is not None
    took = registration.round_trip_ns if registration else None
    if isinstance(message, RegistrationReply):
        detail = "no RREQ seen" if took is None else f"round trip {took / 1e6:.3f} ms"
    else:
        detail = str(seen.outer)
    translated = describe_all(registration.translations) if registration else []
    return "; ".join([f"{message_text(message)}: {detail}", *translated])
