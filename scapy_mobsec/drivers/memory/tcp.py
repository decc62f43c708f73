"""A small TCP (RFC 9293): handshake, octets in order, loss as delay, RST, FIN, half-open.

What there is: cumulative acknowledgment, repetition by timeout (RFC 6298) and by three duplicate
acknowledgments, path MTU discovery with and without notices (RFC 1191; RFC 4821 in its simplest
form: a smaller segment after two timeouts). What is simpler: a fixed window, no congestion control,
no half-close (who gets FIN sends its own), a RST counts only with the number that is next (RFC
5961), the time between repetitions is at most 8 s so that runs stay short, 120 s without progress
end it.
"""

from enum import Enum
from typing import TYPE_CHECKING

from scapy_mobsec.drivers.memory.network import SECOND
from scapy_mobsec.drivers.memory.packet import ACK, FIN, PSH, RST, SYN, Packet, TcpFields
from scapy_mobsec.drivers.stream_layers import StreamUser, ip_tcp_headers
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.packet.path import Endpoint

if TYPE_CHECKING:
    from scapy_mobsec.drivers.memory.tcp_stack import TcpStack

FIRST_TIMEOUT = SECOND
SHORTEST_TIMEOUT = SECOND // 5
LONGEST_TIMEOUT = 8 * SECOND
GIVE_UP_AFTER = 120 * SECOND

WINDOW = 65_535
SAFE_SEGMENT = 536
MAX_OUT_OF_ORDER = 128
_IP_TCP = {4: 40, 16: 60}


class State(Enum):
    """Where a connection stands; CLOSING: FIN is to be sent, or was."""

    SYN_SENT = "SYN sent"
    SYN_RECEIVED = "SYN received"
    ESTABLISHED = "established"
    CLOSING = "closing"
    CLOSED = "closed"


class Connection:
    """One end of a connection; sequence numbers are counted without wrapping."""

    def __init__(
        self, stack: "TcpStack", local: Endpoint, remote: Endpoint, user: StreamUser, state: State
    ) -> None:
        self.local, self.remote, self.user, self.state = local, remote, user, state
        if state is State.SYN_SENT:
            self.headers = ip_tcp_headers(local, remote)
        else:
            self.headers = ip_tcp_headers(remote, local)
        self.segment_size = 1500 - _IP_TCP[len(local.address)]
        self._stack = stack
        self._network = stack.network
        self._first = self._acknowledged = stack.random.getrandbits(32)
        self._next = self._first + 1  # SYN counts as one
        self._highest = self._next
        self._buffer = bytearray()  # from the first octet that is not acknowledged on
        self._expected = 0
        self._out_of_order: dict[int, tuple[bytes, int]] = {}
        self._fin_at: int | None = None
        self._peer_ended = False
        self._must_acknowledge = False
        self._duplicates = 0
        self._timeout = FIRST_TIMEOUT
        self._smoothed: float | None = None
        self._deviation = 0.0
        self._repetitions = 0
        self._timed: tuple[int, int] | None = None
        self._progress = self._network.elapsed_ns
        self._due: int | None = None
        self._alarm: int | None = None

    # the stream

    def write(self, data: bytes) -> None:
        """Send octets in order."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        if not self._buffer and self._acknowledged == self._next:
            self._progress = self._network.elapsed_ns
        self._buffer += data
        self._send_new()

    def close(self) -> None:
        """Send what was written, and then FIN."""
        if self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.abort()
        elif self.state is State.ESTABLISHED:
            self.state = State.CLOSING
            self._progress = self._network.elapsed_ns
            self._fin_at = self._acknowledged + len(self._buffer)
            self._send_new()

    def abort(self) -> None:
        """Send RST and forget the connection; the user is not told."""
        if self.state is not State.CLOSED:
            if self.state is not State.SYN_SENT:
                self._emit(RST | ACK, self._next)
            self.forget()

    # from the network

    def begin(self, syn: TcpFields | None = None) -> None:
        """Send SYN, or answer one."""
        if syn:
            self._expected = syn.sequence + 1
        self._repeat_first()
        self._timed = (self._next, self._network.elapsed_ns)
        self._wind()

    def receive(self, packet: Packet, tcp: TcpFields) -> None:
        """Take a segment of this connection."""
        if tcp.flags & RST:
            refused = self.state is State.SYN_SENT and tcp.acknowledgment == self._next
            if refused or (self.state is not State.SYN_SENT and tcp.sequence == self._expected):
                self._end("refused" if refused else "reset")
            elif self._established:
                self._emit(ACK, self._next)  # a challenge (RFC 5961)
            return
        if tcp.flags & SYN:
            if not self._receive_syn(tcp):
                return
        elif self.state is State.SYN_SENT:
            return
        if tcp.flags & ACK:
            self._receive_acknowledgment(tcp.acknowledgment, bare=not packet.payload)
        if (packet.payload or tcp.flags & FIN) and self.state is not State.CLOSED:
            self._receive_octets(tcp.sequence, packet.payload, tcp.flags & FIN)

    def too_big(self, mtu: int) -> None:
        """Send smaller segments from now on."""
        size = mtu - _IP_TCP[len(self.local.address)]
        if 0 < size < self.segment_size:
            self.segment_size = size
            if self._established:
                self._go_back()
                self._send_new()

    def _receive_syn(self, tcp: TcpFields) -> bool:
        """Take SYN, or SYN with ACK; False if there is nothing more to do."""
        if self.state is State.SYN_SENT and tcp.flags & ACK:
            if tcp.acknowledgment != self._next:
                return False
            self._expected = tcp.sequence + 1
            self._must_acknowledge = True
            self._schedule_acknowledgment()
            return True
        if self.state is State.SYN_RECEIVED:
            self._repeat_first()
        elif self.state is not State.SYN_SENT:
            self._emit(ACK, self._next)
        return False

    def _receive_acknowledgment(self, number: int, *, bare: bool) -> None:
        if number == self._acknowledged:
            if bare and number < self._next and self._established:
                self._duplicates += 1
                if self._duplicates == 3:
                    self._repeat_first()
            return
        if not self._acknowledged < number <= self._highest:
            return
        now = self._network.elapsed_ns
        if self._timed and number >= self._timed[0]:
            self._measure(now - self._timed[1])
        opens = not self._established
        data_octets = number - self._acknowledged - opens
        self._acknowledged, self._next = number, max(number, self._next)
        del self._buffer[:data_octets]
        self._duplicates = self._repetitions = 0
        self._progress = now
        self._due = None
        if opens:
            self.state = State.ESTABLISHED
            self.user.established(self)
        if not self._end_if_done():
            self._send_new()

    def _receive_octets(self, sequence: int, payload: bytes, fin: int) -> None:
        if not self._established:
            return
        if sequence > self._expected:
            if len(self._out_of_order) < MAX_OUT_OF_ORDER:
                self._out_of_order[sequence] = (payload, fin)
            self._emit(ACK, self._next)  # at once: it counts as a duplicate
            return
        self._must_acknowledge = True
        self._schedule_acknowledgment()
        self._take(sequence, payload, fin)
        while self._out_of_order and self.state is not State.CLOSED:
            first = min(self._out_of_order)
            if first > self._expected:
                break
            self._take(first, *self._out_of_order.pop(first))

    def _take(self, sequence: int, payload: bytes, fin: int) -> None:
        new = payload[self._expected - sequence :]
        ends = fin and self._expected <= sequence + len(payload)
        self._expected += len(new)
        if new:
            self.user.received(bytes(new))
        if ends and self.state is not State.CLOSED:
            self._expected += 1
            self._peer_ended = True
            if self.state is State.ESTABLISHED:
                user, self.user = self.user, NOBODY
                self.close()
                user.closed("closed by the peer")
            elif self._fin_at is not None and self._acknowledged > self._fin_at:
                self._acknowledge()
                self._end_if_done()

    def _end_if_done(self) -> bool:
        """Forget the connection when both FINs are acknowledged."""
        done = self._fin_at is not None and self._acknowledged > self._fin_at and self._peer_ended
        if done:
            self._end("closed")
        return done

    # to the network

    @property
    def _established(self) -> bool:
        return self.state not in (State.SYN_SENT, State.SYN_RECEIVED)

    def _send_new(self) -> None:
        """Send what the window allows and was not sent."""
        if not self._established or self.state is State.CLOSED:
            return
        begin = self._acknowledged
        end = begin + min(len(self._buffer), WINDOW)
        while self._next < end:
            self._send_octets(self._next, min(self.segment_size, end - self._next))
        if self._fin_at is not None and self._next == self._fin_at:
            self._emit(FIN | ACK, self._next)
            self._next += 1
            self._highest = max(self._highest, self._next)
        self._wind()

    def _send_octets(self, sequence: int, size: int) -> None:
        offset = sequence - self._acknowledged
        if self._timed is None and sequence == self._next:
            self._timed = (sequence + size, self._network.elapsed_ns)
        self._emit(PSH | ACK, sequence, bytes(self._buffer[offset : offset + size]))
        self._next = max(self._next, sequence + size)
        self._highest = max(self._highest, self._next)

    def _go_back(self) -> None:
        """Have all that is not acknowledged sent again."""
        self._timed = None
        if self._buffer:
            self._next = self._acknowledged

    def _repeat_first(self) -> None:
        """Send what the peer waits for again; no time is taken of repetitions (Karn)."""
        self._timed = None
        if self.state is State.SYN_SENT:
            self._emit(SYN, self._first)
        elif self.state is State.SYN_RECEIVED:
            self._emit(SYN | ACK, self._first)
        elif self._buffer and self._next > self._acknowledged:
            sent = min(len(self._buffer), self._next - self._acknowledged)
            self._send_octets(self._acknowledged, min(self.segment_size, sent))
        elif self._fin_at is not None and self._next > self._fin_at:
            self._emit(FIN | ACK, self._fin_at)

    def _emit(self, flags: int, sequence: int, payload: bytes = b"") -> None:
        if flags & ACK:
            self._must_acknowledge = False
        fields = TcpFields(flags, sequence, self._expected if flags & ACK else 0)
        self._stack.output(Packet(TCP, self.local, self.remote, payload, fields))

    def _schedule_acknowledgment(self) -> None:
        self._network.after(0, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._must_acknowledge and self.state is not State.CLOSED:
            self._emit(ACK, self._next)

    # time

    def _measure(self, round_trip: int) -> None:
        """Adapt the timeout (RFC 6298 section 2)."""
        self._timed = None
        if self._smoothed is None:
            self._smoothed, self._deviation = round_trip, round_trip / 2
        else:
            self._deviation += (abs(self._smoothed - round_trip) - self._deviation) / 4
            self._smoothed += (round_trip - self._smoothed) / 8
        timeout = self._smoothed + max(4 * self._deviation, SHORTEST_TIMEOUT)
        self._timeout = round(min(timeout, LONGEST_TIMEOUT))

    def _wind(self) -> None:
        """Have a timeout while something is not acknowledged."""
        if self._acknowledged == self._next:
            self._due = None
        elif self._due is None:
            wait = min(self._timeout << self._repetitions, LONGEST_TIMEOUT)
            self._due = self._network.elapsed_ns + wait
            if self._alarm is None or self._alarm > self._due:
                self._alarm = self._due
                self._network.after(wait, self._timed_out)

    def _timed_out(self) -> None:
        now = self._network.elapsed_ns
        if self._alarm is None or now < self._alarm:
            return
        self._alarm = None
        if self._due is None or self.state is State.CLOSED:
            return
        if now < self._due:
            self._alarm = self._due
            self._network.after(self._due - now, self._timed_out)
            return
        if now - self._progress >= GIVE_UP_AFTER:
            self._end("timed out")
            return
        self._repetitions += 1
        if self._repetitions == 2 and self._established:
            self.segment_size = min(self.segment_size, SAFE_SEGMENT)
        self._repeat_first()
        if self._established and self._buffer:  # the rest follows when this one is acknowledged
            self._next = min(self._next, self._acknowledged + self.segment_size)
        self._due = None
        self._wind()

    def _end(self, reason: str) -> None:
        user, self.user = self.user, NOBODY
        self.forget()
        user.closed(reason)

    def forget(self) -> None:
        """Be gone, without a word to anybody."""
        self.user, self.state = NOBODY, State.CLOSED
        self._stack.connections.pop((self.local, self.remote), None)


class _Nobody:
    """The user of a connection whose user has been told of its end."""

    def established(self, stream: object) -> None:
        """Not called."""

    def received(self, data: bytes) -> None:
        """Forget it."""

    def closed(self, reason: str) -> None:
        """Known already."""


NOBODY = _Nobody()
