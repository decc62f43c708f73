"""`mobsec decode -i`: packets as they come, and a line for each registration message and move."""

from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from scapy_mobsec.drivers.packet_socket import PacketSocket
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.ui.packet_output import PacketOutput
from scapy_mobsec.ui.seen_text import link_lines


class LiveLines:
    """Prints what packets tell of their links, at once, with the local time of day."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def take(self, seen: SeenPacket) -> None:
        """Print the lines of a packet; of most there are none."""
        for line in link_lines(seen):
            at = datetime.fromtimestamp(seen.time_ns // 10**9)
            unverified = seen.opened is not None and not seen.opened.verified
            mark = "NOT VERIFIED: " if unverified else ""
            text = f"{at:%H:%M:%S}.{seen.time_ns % 10**9 // 1000:06d}  {mark}{line}\n"
            self._stream.write(text)
            self._stream.flush()


def observe_live(
    observer: Observer,
    interface: str,
    bpf: str,
    *,
    count: int | None,
    packets: PacketOutput | None,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Feed what passes an interface, up to `count` frames, or until Ctrl-C.

    packets: gets each frame before it is observed. say: told when it begins. Raises CaptureError.
    """
    with PacketSocket(interface, bpf) as socket:
        say(f"listening on {interface}; Ctrl-C ends it")
        try:
            for record in socket.records():
                if packets:
                    packets.begin(record)
                observer.feed(record.time_ns, record.data, record.link_type)
                if observer.packets == count:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            if lost := socket.lost():
                warn(f"warning: {lost} frames came faster than they were read, and are lost")
