"""What `mobsec decode` shows, in the shell and in scripts: decode, translations, ladder, inner.

All take packets, or the name of a capture. Packets that a MobsecSession read need no keys: they
remember them. What is done with packets is done anew, from their octets: of part of a capture the
report of that part.
"""

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from shutil import get_terminal_size
from typing import TypeAlias

from rich.console import Console
from scapy.packet import Packet
from scapy.plist import PacketList, SndRcvList

import contrib_layers
from contrib_layers import RREP, RREQ
from scapy_mobsec.drivers.capture import CaptureError, CaptureTruncated, open_capture, read_records
from scapy_mobsec.drivers.packets import Keys, ObserverKeys, Paths, feed, ip_packet, packet_time
from scapy_mobsec.drivers.seen_layers import keys_of
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.observer.inner import inner_packet
from scapy_mobsec.observer.ladder import Ladders
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.registrations import Message, Registration, Sighting, answers
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    parse_message,
)
from scapy_mobsec.translation import Translation, describe_all
from scapy_mobsec.ui.diagram import diagrams
from scapy_mobsec.ui.ladder import print_ladder
from scapy_mobsec.ui.message_text import ike_text, message_text
from scapy_mobsec.ui.report_json import Json, report_as_json
from scapy_mobsec.ui.views import (
    PIPED_WIDTH,
    description_line,
    print_report,
    summary_line,
    untranslated_text,
    widen_pipe,
)

Source: TypeAlias = str | PathLike[str] | Packet | PacketList | SndRcvList | Iterable[Packet]
"""A capture by its name, or packets, also from a generator."""

_NO_SOURCE = "not the name of a capture, nor packets: {}"


@dataclass(frozen=True, slots=True, repr=False)
class Decoded:
    """A report. Printed: its tables, as `mobsec decode` has them."""

    report: Report

    def json(self) -> Json:
        """The object that `mobsec decode -T json` prints (docs/decode.md)."""
        return report_as_json(self.report)

    def __repr__(self) -> str:
        stream = io.StringIO()
        width = get_terminal_size((PIPED_WIDTH, 0)).columns
        console = Console(
            file=stream, width=width, force_terminal=True, color_system=None, markup=False
        )
        print_report(self.report, console)
        return stream.getvalue().rstrip("\n")


@dataclass(frozen=True, slots=True)
class Translated:
    """A message, and what was changed in its outer headers on the way.

    headers: as captured, of a crafted message as it wrote them. otherwise: what it means that there
    are no translations. frame: number in the capture or list; 0 if it was in none.
    """

    message: str
    headers: str
    translations: tuple[Translation, ...]
    otherwise: str = ""
    time_ns: int = 0
    frame: int = 0
    verified: bool = True


class TranslatedMessages(tuple[Translated, ...]):
    """Messages with what was changed in each; printed in words."""

    __slots__ = ()

    @property
    def translations(self) -> tuple[Translation, ...]:
        """Of all messages, one after the other."""
        return tuple(each for message in self for each in message.translations)

    def __repr__(self) -> str:
        return "\n".join(line for each in self for line in _lines(each)) or "no messages"


def _lines(each: Translated) -> Iterator[str]:
    where = f"frame {each.frame}, " if each.frame else ""
    mark = "" if each.verified else "NOT VERIFIED: "
    yield f"{mark}{each.message}: {where}{each.headers}"
    yield from (f"    {line}" for line in describe_all(each.translations) or [each.otherwise])


def decode(
    source: Source,
    keys: Keys | None = None,
    *,
    tls_keys: Paths | None = None,
    tcp_ports: Iterable[int] = (),
) -> Decoded:
    """Decode a capture or packets as `mobsec decode` does.

    keys: of load_keys, or names of files; None for packets of a MobsecSession, which remember
    theirs. tls_keys, tcp_ports: as MobsecSession has them. Raises CaptureError, KeyFileError,
    OSError; TypeError for what is no packets or no keys; ValueError for packets of several sessions
    without `keys`, and for no TCP ports.

    >>> decode("pcaps/handover-nat.pcap", "pcaps/handover-nat.esp_sa").report.summary.moves
    2
    """
    return Decoded(_report(source, keys, tls_keys, tcp_ports))


def ladder(
    source: Source,
    keys: Keys | None = None,
    *,
    tls_keys: Paths | None = None,
    tcp_ports: Iterable[int] = (),
    console: Console | None = None,
) -> None:
    """Print the signalling diagram of `mobsec decode --ladder`, to stdout without a console.

    The rest is as for `decode`.

    >>> ladder("pcaps/handover-nat.pcap", "pcaps/handover-nat.esp_sa")
    67 packets, 67 ESP (67 verified), 3 registrations, 2 moves
    Link 1
    ...
    """
    ladders = Ladders()
    report = _report(source, keys, tls_keys, tcp_ports, ladders.take)
    if console is None:
        console = Console(highlight=False, markup=False)
        widen_pipe(console)
    console.print(summary_line(report.summary), soft_wrap=True)
    print_ladder(diagrams(ladders.ladders(), report), report.first_time, console)
    if ladders.not_kept:
        warnings.warn(f"{ladders.not_kept} packets had no room in the ladder", stacklevel=2)


def inner(
    source: Source,
    keys: Keys | None = None,
    *,
    tls_keys: Paths | None = None,
    tcp_ports: Iterable[int] = (),
) -> PacketList:
    """Return the packets that ESP and AH protected, with the times of their frames.

    As `mobsec decode -w` writes them: no replays, and of transport mode with an IP header made
    anew. What is not verified is left out, with a warning. Installs the layers of this project. The
    rest is as for `decode`.

    >>> inner("pcaps/handover-nat.pcap", "pcaps/handover-nat.esp_sa")[0].summary()
    'IP / UDP / MobileIP / RREQ #1 via udp 198.51.100.2:4500 > 203.0.113.2:4500'
    """
    contrib_layers.install()
    packets, left_out = PacketList(name="inner"), 0

    def take(seen: SeenPacket) -> None:
        nonlocal left_out
        octets = inner_packet(seen)
        if octets is None or seen.opened is None:
            return
        if not seen.opened.verified:
            left_out += 1
            return
        packet = ip_packet(octets)
        packet.time = packet_time(seen.time_ns)
        packets.append(packet)

    _report(source, keys, tls_keys, tcp_ports, take)
    if left_out:
        warnings.warn(f"{left_out} packets are left out, as they are not verified", stacklevel=2)
    return packets


def translations(
    source: Source,
    reply: Packet | None = None,
    keys: Keys | None = None,
    *,
    tls_keys: Paths | None = None,
    tcp_ports: Iterable[int] = (),
) -> TranslatedMessages:
    """Tell what was translated: of all messages in a capture or packets; or of an RREQ by its RREP.

    reply: then `source` is one packet with an RREQ, and nothing else is needed; crafted ones will
    do. Raises ValueError if they are no such packets, or do not belong together. The rest is as for
    `decode`.

    >>> translations("pcaps/handover-nat.pcap", keys="pcaps/handover-nat.esp_sa")
    RREQ #1: frame 1, IPv4 198.51.100.2 > 203.0.113.2 / UDP 4500 > 4500 / ESP 0x2265b2f5
        nothing: no translator on the way
    RREQ #2: frame 24, IPv4 10.0.0.2 > 203.0.113.2 / UDP 4500 > 4500 / ESP 0x2265b2f5
        source address and port 10.0.0.2:4500 -> 192.0.2.1:37880
    ...
    """
    if reply is not None:
        return TranslatedMessages([_by_reply(source, reply)])
    report = _report(source, keys, tls_keys, tcp_ports)
    found = [*_of_registrations(report), *_of_ike(report)]
    return TranslatedMessages(sorted(found, key=lambda each: each.frame))


def _of_registrations(report: Report) -> Iterator[Translated]:
    for entry in [*report.registrations, *report.refused]:
        yield _translated(entry.request, entry.asked, entry.translations, untranslated_text(entry))
        if entry.reply and entry.answered and entry.reply_translations:
            yield _translated(entry.reply, entry.answered, entry.reply_translations)


def _translated(
    message: Message, seen: Sighting, changed: tuple[Translation, ...], otherwise: str = ""
) -> Translated:
    return Translated(
        message_text(message),
        description_line(seen.captured),
        changed,
        otherwise,
        seen.time_ns,
        seen.frame,
        seen.verified,
    )


def _of_ike(report: Report) -> Iterator[Translated]:
    """Of the messages that tell by NAT detection with which headers they were sent."""
    for sa in report.ike:
        for exchange in sa.exchanges:
            for seen in exchange.messages:
                if seen.detections:
                    yield Translated(
                        ike_text(seen),
                        str(seen.outer),
                        seen.translations,
                        "nothing: no translator before the point of capture",
                        seen.time_ns,
                        seen.frame,
                    )


def _by_reply(source: Source, reply: Packet) -> Translated:
    request, answer = _message_in(source, RREQ), _message_in(reply, RREP)
    assert isinstance(request, RegistrationRequest)
    assert isinstance(answer, RegistrationReply)
    if not answers(answer, request):
        raise ValueError("the RREP answers another RREQ, by its Identification and home address")
    sent = request.sent or ()
    entry = Registration(request, Sighting(0, 0, 0, sent, verified=True), answer)
    otherwise = untranslated_text(entry)
    if sent and entry.observed is None and entry.told is None:
        fits = answer.translations is None
        why = "does not tell" if fits else "has TRANSLATIONS that do not fit the SENT"
        otherwise = f"not known: the RREP {why}"
    return Translated(message_text(request), description_line(sent), entry.translations, otherwise)


def _message_in(packet: Source, kind: type[Packet]) -> Message:
    if not isinstance(packet, Packet) or kind not in packet:
        raise ValueError(f"this is no packet with an {kind.__name__}")
    message = packet[kind].underlayer or packet[kind]
    try:
        return parse_message(bytes(message))
    except Drop as drop:
        raise ValueError(f"the {kind.__name__} cannot be read: {drop}") from drop


def _report(
    source: Source,
    keys: Keys | None,
    tls_keys: Paths | None,
    tcp_ports: Iterable[int],
    on_packet: Callable[[SeenPacket], None] | None = None,
) -> Report:
    """Decode with what is given, else with what the packets remember. Raises ValueError."""
    if isinstance(source, str | PathLike):
        given = ObserverKeys.of(keys, tls_keys, tcp_ports)
        observer = given.observer(on_packet)
        _feed_capture(observer, fspath(source), given.tls_keys)
    else:
        packets = list(_packets(source))
        remembered = _remembered(packets) if keys is None and tls_keys is None else None
        observer = (remembered or ObserverKeys.of(keys, tls_keys, tcp_ports)).observer(on_packet)
        for packet in packets:
            feed(observer, packet)
    observer.finish()
    return observer.report()


def _remembered(packets: Iterable[Packet]) -> ObserverKeys | None:
    found = {id(each): each for each in map(keys_of, packets) if each}
    if len(found) > 1:
        raise ValueError("packets of several sessions: give their keys")
    return next(iter(found.values()), None)


def _feed_capture(observer: Observer, name: str, tls_keys: KeyLog) -> None:
    def secrets(text: str) -> None:
        try:
            tls_keys.read(text.splitlines())
        except ValueError as error:
            warnings.warn(f"{name}: TLS secrets: {error}", stacklevel=2)

    try:
        with open_capture(name) as stream:
            for record in read_records(stream, secrets):
                observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
    except CaptureTruncated as error:
        warnings.warn(f"{name}: {error}", stacklevel=2)
    except CaptureError as error:
        raise CaptureError(f"{name}: {error}") from error


def _packets(source: Packet | PacketList | SndRcvList | Iterable[Packet]) -> Iterator[Packet]:
    """All packets, also those in pairs. Raises TypeError."""
    several = (source,) if isinstance(source, Packet) else source
    if not isinstance(several, Iterable):
        raise TypeError(_NO_SOURCE.format(type(source).__name__))
    for entry in several:
        for each in entry if isinstance(entry, tuple) else (entry,):
            if not isinstance(each, Packet):
                raise TypeError(_NO_SOURCE.format(type(source).__name__))
            yield each
