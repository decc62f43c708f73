"""ESP and IKE in all TCP connections of a capture: a reader each, and the channels of http-post.

TLS that cannot be read, or not on, is counted; what is none of ours is let go. What the second
connection of a channel carries is told as if it came by the first, as terminals do.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.observer.stream_reader import InStream, StreamReader
from scapy_mobsec.observer.stream_units import Kind
from scapy_mobsec.places import Places
from scapy_mobsec.reassembly import NEVER, Connection, End
from scapy_mobsec.tcp_direction import MAX_WAIT_FOR_BEGINNING_NS, Piece

MAX_STREAMS = 1024
"""Streams that are read at once."""
MAX_OCTETS = 32 << 20
"""What all of them hold until more comes: packets that are not whole, or wait for their kind."""
MAX_WAIT_NS = 2 * MAX_WAIT_FOR_BEGINNING_NS
"""For which a packet waits until it shows what carries it, or by which first connection."""
MAX_WITHOUT_FIRST = 32
"""Packets of a second connection that wait for that."""


class Streams:
    """The readers of all connections, MAX_STREAMS at most. due: when `expire` is to be called."""

    def __init__(
        self,
        knows_spi: Callable[[int], bool],
        on_drop: Callable[[Drop], None],
        tls_keys: KeyLog,
    ) -> None:
        self.due = NEVER
        self._tls = 0
        self._tls_keys = tls_keys
        self._knows_spi = knows_spi
        self._on_drop = on_drop
        self._given_up: list[Connection] = []
        self._readers: Places[Connection, StreamReader] = Places(MAX_STREAMS)
        self._octets: dict[StreamReader, int] = {}
        self._all_octets = 0
        self._waiting: dict[Connection, None] = {}
        """Of which something waits until more shows."""
        self._firsts: OrderedDict[tuple[bytes, End, bytes], End] = OrderedDict()
        """Client of the first connection, by channel, server, and the client's address."""
        self._without_first: dict[StreamReader, list[InStream]] = {}
        """What second connections brought while the first one was not known."""

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def tls(self) -> int:
        """TLS connections that were not read, or not to their end."""
        readers = (self._readers.get(each) for each in self._readers if not each.tentative)
        return self._tls + sum(reader is not None and reader.is_waiting_tls for reader in readers)

    def read(self, connection: Connection, sender: End, piece: Piece) -> Iterator[InStream]:
        """Yield what a piece completes. To be exhausted; `give_up` after it."""
        reader = self._readers.get(connection)
        if reader is None:
            reader = StreamReader(connection, self._knows_spi, self._on_drop, self._tls_keys)
        found = reader.read(sender, piece)
        if reader.channel:
            yield from self._told(reader, found)
        else:
            yield from found
        if reader.kind in (Kind.TLS, Kind.OTHER):
            self._let_go(reader)
            return
        since = self._waits_since(reader) if reader.channel else reader.waits_since
        if since is not None and connection not in self._waiting:
            self._waiting[connection] = None
            self.due = min(self.due, since + MAX_WAIT_NS)
        gone = self._readers.put(connection, reader, wanted=reader.kind is not None)
        if reader.octets != self._octets.get(reader, 0):
            self._account(reader, reader.octets)
        while gone is not None or self._all_octets > MAX_OCTETS:
            gone = gone or self._readers.pop_first()
            if gone is None:
                return
            self._on_drop(Drop(DropReason.STREAM_LIMIT, f"more than {MAX_STREAMS}"))
            yield from self._tell_anyway(gone)
            self._let_go(gone)
            gone = None

    def expire(self, now_ns: int) -> Iterator[InStream]:
        """Yield what has waited for long enough until more shows. To be exhausted."""
        self.due = NEVER
        for connection in list(self._waiting):
            reader = self._readers.get(connection)
            since = self._waits_since(reader) if reader else None
            if reader is None or since is None:
                del self._waiting[connection]
            elif since + MAX_WAIT_NS < now_ns:
                del self._waiting[connection]
                yield from self._tell_anyway(reader)
            else:
                self.due = min(self.due, since + MAX_WAIT_NS)

    def _waits_since(self, reader: StreamReader) -> int | None:
        waiting = self._without_first.get(reader)
        return waiting[0].stamp.time_ns if waiting else reader.waits_since

    def end(self, connection: Connection) -> Iterator[InStream]:
        """Yield what waits of a connection that is over, and let it go."""
        reader = self._readers.get(connection)
        if reader is not None:
            yield from self._tell_anyway(reader)
            self._tls += reader.is_waiting_tls and not connection.tentative
            self._readers.pop(connection)
            self._account(reader, 0)

    def finish(self) -> Iterator[InStream]:
        """Yield what waits in all of them: no more comes."""
        for connection in list(self._readers):
            reader = self._readers.get(connection)
            if reader is not None:
                yield from self._tell_anyway(reader)

    def _tell_anyway(self, reader: StreamReader) -> Iterator[InStream]:
        yield from self._told(reader, reader.tell_anyway())
        yield from self._tell_without_first(reader)
        if reader.kind in (Kind.TLS, Kind.OTHER):
            self._let_go(reader)
        else:
            self._account(reader, reader.octets)

    def _told(self, reader: StreamReader, found: Iterable[InStream]) -> Iterator[InStream]:
        for one in found:
            if reader.channel:
                yield from self._at_first(reader, one)
            else:
                yield one

    def _let_go(self, reader: StreamReader) -> None:
        """Want nothing more of a connection; count TLS."""
        connection = reader.connection
        self._without_first.pop(reader, None)
        self._tls += reader.kind is Kind.TLS and not connection.tentative
        self._readers.pop(connection)
        self._account(reader, 0)
        self._given_up.append(connection)

    def _account(self, reader: StreamReader, octets: int) -> None:
        self._all_octets += octets - self._octets.pop(reader, 0)
        if octets:
            self._octets[reader] = octets

    def _at_first(self, reader: StreamReader, one: InStream) -> Iterator[InStream]:
        """Yield it as if it came by the first connection of its channel, once that is known.

        Before that, as at the beginning of a capture, it would look like a move.
        """
        waiting = self._without_first.setdefault(reader, [])
        waiting.append(one)
        if reader.is_first or self._first_of(reader, one) is not None:
            del self._without_first[reader]
            for each in waiting:
                yield self._placed(reader, each)
        elif len(waiting) > MAX_WITHOUT_FIRST:
            self._give_up_first(waiting.pop(0))

    def _first_of(self, reader: StreamReader, one: InStream) -> End | None:
        server, client = self._ends(reader, one)
        return self._firsts.get((reader.channel, server, client[0]))

    def _placed(self, reader: StreamReader, one: InStream) -> InStream:
        server, client = self._ends(reader, one)
        channel = reader.channel, server, client[0]
        if not reader.is_first:
            return one._replace(receiver=self._firsts[channel])
        self._firsts[channel] = client
        self._firsts.move_to_end(channel)
        if len(self._firsts) > MAX_STREAMS:
            self._firsts.popitem(last=False)
        return one

    def _ends(self, reader: StreamReader, one: InStream) -> tuple[End, End]:
        """Return server and client."""
        is_asking = one.sender == reader.client
        return (one.receiver, one.sender) if is_asking else (one.sender, one.receiver)

    def _tell_without_first(self, reader: StreamReader) -> Iterator[InStream]:
        """Yield what waits for a first connection, if it is known; it was long enough."""
        for one in self._without_first.pop(reader, []):
            if self._first_of(reader, one) is not None:
                yield self._placed(reader, one)
            else:
                self._give_up_first(one)

    def _give_up_first(self, one: InStream) -> None:
        detail = f"{len(one.carried.message)} octets"
        self._on_drop(Drop(DropReason.NO_FIRST_CONNECTION, detail))

    def give_up(self) -> Connection | None:
        """Return a connection of which nothing more is wanted, None if there is no such one."""
        return self._given_up.pop() if self._given_up else None
