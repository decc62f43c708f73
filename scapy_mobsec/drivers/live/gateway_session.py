"""A gateway for shells and scripts, whose RREPs can be changed: to test mobile terminals."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from os import PathLike
from typing import Any, TypeAlias

from scapy.ansmachine import AnsweringMachine
from scapy.layers.mobileip import MobileIP
from scapy.packet import Packet
from scapy.sendrecv import AsyncSniffer

from contrib_layers import RREP, RREQ, Attempt
from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.live.crafting import message_packet
from scapy_mobsec.drivers.live.host import LiveHost
from scapy_mobsec.drivers.live.making import resume_gateway
from scapy_mobsec.drivers.live.opening import RunningGateway
from scapy_mobsec.drivers.live.session_thread import log
from scapy_mobsec.drivers.live.sessions import TerminalSession
from scapy_mobsec.drivers.live.settings import GatewaySettings, LinkSettings, load_gateway
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.messages import salvage_request
from scapy_mobsec.terminal.crafting import MAX_CRAFTED, CraftingOther
from scapy_mobsec.terminal.other import OtherTerminal

OnRreq: TypeAlias = Callable[[Packet, Packet], Packet | None]

_Key: TypeAlias = tuple[str, int]
"""Home address and Identification."""


class GatewaySession(TerminalSession):
    """A gateway. A SuperSocket of the inner packets of all its links, and of RREQs.

    `on_rreq`: None, or called with each RREQ and the RREP that the gateway wrote, both as inner
    packets: returns another RREP to be sent, or None for this one. It is called in the thread of
    the session; what it raises is logged, and the RREP goes as it is.

    >>> from contrib_layers import RREP
    >>> def refuse(rreq, rrep):
    ...     rrep[RREP].code = 64
    ...     return rrep
    >>> with GatewaySession("gateway.toml") as g:
    ...     g.on_rreq = refuse
    ...     with MobileSession("lab.toml") as s:
    ...         s.register()
    Traceback (most recent call last):
    ...
    scapy_mobsec.drivers.live.session_thread.SessionError: not registered: refused by the other
        terminal (code 64)
    """

    desc = "inner packets of a gateway"
    on_rreq: OnRreq | None = None

    _settings: GatewaySettings
    _terminal: CraftingOther

    def __init__(self, file: str | PathLike[str]) -> None:
        """`file`: as of `mobsec gateway`. Raises SettingsError, StoreError (as where the state file
        is in use), CannotOpen.
        """
        settings = load_gateway(str(file))
        self._signalling = {link.home.packed: link.signalling.packed for link in settings.links}
        self._held: dict[_Key, Packet] | None = None
        super().__init__(settings)

    def path(self, home: str = "") -> Path | None:
        """Return the path that data to a home address is sent on; "": of the first link.

        Raises ValueError for what is no home address.

        >>> with GatewaySession("gateway.toml") as g, MobileSession("lab.toml") as s:
        ...     _ = s.register()
        ...     g.path() == g.path("10.10.1.1"), g.path().remote == s.path.local
        (True, True)
        """
        packed = ip_address(home).packed if home else next(iter(self._signalling))
        if packed not in self._signalling:
            raise ValueError(f"{home} is no home address here")
        return self._thread.call(lambda: self._terminal.path(packed))

    @contextmanager
    def answering(self) -> Iterator[Callable[[Packet], Packet | None]]:
        """Hold all RREPs back: somebody else sends them (`RegistrationAM`).

        Gives a function that takes an RREQ that came, and returns the RREP that the gateway wrote
        for it, None if it was sent, or is too long ago.

        >>> with GatewaySession("gateway.toml") as g, g.answering() as reply_to:
        ...     with MobileSession("lab.toml") as s:
        ...         q = g.sniff(count=1, timeout=5)[0]
        ...         g.send(reply_to(q)) > 0, s.register().attempt
        (True, 1)
        """
        held: dict[_Key, Packet] = {}
        self._held = held
        try:
            yield lambda rreq: held.pop(_key(rreq.src, rreq[RREQ].id), None)
        finally:
            self._held = None

    def _open(self) -> None:
        running = _Running(self._settings, self._thread.loop, self._tell, use_tun=False)
        self._opened(running)
        terminal = running.host.terminal
        assert isinstance(terminal, CraftingOther)
        self._terminal = terminal
        terminal.alter = self._alter

        def on_message(home: bytes, message: bytes) -> None:
            self._message_arrived(home, self._signalling[home], message)

        terminal.on_message = on_message

    def _links(self) -> Iterable[LinkSettings]:
        return self._settings.links

    def _source(self, packet: Packet) -> str | None:
        found = self._signalling.get(ip_address(packet.dst).packed)
        return str(ip_address(found)) if found else None

    def _send_message(self, packet: bytes) -> None:
        self._terminal.send_reply(packet)

    def _alter(self, home: bytes, request: bytes, reply: bytes) -> bytes:
        signalling = self._signalling[home]
        if self.on_rreq:
            try:
                rreq = message_packet(home, signalling, request)
                changed = self.on_rreq(rreq, message_packet(signalling, home, reply))
                reply = reply if changed is None else bytes(changed[MobileIP])
            except Exception:
                log.exception("event=on_rreq")
        if (held := self._held) is None:
            return reply
        key = _key(str(ip_address(home)), salvage_request(request).identification)
        held[key] = message_packet(signalling, home, reply)
        for each in list(held)[:-MAX_CRAFTED]:
            held.pop(each, None)
        return b""


class RegistrationAM(AnsweringMachine[Packet]):
    """Answers the RREQs of a GatewaySession in its place: `g.am(RegistrationAM, code=129)`.

    It answers as the gateway would, but with the code that is given, and with what `alter` makes of
    that: it takes RREQ and RREP and returns the RREP to be sent, None for no answer.

    >>> with GatewaySession("gateway.toml") as g:
    ...     sniffer = g.am(RegistrationAM, code=64, verbose=False).bg()
    ...     with MobileSession("lab.toml") as s:
    ...         s.register()
    Traceback (most recent call last):
    ...
    scapy_mobsec.drivers.live.session_thread.SessionError: not registered: refused by the other
        terminal (code 64)
    """

    sniff_options_list = [*AnsweringMachine.sniff_options_list, "lfilter", "timeout"]  # noqa: RUF012
    sniffer: "_Sniffer"

    def parse_options(
        self,
        code: int | None = None,
        alter: Callable[[Packet, Packet], Packet | None] | None = None,
    ) -> None:
        """Take what is to be different."""
        self.code, self.alter = code, alter

    def is_request(self, req: Packet) -> int:
        """Tell whether a packet has an RREQ that is answered."""
        if RREQ not in req:
            return 0
        attempt = req[RREQ].joined(Attempt)
        return not (isinstance(attempt, Attempt) and attempt.flags & AttemptFlag.CONFIRM)

    def make_reply(self, req: Packet) -> Packet | None:  # type: ignore[override]
        """Return the RREP, None where the gateway has answered itself."""
        reply = self.sniffer.reply_to(req)
        if reply is None:
            return None
        if self.code is not None:
            reply[RREP].code = self.code
        return self.alter(req, reply) if self.alter else reply

    def send_reply(self, reply: Packet, send_function: Callable[..., None] | None = None) -> None:
        """Send the RREP through the session."""
        self.optsniff["opened_socket"].send(reply)

    def sniff(self) -> None:
        """Answer until it is over."""
        self.sniffer = _Sniffer(opened_socket=self.optsniff["opened_socket"])
        self.sniffer._run(**self.optsniff)

    def sniff_bg(self) -> None:
        """Answer until the sniffer is stopped."""
        self.sniffer = _Sniffer(**self.optsniff)
        self.sniffer.start()


class _Sniffer(AsyncSniffer):
    """From when it is made to its end, RREPs are held back."""

    def __init__(self, *, opened_socket: GatewaySession, **options: Any) -> None:
        super().__init__(opened_socket=opened_socket, **options)
        self._holding = ExitStack()
        self.reply_to = self._holding.enter_context(opened_socket.answering())

    def _run(self, *args: Any, **options: Any) -> None:
        with self._holding:
            super()._run(*args, **options)


class _Running(RunningGateway):
    """With a terminal whose RREPs can be changed."""

    def _make_host(self, store: Store) -> LiveHost[OtherTerminal]:
        terminal, save = resume_gateway(self.settings, store, kind=CraftingOther)
        return LiveHost(terminal, self._loop, self._on_event, save)


def _key(home: str, identification: int) -> _Key:
    return home, identification & 0xFFFF_FFFF  # all that code 133 keeps of it
