"""Terminals on real sockets as Scapy's SuperSockets, for shells and scripts: what both have.

The terminal runs in a thread of its own and is touched there alone; each call waits for that. Inner
packets and registration messages wait as octets for who reads them. As on any host, pings are
answered by the machine, too (`Responder`).
"""

import atexit
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeAlias

from scapy.data import MTU
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.mobileip import MobileIP
from scapy.packet import Packet
from scapy.plist import PacketList, SndRcvList
from scapy.supersocket import SuperSocket

import contrib_layers
from scapy_mobsec.drivers.keyfiles import KeyTable, load_keys
from scapy_mobsec.drivers.live.crafting import inner_message
from scapy_mobsec.drivers.live.host import InnerDevice
from scapy_mobsec.drivers.live.opening import Running
from scapy_mobsec.drivers.live.session_queue import SessionQueue
from scapy_mobsec.drivers.live.session_thread import LoopThread, SessionError
from scapy_mobsec.drivers.live.settings import LinkSettings, TerminalSettings
from scapy_mobsec.drops import Drop
from scapy_mobsec.terminal.events import Event

MAX_EVENTS = 4096
"""Events that nobody has asked for; the oldest go."""

Told: TypeAlias = tuple[float, Event]


class Inside:
    """What lies inside: the machine, and the queue for who reads the session."""

    def __init__(self, machine: InnerDevice | None, session: "TerminalSession") -> None:
        self._machine, self._session = machine, session

    def write(self, packet: bytes) -> None:
        """Take an inner IP packet that arrived."""
        self._session._arrived(packet)
        if self._machine:
            self._machine.write(packet)

    def close(self) -> None:
        if self._machine:
            self._machine.close()


class TerminalSession(SuperSocket):
    """A terminal that runs until it is closed."""

    desc = "inner packets of a terminal"
    closed = True

    _running: Running[Any, Any]

    def __init__(self, settings: TerminalSettings) -> None:
        contrib_layers.install()
        self._settings = settings.model_copy(update={"user": None})  # other rights, of the process
        self._queue = SessionQueue()
        self._events: deque[Told] = deque(maxlen=MAX_EVENTS)
        self._thread = LoopThread(f"mobsec {settings.file.name}")
        try:
            self._thread.call(self._open, timeout=60)
        except BaseException:
            self._thread.close()
            raise
        self.closed = False
        atexit.register(self.close)

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

    def close(self) -> None:
        """Save what is to be saved, and close all sockets; a registration stays as it is.

        >>> s = MobileSession("lab.toml")
        >>> s.close()
        >>> s.closed
        True
        """
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        try:
            self._thread.call(self._running.close)
        finally:
            self._thread.close()
            self._queue.close()

    # SuperSocket

    def fileno(self) -> int:
        """Return what `select` waits for.

        >>> from select import select
        >>> with MobileSession("lab.toml") as s:
        ...     _ = s.register()
        ...     select([s], [], [], 2)[0] == [s]
        True
        """
        return self._queue.fileno()

    def recv_raw(self, x: int = MTU) -> tuple[type[Packet], bytes, float]:
        """Wait for a packet; return its class, its octets and its time. Raises EOFError.

        >>> with MobileSession("lab.toml") as s:
        ...     cls, octets, time = s.recv_raw()
        >>> cls(octets).summary().partition("via")[0]
        'IP / UDP / MobileIP / RREP #1 USE accepted '
        """
        time, octets = self._queue.get()
        return IPv6 if octets[0] >> 4 == 6 else IP, octets, time

    def send(self, x: Packet | bytes) -> int:
        """Send an inner packet; return its octets. Raises SessionError for a message that cannot
        be sent; data that cannot is a PacketDropped of `events`.

        A packet with an RREQ (of a gateway: an RREP) goes as it is. Without a source address, it
        gets ours.

        >>> from scapy.all import ICMP, IP
        >>> with MobileSession("lab.toml") as s:
        ...     s.send(IP(dst="10.10.0.1") / ICMP())
        28
        """
        if isinstance(x, Packet):
            x = self._from_here(x)
        octets, message = bytes(x), isinstance(x, Packet) and MobileIP in x
        if isinstance(x, Packet):
            x.sent_time = self._thread.loop.now
        self._thread.call(lambda: self._send(octets, message=message))
        return len(octets)

    def sr(self, *args: Any, **kargs: Any) -> tuple[SndRcvList, PacketList]:
        """Send inner packets, and match what answers them, as ever with Scapy.

        >>> from scapy.all import ICMP, IP
        >>> with MobileSession("lab.toml") as s:
        ...     s.sr(IP(dst="10.10.0.1") / ICMP(seq=(1, 3)), timeout=2, verbose=False)
        (<Results: TCP:0 UDP:0 ICMP:3 Other:0>, <Unanswered: TCP:0 UDP:0 ICMP:0 Other:0>)
        """
        packets, *others = args
        several = [packets] if isinstance(packets, Packet) else packets
        prepared = [each for template in several for each in self._from_here(template)]
        kargs = {"threaded": False, "chainEX": True, **kargs}
        return super().sr(prepared, *others, **kargs)

    def sr1(self, *args: Any, **kargs: Any) -> Packet | None:
        """Send an inner packet, and return the first answer, None without one.

        >>> from scapy.all import ICMP, IP
        >>> with MobileSession("lab.toml") as s:
        ...     s.sr1(IP(dst="10.10.0.1") / ICMP(), timeout=2, verbose=False).summary()
        'IP / ICMP 10.10.0.1 > 10.10.1.1 echo-reply 0'
        """
        answered, _ = self.sr(*args, **kargs)
        return answered[0].answer if answered else None

    # the terminal

    @property
    def lost(self) -> int:
        """How many packets came while too many waited for who reads.

        >>> with MobileSession("lab.toml") as s:
        ...     s.lost
        0
        """
        return self._queue.lost

    @property
    def sas(self) -> KeyTable:
        """The keys of the SAs, for MobsecSession.

        >>> with MobileSession("lab.toml") as s:
        ...     s.sas
        <KeyTable: 2 SAs>
        """
        return load_keys(*dict.fromkeys(link.keys for link in self._links()))

    def events(self) -> list[Told]:
        """Return what happened since the last call, with its times.

        >>> with MobileSession("lab.toml") as s:
        ...     _ = s.register()
        ...     [type(event).__name__ for time, event in s.events()]
        ['Moved', 'ChallengeAnswered', 'Registered']
        """
        return self._thread.call(self._take_events)

    def status(self) -> dict[str, Any]:
        """Return how the terminal stands, as `mobsec status` tells it.

        >>> with MobileSession("lab.toml") as s:
        ...     s.status()["role"]
        'mobile'
        """
        return self._thread.call(self._running.status)

    # in the thread

    def _open(self) -> None:
        """Make `_running`."""
        raise NotImplementedError

    def _links(self) -> Iterable[LinkSettings]:
        raise NotImplementedError

    def _source(self, packet: Packet) -> str | None:
        """Return the inner address that a packet is sent from, None if there is none for it."""
        raise NotImplementedError

    def _send_message(self, packet: bytes) -> None:
        """Send an inner packet with a registration message as it is. Raises Drop."""
        raise NotImplementedError

    def _opened(self, running: Running[Any, Any]) -> None:
        self._running = running
        running.host.inner = Inside(running.host.inner, self)

    def _tell(self, now: float, event: Event) -> None:
        self._events.append((now, event))

    def _arrived(self, packet: bytes) -> None:
        self._queue.put(self._thread.loop.now, packet)

    def _message_arrived(self, source: bytes, destination: bytes, message: bytes) -> None:
        self._arrived(inner_message(source, destination, message))

    def _send(self, packet: bytes, *, message: bool) -> None:
        host = self._running.host
        if not message:
            host.send(packet)
            return
        try:
            self._send_message(packet)
        except Drop as drop:
            raise SessionError(f"not sent: {drop}") from None
        host.pump()

    def _take_events(self) -> list[Told]:
        events = list(self._events)
        self._events.clear()
        return events

    def _from_here(self, packet: Packet) -> Packet:
        """Give a packet a source address, where it has none: Scapy would take one from outside."""
        if not isinstance(packet, IP | IPv6) or "src" in packet.fields:
            return packet
        source = self._source(packet)
        if source is None:
            return packet
        packet = packet.copy()
        packet.src = source
        return packet
