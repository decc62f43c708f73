"""strongSwan's charon log with keys, at levels `ike = 4` and `chd = 4`; only read.

What belongs together is told by the thread: it takes one message at a time, and logs in order the
proposal that was selected, the keys, and (of a CHILD_SA) the SPIs:

    12[ENC] parsed CREATE_CHILD_SA request 0 [ ... ]
    12[CFG] selected proposal: ESP:AES_GCM_16_256/NO_EXT_SEQ
    12[CHD] encryption initiator key => 36 bytes @ 0x7f0a6c001250
    12[CHD]    0: D6 E6 42 ...
    12[CHD] adding inbound ESP SA
    12[CHD]   SPI 0xd13c19ff, src 203.0.113.2 dst 192.168.1.2

SPIs of an IKE SA are in what NAT detection hashes (`natd_chunk`). A rekeyed IKE SA has none there:
its keys are left out, with a warning. Addresses are not compared, as SAs move.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from scapy_mobsec.drivers.keys.lines import BadLine
from scapy_mobsec.drivers.keys.names import NotDecrypted, find_suite
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern, single_address
from scapy_mobsec.drivers.keys.strongswan import cipher_of, integrity_of, prf_of
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.suites import Suite
from scapy_mobsec.ike.keys import SPI_LENGTH, IkeSaKeys

_LINE = re.compile(r"(?:^|[ \t])(\d{2,3})\[([A-Z]{3})\d?\] (?:<[^>]*> )?(.*)")
_DUMP = re.compile(r"([A-Za-z_' ]+) => (\d{1,4}) bytes @ ")
_OCTETS = re.compile(r" *(\d{1,5}): ((?:[0-9A-F]{2} ){0,15}[0-9A-F]{2})(?: |$)")
_PARSED = re.compile(r"parsed \w+ (request|response) ")
_PROPOSAL = re.compile(r"selected proposal: (IKE|ESP|AH):(\S+)")
_SA = re.compile(r"(?:adding|registering) (inbound|outbound) (ESP|AH) SA")
_SPI = re.compile(r"  SPI 0x([0-9a-f]{8}), src (\S+) dst (\S+)")
_IKE_SECRET = re.compile(r"Sk_(d|ai|ar|ei|er|pr) secret")
_CHILD_KEY = re.compile(r"(encryption|integrity) (initiator|responder) key")
_NO_SPI = bytes(SPI_LENGTH)
MAX_THREADS = 4096


@dataclass(slots=True)
class _Thread:
    """What a thread logged since it took up a message."""

    by_initiator: bool | None = None
    """Whether the log is that of the initiator of the exchange."""
    proposal: tuple[str, list[str]] = ("", [])
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    ike_spis: tuple[bytes, bytes] | None = None
    waiting_since: int = 0
    """Line of the keys of an IKE SA whose SPIs were not told yet."""
    sa: tuple[str, str] | None = None
    """Direction and protocol of the SA whose SPI comes next."""
    dump: tuple[str, int] = ("", 0)
    """Name and length of the octets that come next."""
    octets: bytearray = field(default_factory=bytearray, repr=False)


def recognises_log(text: str) -> bool:
    """Whether a line anywhere is one of charon: other programs may write into the same file."""
    return (
        re.search(r"(?:^|[ \t])\d{2,3}\[(?:IKE|CHD|ENC|NET|CFG|DMN)\d?\] ", text, re.M) is not None
    )


def read(text: str, name: str) -> KeyTable:
    """Read a log; what cannot be used becomes a warning. Raises BadLine."""
    reader = _Reader(name)
    for number, line in enumerate(text.split("\n"), 1):
        logged = _LINE.search(line)
        if logged is None:
            continue
        try:
            reader.take(number, logged[1], logged[3].rstrip("\r"))
        except ValueError as error:
            raise BadLine(number, str(error)) from None
    reader.finish()
    return reader.table


class _Reader:
    """Goes through the lines of all threads."""

    def __init__(self, name: str) -> None:
        self.table = KeyTable()
        self._name = name
        self._threads: dict[str, _Thread] = {}

    def take(self, number: int, thread_number: str, text: str) -> None:
        """Take one line. Raises ValueError."""
        if thread_number not in self._threads and len(self._threads) >= MAX_THREADS:
            raise ValueError(f"more than {MAX_THREADS} threads")
        thread = self._threads.setdefault(thread_number, _Thread())
        if thread.dump[1] and self._continue_dump(thread, number, text):
            return
        parsed, proposal = _PARSED.match(text), _PROPOSAL.match(text)
        dump, sa, spi = _DUMP.match(text), _SA.match(text), _SPI.match(text)
        if text.startswith("received packet:") or parsed:
            self._forget(thread)
            thread = self._threads[thread_number] = _Thread()
            if parsed:
                thread.by_initiator = parsed[1] == "response"
        elif proposal:
            thread.proposal = proposal[1], proposal[2].split("/")
        elif dump:
            thread.dump = dump[1], int(dump[2])
            thread.octets.clear()
        elif sa:
            thread.sa = sa[1], sa[2]
        elif spi and thread.sa:
            self._finish_sa(thread, number, spi)

    def finish(self) -> None:
        """Say what the log ended without."""
        for thread in self._threads.values():
            self._forget(thread)
        table = self.table
        if not (table.rows or table.ike_keys or table.warnings):
            table.warnings.append(f"{self._name}:1: no keys in this log: levels ike = 4, chd = 4")

    def _forget(self, thread: _Thread) -> None:
        if thread.waiting_since:
            self._skip(thread.waiting_since, "the log does not tell the SPIs of this IKE SA")

    def _skip(self, number: int, reason: str) -> None:
        self.table.warnings.append(f"{self._name}:{number}: skipped, {reason}")

    def _continue_dump(self, thread: _Thread, number: int, text: str) -> bool:
        """Take the octets of a line; False if the dump broke off before."""
        name, length = thread.dump
        line = _OCTETS.match(text)
        if line is None or int(line[1]) != len(thread.octets):
            thread.dump = "", 0
            return False
        thread.octets += bytes.fromhex(line[2])
        if len(thread.octets) == length:
            thread.dump = "", 0
            self._finish_dump(thread, number, name, bytes(thread.octets))
        return True

    def _finish_dump(self, thread: _Thread, number: int, name: str, octets: bytes) -> None:
        secret = _IKE_SECRET.fullmatch(name)
        if name == "natd_chunk":
            spis = octets[:SPI_LENGTH], octets[SPI_LENGTH : 2 * SPI_LENGTH]
            if _NO_SPI not in spis and thread.ike_spis is None:
                thread.ike_spis = spis
        elif _CHILD_KEY.fullmatch(name):
            thread.secrets[name] = octets
        elif name == "SKEYSEED":
            thread.secrets.clear()
        elif secret:
            thread.secrets[f"sk_{secret[1]}"] = octets
            if secret[1] == "pr":
                thread.waiting_since = number
        if thread.waiting_since and thread.ike_spis:
            self._finish_ike(thread)

    def _finish_ike(self, thread: _Thread) -> None:
        number, thread.waiting_since = thread.waiting_since, 0
        assert thread.ike_spis is not None
        protocol, names = thread.proposal
        cipher = _first(cipher_of, names)
        secrets = thread.secrets
        if protocol != "IKE" or cipher is None or not {"sk_ei", "sk_er"} <= secrets.keys():
            self._skip(number, "the log does not tell all keys and algorithms of this IKE SA")
            return
        self.table.add(
            IkeSaKeys(
                *thread.ike_spis,
                cipher,
                _first(integrity_of, names),
                _first(prf_of, names),
                *(secrets.get(key, b"") for key in ("sk_ei", "sk_er")),
                *(secrets.get(key) for key in ("sk_ai", "sk_ar", "sk_d")),
            )
        )

    def _finish_sa(self, thread: _Thread, number: int, spi: re.Match[str]) -> None:
        """Make a row of an SA that was installed; without keys it was told before."""
        assert thread.sa is not None
        (direction, protocol), thread.sa = thread.sa, None
        keys = {key: value for key, value in thread.secrets.items() if _CHILD_KEY.fullmatch(key)}
        if not keys:
            return
        origin = f"{self._name}:{number}"
        try:
            if thread.by_initiator is None:
                raise NotDecrypted("the log does not tell which end began the exchange")
            suite = _suite(protocol, thread.proposal)
            end = "initiator" if thread.by_initiator == (direction == "outbound") else "responder"
            source, destination = single_address(spi[2], "src"), single_address(spi[3], "dst")
            self.table.add(
                KeyRow(
                    spi=SpiPattern.of(f"0x{spi[1]}"),
                    suite=suite,
                    encryption_key=keys.get(f"encryption {end} key", b""),
                    integrity_key=keys.get(f"integrity {end} key"),
                    esn="EXT_SEQ" in thread.proposal[1],
                    family={4: 4, 16: 6}.get(source.length or destination.length),
                    source=source,
                    destination=destination,
                    anywhere=True,
                    origin=origin,
                )
            )
        except NotDecrypted as reason:
            self._skip(number, str(reason))


def _first(known: Callable[[str], str | None], names: list[str]) -> str | None:
    return next(filter(None, map(known, names)), None)


def _suite(protocol: str, proposal: tuple[str, list[str]]) -> Suite | Integrity:
    """Return what a proposal names. Raises NotDecrypted."""
    told, names = proposal
    cipher, integrity = _first(cipher_of, names), _first(integrity_of, names)
    suite: Suite | Integrity | None = None
    if told == protocol == "AH":
        suite = AH_SUITES.get(integrity or "")
    elif told == protocol == "ESP" and cipher:
        suite = find_suite(cipher, integrity)
    if suite is None:
        raise NotDecrypted("the selected proposal is not told or not decrypted")
    return suite
