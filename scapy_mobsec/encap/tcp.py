"""The `tcp` carrier, inside TLS `tls`: ESP and IKE on a stream (RFC 9329).

The originator writes the stream prefix once (section 4), then both sides write frames (section 3):
a length of 2 octets that counts itself, then what UDP would carry. A length of 0 or 1 ends the
stream, 2 is ignored. A keepalive is understood; sending one on TCP is advised against
(section 7.5). A frame that cannot even hold an SPI ends the stream too: the sender lost its place.
"""

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.carrier import Carried, Cutter, StreamCarrier
from scapy_mobsec.packet.path import Encapsulation

MAX_FRAME = 0xFFFF


def measure_frame(data: bytes, offset: int) -> int:
    """Return where a frame ends (see Cutter). Raises Drop(BAD_FRAME_LENGTH)."""
    if len(data) - offset < 2:
        return offset + 2
    length = data[offset] << 8 | data[offset + 1]
    if length < 2:
        raise Drop(DropReason.BAD_FRAME_LENGTH, str(length))
    return offset + length


def wrap_frame(content: udp.Content, message: bytes = b"") -> bytes:
    """Make the frame that carries a message. Raises Drop(MESSAGE_TOO_LONG)."""
    payload = udp.wrap(content, message)
    length = len(payload) + 2
    if length > MAX_FRAME:
        raise Drop(DropReason.MESSAGE_TOO_LONG, f"{len(message)} octets on a stream")
    return length.to_bytes(2, "big") + payload


class TcpCarrier(StreamCarrier):
    """One side of an RFC 9329 stream; the originator may write ESP at once."""

    encapsulation = Encapsulation.TCP

    def __init__(self, *, originator: bool) -> None:
        self.ready = originator
        self._originator = originator
        self._awaited = b"" if originator else STREAM_PREFIX
        self._frames = Cutter(measure_frame)

    def start(self) -> bytes:
        """Return the stream prefix of an originator."""
        return STREAM_PREFIX if self._originator else b""

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Return the frame. Raises Drop(MESSAGE_TOO_LONG)."""
        return wrap_frame(content, message)

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        if self._awaited:
            data = self._receive_prefix(data)
        for frame in self._frames.cut(data):
            if len(frame) > 2:
                carried.append(Carried.of(frame[2:]))

    def _receive_prefix(self, data: bytes) -> bytes:
        part = data[: len(self._awaited)]
        if not self._awaited.startswith(part):
            raise Drop(DropReason.WRONG_PREFIX)
        self._awaited = self._awaited[len(part) :]
        self.ready = not self._awaited
        return data[len(part) :]
