"""`mobsec decode -w`: inner packets in clear, or the outer frames with comments, as a capture.

A packet that is not verified is never written without a mark: in pcapng it has a comment, and a
classic capture, which cannot have one, does not get it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Protocol

from scapy_mobsec.drivers.capture import CaptureWriter, PcapngWriter, Record
from scapy_mobsec.observer.inner import inner_packet
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.ui.seen_text import NOT_VERIFIED, packet_lines
from scapy_mobsec.ui.written import CannotWrite

MAX_COMMENTS = 64
"""Of one frame: in a stream one segment can complete many packets."""
MAX_COMMENT = 1024
"""Characters."""
CLASSIC_END_NS = (1 << 32) * 10**9
"""In 2106 the seconds of a classic capture end."""


class PacketOutput(Protocol):
    """What writes packets."""

    @property
    def left_out(self) -> int:
        """How many it could not write as they should be."""

    def begin(self, record: Record) -> None:
        """Take a frame, before it is observed."""

    def take(self, seen: SeenPacket) -> None:
        """Take a packet that was observed in the frames so far."""

    def finish(self) -> None:
        """Write what is still held: all was observed."""


class InnerOutput:
    """Writes the packets that ESP and AH protected, at the times of their frames."""

    def __init__(self, stream: BinaryIO, *, comments: bool) -> None:
        self.left_out = 0
        self._commented = PcapngWriter(stream) if comments else None
        self._classic = None if comments else CaptureWriter(stream)

    def begin(self, record: Record) -> None:
        """Nothing to do: a packet says when its frame came."""

    def take(self, seen: SeenPacket) -> None:
        packet = inner_packet(seen)
        if packet is None or seen.opened is None:
            return
        if self._commented:
            mark = [] if seen.opened.verified else [NOT_VERIFIED]
            self._commented.write(seen.time_ns, packet, mark)
        elif self._classic and seen.opened.verified and seen.time_ns < CLASSIC_END_NS:
            self._classic.write(seen.time_ns, packet)
        else:
            self.left_out += 1

    def finish(self) -> None:
        """Nothing is held."""


class OuterOutput:
    """Writes all frames as captured, with comments that tell what was observed in them.

    The frame at hand is held until the next one comes: its comments are complete only then.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.left_out = 0
        self._writer = PcapngWriter(stream)
        self._held: Record | None = None
        self._number = 0
        self._comments: list[str] = []
        self._more = 0

    def begin(self, record: Record) -> None:
        self.finish()
        self._held = record
        self._number += 1

    def take(self, seen: SeenPacket) -> None:
        for line in packet_lines(seen):
            if len(self._comments) == MAX_COMMENTS:
                self._more += 1
                continue
            before = f"frame {seen.frame}: " if seen.frame != self._number else ""
            self._comments.append((before + line)[:MAX_COMMENT])

    def finish(self) -> None:
        if self._held is None:
            return
        record, comments = self._held, self._comments
        if self._more:
            comments.append(f"{self._more} more")
        self._writer.write(
            record.time_ns,
            record.data,
            comments,
            link_type=record.link_type,
            original_length=record.original_length,
        )
        self._held, self._comments, self._more = None, [], 0


class LateOutput:
    """Is opened with the first frame: what cannot be read has cost no file by then."""

    def __init__(self, opened: Callable[[], PacketOutput]) -> None:
        self._opened = opened
        self._output: PacketOutput | None = None

    @property
    def output(self) -> PacketOutput:
        """What is behind it, opened if it was not. Raises CannotWrite."""
        if self._output is None:
            self._output = self._opened()
        return self._output

    @property
    def left_out(self) -> int:
        return self.output.left_out

    def begin(self, record: Record) -> None:
        self.output.begin(record)

    def take(self, seen: SeenPacket) -> None:
        self.output.take(seen)

    def finish(self) -> None:
        self.output.finish()


@contextmanager
def packet_output(
    name: str, *, keep_outer: bool, warn: Callable[[str], None]
) -> Iterator[PacketOutput]:
    """Write a capture, `-` for stdout; what is held is written at the end.

    pcapng if its name ends so, and to stdout; else a classic capture. An exception leaves a file
    as it was if no frame was taken. Raises CannotWrite.
    """
    comments = name == "-" or name.lower().endswith(".pcapng")
    if keep_outer and not comments:
        raise CannotWrite(f"{name}: --keep-outer writes comments, which a .pcapng alone can have")
    if name == "-" and sys.stdout.isatty():
        raise CannotWrite("stdout is a terminal: -w - is for a pipe or a file")
    with ExitStack() as stack:

        def opened() -> PacketOutput:
            stream = sys.stdout.buffer if name == "-" else stack.enter_context(_created(name))
            stack.callback(stream.flush)
            return OuterOutput(stream) if keep_outer else InnerOutput(stream, comments=comments)

        output = LateOutput(opened)
        yield output
        output.finish()
    if output.left_out:
        warn(
            f"warning: {output.left_out} packets are not in {name}, as they are not verified "
            "(or later than 2106): a .pcapng has them, with a mark"
        )


def _created(name: str) -> BinaryIO:
    try:
        return open(name, "wb")
    except OSError as error:
        raise CannotWrite(f"{name}: {error.strerror}") from error
