"""Hosts: where terminals run. They bring packets and the time, and take packets away.

A host may have several addresses. What is said on an address that it no longer has is lost, as are
the streams from there; those of an address that it still has in the same segment live on.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from scapy_mobsec.drivers.memory.network import MemoryNetwork, Segment
from scapy_mobsec.drivers.memory.packet import Packet, TooBig
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.drivers.memory.terminal_stream import TerminalStreams
from scapy_mobsec.packet.ip import AH, ESP, TCP, UDP, parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.base import Terminal
from scapy_mobsec.terminal.driving import Close, Closed, Input, Open, Output, Transmit
from scapy_mobsec.terminal.events import Event
from scapy_mobsec.terminal.mobile import MobileTerminal

T = TypeVar("T", bound=Terminal[Any])


class Host(Generic[T]):
    """A place in the network where a terminal runs; what it says is kept with its time.

    `log`: events of the terminal. `inner`: inner packets that arrived. Both with nanoseconds since
    the Unix epoch. `on_inner` is what lives behind the terminal; `save` writes its snapshot where a
    restart finds it, None without such a place.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        terminal: T,
        on_inner: Callable[[bytes], None] = lambda packet: None,
        name: str = "",
    ) -> None:
        self.terminal = terminal
        self.on_inner = on_inner
        self.save: Callable[[], None] | None = None
        self.name = name
        self.log: list[tuple[int, Event]] = []
        self.inner: list[tuple[int, bytes]] = []
        self._network = network
        self._segments: dict[bytes, Segment] = {}
        self._wakes_at: float | None = None
        self._streams = TerminalStreams(network, self._deliver)
        self._tcp = TcpStack(network, self._output, self._streams.accept)

    def listen(self, port: int, certificate: bytes = b"") -> None:
        """Accept streams on a TCP port, inside TLS if there is a certificate."""
        self._streams.listen(port, certificate)

    def attach(self, segment: Segment, endpoint: Endpoint) -> None:
        """Take an address in a segment, instead of all earlier ones."""
        self.attach_all([(segment, endpoint)])

    def attach_all(self, places: Sequence[tuple[Segment, Endpoint]]) -> None:
        """Take addresses in segments, instead of all earlier ones that are not among them."""
        old = self._segments
        self._segments = {endpoint.address: segment for segment, endpoint in places}
        for address, segment in old.items():
            if self._segments.get(address) is not segment:
                segment.detach(address)
                self._streams.forget(address)
                self._tcp.forget(address)
        for address, segment in self._segments.items():
            if old.get(address) is not segment:
                segment.attach(address, self._receive, self.name)

    def restart(self, terminal: T) -> None:
        """Go on with another terminal in the place of this one; its streams are gone."""
        for address in self._segments:
            self._streams.forget(address)
            self._tcp.forget(address)
        self.terminal, self._wakes_at = terminal, None
        self.pump()

    def send(self, packet: bytes) -> None:
        """Send an inner packet through the terminal."""
        self.terminal.send(packet, self._network.now)
        self.pump()

    def pump(self) -> None:
        """Take away what the terminal has to send and to say, and wind its timer."""
        network, terminal = self._network, self.terminal
        due = terminal.snapshot_due
        if self.save and due is not None and due <= network.now:
            self.save()
        for output in terminal.transmits(network.now):
            self._do(output)
        while (event := terminal.next_event()) is not None:
            self.log.append((network.time_ns, event))
        for packet in terminal.received():
            self.inner.append((network.time_ns, packet))
            self.on_inner(packet)
        wakes_at = self._next_wake()
        if wakes_at is not None and (self._wakes_at is None or wakes_at < self._wakes_at):
            self._wakes_at = wakes_at
            network.at(wakes_at, self._wake)

    def _next_wake(self) -> float | None:
        due = self.terminal.snapshot_due if self.save else None
        times = (self.terminal.timer(), due)
        return min((time for time in times if time is not None), default=None)

    def _do(self, output: Output) -> None:
        path = output.path
        match output:
            case Transmit() if path.encapsulation is Encapsulation.UDP:
                self._output(Packet(UDP, path.local, path.remote, output.data))
            case Transmit() if path.ah:
                ip = parse_ip(output.data)
                ends = Endpoint(ip.source), Endpoint(ip.destination)
                self._output(Packet(AH, *ends, ip.payload))
            case Transmit() if path.encapsulation is Encapsulation.NATIVE:
                local, remote = Endpoint(path.local.address), Endpoint(path.remote.address)
                self._output(Packet(ESP, local, remote, output.data))
            case Transmit():
                self._streams.write(path, output.data)
            case Close():
                self._streams.close(path)
            case Open() if path.local.address in self._segments:
                self._streams.connect(output, self._tcp)
            case Open():
                self._network.after(0, self._deliver, Closed("address is not there"), path)

    def _output(self, packet: Packet) -> None:
        segment = self._segments.get(packet.source.address)
        if segment:
            segment.send(packet)

    def _receive(self, packet: Packet) -> None:
        if packet.protocol == UDP:
            path = Path(Encapsulation.UDP, packet.destination, packet.source)
            self._deliver(packet.payload, path)
        elif packet.protocol == ESP:
            path = Path(Encapsulation.NATIVE, packet.destination, packet.source)
            self._deliver(packet.payload, path)
        elif packet.protocol == AH:
            path = Path(Encapsulation.NATIVE, packet.destination, packet.source, ah=True)
            self._deliver(packet.octets(), path)
        elif packet.too_big and packet.too_big.original.protocol != TCP:
            self._notice(packet.too_big)
        elif packet.protocol == TCP or packet.too_big:
            self._tcp.receive(packet)

    def _notice(self, notice: TooBig) -> None:
        """Take a notice about a datagram; Y has no use for it."""

    def _deliver(self, data: Input, path: Path) -> None:
        self.terminal.receive(data, path, self._network.now)
        self.pump()

    def _wake(self) -> None:
        now = self._network.now
        if self._wakes_at is None or now < self._wakes_at:
            return  # something earlier came up meanwhile, and has been done
        self._wakes_at = None
        due = self.terminal.timer()
        if due is not None and due <= now:
            self.terminal.handle_timer(now)
        self.pump()


class MobileHost(Host[MobileTerminal]):
    """A host that can go to other segments."""

    def move(self, segment: Segment, endpoint: Endpoint) -> None:
        """Leave the old addresses and go on from another one."""
        self.move_all([(segment, endpoint)])

    def move_all(self, places: Sequence[tuple[Segment, Endpoint]]) -> None:
        """Leave the old addresses and go on from others, the preferred one first."""
        before = self._segments
        kept = [endpoint for segment, endpoint in places if before.get(endpoint.address) is segment]
        self.attach_all(places)
        self.terminal.move([each for _, each in places], self._network.now, kept)
        self.pump()

    def _notice(self, notice: TooBig) -> None:
        original = notice.original
        ends = original.source, original.destination
        if original.protocol == UDP:
            path = Path(Encapsulation.UDP, *ends)
        else:
            path = Path(Encapsulation.NATIVE, *ends, ah=original.protocol == AH)
        self.terminal.packet_too_big(notice.mtu, path, original.payload)
        self.pump()
