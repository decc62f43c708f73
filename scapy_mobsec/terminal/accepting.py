"""Streams as Y accepts them (rule 10), and the ids of their channels.

- A stream shows an authentic ESP packet within 5 s and 64 KiB or is closed. Those that have not yet
  are limited by source; the authentic ones are not, for many mobile terminals may be behind a NAT.
- An authentic one belongs to its link, which has no more than an attempt has paths, and is no path
  of any other link. It delivers whatever the attempt is (rule 2), until X closes it, has been
  silent for long on what is not its current path, or the binding ends.
- Where there are too many in all, the oldest goes that is not the current path of its link, and
  before any other one that has shown nothing.
- The end of the current one suspends.
- A stream that can carry nothing of what Y supports is not taken. What it carries shows only later:
  `other` refuses the RREQ then.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Channel, StreamCarrier
from scapy_mobsec.encap.http_post import ANSWER_WITHIN, ID_LENGTH, Channels
from scapy_mobsec.encap.stream import server_carrier
from scapy_mobsec.packet.path import Encapsulation, Ends, Path, address_text
from scapy_mobsec.terminal.answering import encapsulations
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.terminal.driving import Established
from scapy_mobsec.terminal.paths import MAX_ADMITTED
from scapy_mobsec.terminal.proving import ProvingTerminal, Timer
from scapy_mobsec.terminal.streams import Stream

FIRST_ESP_WITHIN = 5.0
FIRST_ESP_OCTETS = 65_536
"""Seconds, and octets, in which a stream must show an authentic ESP packet."""

MAX_UNPROVEN_PER_SOURCE = 16
"""Open streams from one address that have not shown one."""

CLOSED_AFTER = 120.0
"""Seconds without authentic ESP after which one closes that is not the current path; X sends PROBEs
every 30 s on those that it keeps.
"""

MAX_LINK_STREAMS = MAX_ADMITTED
"""Streams of one link that have; the two connections of a channel are one."""

_BY_TLS = frozenset({Encapsulation.TLS, Encapsulation.HTTP, Encapsulation.HTTP_POST})
_CARRIED_BY: Mapping[Encapsulation, frozenset[Encapsulation]] = {
    Encapsulation.TCP: _BY_TLS | {Encapsulation.TCP},  # a reverse proxy may end TLS
    Encapsulation.TLS: _BY_TLS,
}
"""What a stream, as the driver knows it, may turn out to carry."""


class AcceptingTerminal(ProvingTerminal):
    """The part of Y that accepts streams."""

    def __init__(
        self, configuration: OtherConfiguration, random_bytes: Callable[[int], bytes]
    ) -> None:
        super().__init__(configuration.max_sas, random_bytes)
        self._configuration = configuration
        self._supported = encapsulations(configuration.supported)
        self._unproven: Counter[bytes] = Counter()  # by source
        self._stream_links: dict[Path, BoundLink] = {}
        self._channels: dict[bytes, Stream] = {}  # by id, their first connections

    def _handle_other(self, what: Timer, key: bytes | Ends, now: float) -> None:
        stream = self._streams.get(key) if isinstance(key, tuple) else None
        if stream is None:
            return
        if what is Timer.STREAM:
            self._close(stream.opened_path, "of no use", now)
        elif what is Timer.SILENCE:
            self._check_silence(stream, now)
        elif what is Timer.ANSWER:
            self._write(stream.carrier.release(), stream)

    # from open to closed

    def _new_carrier(self, established: Established, path: Path) -> StreamCarrier:
        if not self._supported & _CARRIED_BY[path.encapsulation]:
            raise Drop(DropReason.UNKNOWN_CARRIER, f"{path.encapsulation.value} is not supported")
        source = path.remote.address
        if self._unproven[source] >= MAX_UNPROVEN_PER_SOURCE:
            raise Drop(DropReason.STREAM_LIMIT, f"{self._unproven[source]} from {path.remote}")
        new_id, find = partial(self._random_bytes, ID_LENGTH), partial(self._find_channel, source)
        return server_carrier(is_own=partial(self._is_own, path), channels=Channels(new_id, find))

    def _is_own(self, path: Path, host: str, port: int) -> bool:
        """Tell whether an HTTP target is Y itself: nothing is relayed to others."""
        settings = self._configuration
        own = {address_text(each) for each in (path.local.address, *settings.addresses)}
        ports = {path.local.port, NATT_PORT, *(item.port for item in settings.supported)}
        return port in ports and host.lower() in own | set(settings.names)

    def _stream_opened(self, established: Established, path: Path, now: float) -> None:
        self._unproven[path.remote.address] += 1
        self._timers.set((Timer.STREAM, path.ends), now + FIRST_ESP_WITHIN)
        if len(self._streams) > self._configuration.max_streams:
            self._make_room(self._streams[path.ends], now)

    def _make_room(self, new: Stream, now: float) -> None:
        """Close the stream that is missed least, which may be the new one."""
        every = [each for each in self._streams.values() if each is not new]
        unproven = (each for each in every if not each.authentic)
        idle = (each for each in every if each.authentic and not self._is_current(each))
        least = next(chain(unproven, idle), new)
        self._dropped(Drop(DropReason.STREAM_LIMIT, f"{len(every)} in all"), least.path)
        self._close(least.opened_path, "too many", now)

    def _is_current(self, stream: Stream) -> bool:
        link = self._stream_links.get(stream.path)
        return link is not None and link.path == stream.path

    def _receive_stream(self, data: bytes, path: Path, now: float) -> None:
        super()._receive_stream(data, path, now)
        stream = self._streams.get(path.ends)
        if stream is None:
            return
        if channel := stream.carrier.channel:
            first = self._channels.setdefault(channel.id, stream)
            if first is not stream and not stream.partner:
                self._prove(stream)
                self._join(first, stream)
        if not stream.authentic and stream.received_octets > FIRST_ESP_OCTETS:
            self._close(path, "no authentic ESP packet in its first octets", now)
        elif stream.carrier.waits:
            self._timers.set((Timer.ANSWER, path.ends), now + ANSWER_WITHIN)

    def _find_channel(self, source: bytes, channel_id: bytes) -> Channel | None:
        """Return the channel that a second connection from `source` may have."""
        first = self._channels.get(channel_id)
        if first is None or not first.authentic or first.partner:
            return None
        return first.carrier.channel if first.opened_path.remote.address == source else None

    def _forget_stream(self, stream: Stream) -> None:
        path, channel = stream.opened_path, stream.carrier.channel
        for what in (Timer.STREAM, Timer.SILENCE, Timer.ANSWER):
            self._timers.remove((what, path.ends))
        if not stream.authentic:
            self._count_off(stream)
        if channel and self._channels.get(channel.id) is stream:
            del self._channels[channel.id]
            for frame in channel.take():
                drop = Drop(DropReason.STREAM_CLOSED, f"a frame of {len(frame)} octets")
                self._dropped(drop, stream.path)

    def _stream_closed(self, path: Path, reason: str, now: float) -> None:
        link = self._stream_links.pop(path, None)
        if link:
            del link.streams[path]
            self._lost(link, path, now, closed=True)
            self._forget(link, path)

    # the link of a stream

    def _stream_authentic(self, link: BoundLink, path: Path, now: float) -> None:
        stream = self._streams.get(path.ends)
        if stream is None:
            return
        stream.heard = now
        if not stream.authentic:
            self._prove(stream)
            self._adopt(link, stream, now)

    def _prove(self, stream: Stream) -> None:
        """Nothing more is to be shown by it."""
        stream.authentic = True
        self._timers.remove((Timer.STREAM, stream.opened_path.ends))
        self._count_off(stream)

    def _count_off(self, stream: Stream) -> None:
        source = stream.opened_path.remote.address
        self._unproven[source] -= 1
        if not self._unproven[source]:
            del self._unproven[source]

    def _adopt(self, link: BoundLink, stream: Stream, now: float) -> None:
        """Let it be one of its link's; where that has too many, the least known one goes."""
        self._stream_links[stream.path] = link
        others = [each for path, each in link.streams.items() if path != link.path]
        link.streams[stream.path] = stream
        self._timers.set((Timer.SILENCE, stream.opened_path.ends), now + CLOSED_AFTER)
        if len(link.streams) > MAX_LINK_STREAMS:
            least = min(others, key=partial(_worth, link))
            self._dropped(Drop(DropReason.STREAM_LIMIT, f"{len(others)} of a link"), least.path)
            self._close(least.opened_path, "too many", now)

    def _check_silence(self, stream: Stream, now: float) -> None:
        """Close a stream that X left, perhaps with its network, so that nothing else ends it."""
        link = self._stream_links[stream.path]
        due = (now if link.kept(stream.path) else stream.heard) + CLOSED_AFTER
        if due <= now:
            self._close(stream.opened_path, "silent", now)
        else:
            self._timers.set((Timer.SILENCE, stream.opened_path.ends), due)

    def _may_be_path(self, link: BoundLink, path: Path) -> bool:
        """Tell whether a path is no stream of another link."""
        return self._stream_links.get(path, link) is link

    def _is_unsure(self, link: BoundLink, path: Path, now: float) -> bool:
        return self._may_be_path(link, path) and super()._is_unsure(link, path, now)

    def _end_streams(self, streams: Iterable[Stream], now: float) -> None:
        """Close streams, after what is written to them before this call of ours returns."""
        for stream in streams:
            self._timers.set((Timer.STREAM, stream.opened_path.ends), now)


def _worth(link: BoundLink, stream: Stream) -> tuple[bool, bool]:
    """Of more worth is what this attempt admitted, and most what it validated."""
    state = link.state_of(stream.path)
    return state is not None, state is not None and state.validated
