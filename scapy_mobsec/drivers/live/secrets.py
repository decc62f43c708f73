"""The SAs that links name by SPI, out of files that only their owner can read."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from scapy_mobsec.drivers.keyfiles import read_keys
from scapy_mobsec.drivers.keys.table import KeyFileError, KeyRow
from scapy_mobsec.drivers.live.settings import Fault, ForeignSettings, LinkSettings
from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.terminal.config import AhSas, LinkParameters
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import ForeignChecksums, Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.signalling import ModeSettings

S = TypeVar("S", SaParameters, AhParameters)

_OTHERS = 0o077


class Secrets:
    """Key files, each read once; and which SA was taken where, as no two may have one key."""

    def __init__(self) -> None:
        self._files: dict[Path, dict[tuple[type, int], list[KeyRow]]] = {}
        self._taken: dict[tuple[bytes, bytes | None], str] = {}

    def link(self, settings: LinkSettings, key: str) -> LinkParameters:
        """Make a link with its SAs; `key`: where the link stands. Raises Fault."""
        inbound = self._sas(SaParameters, settings, f"{key}.inbound", settings.inbound)
        outbound = self._sa(SaParameters, settings, f"{key}.outbound", settings.outbound)
        ah_inbound = self._sas(AhParameters, settings, f"{key}.ah_inbound", settings.ah_inbound)
        ah_outbound = self._sa(AhParameters, settings, f"{key}.ah_outbound", settings.ah_outbound)
        if ah_inbound and not ah_outbound:
            raise Fault(f"{key}.ah_outbound", "is not there")
        try:
            return LinkParameters(
                settings.home.packed,
                settings.signalling.packed,
                inbound,
                outbound,
                _mode(settings, key),
                AhSas(ah_inbound, ah_outbound) if ah_outbound else None,
            )
        except Fault:
            raise
        except ValueError as error:
            raise Fault(key, str(error)) from None

    def _sas(
        self, kind: type[S], settings: LinkSettings, key: str, spis: Iterable[int]
    ) -> tuple[S, ...]:
        found = (self._sa(kind, settings, f"{key}[{index}]", spi) for index, spi in enumerate(spis))
        return tuple(sa for sa in found if sa)

    def _sa(self, kind: type[S], settings: LinkSettings, key: str, spi: int | None) -> S | None:
        if spi is None:
            return None
        link_key = key.partition(".")[0]
        rows = self._rows(settings.keys, f"{link_key}.keys").get((kind, spi), [])
        if len(rows) != 1:
            protocol = "ESP" if kind is SaParameters else "AH"
            count = f"{len(rows)} SAs" if rows else "no SA"
            raise Fault(key, f"{count} of {protocol} with SPI 0x{spi:08x} in {settings.keys}")
        sa = rows[0].parameters(spi)
        assert isinstance(sa, kind)
        octets = rows[0].encryption_key, rows[0].integrity_key
        if octets in self._taken:
            raise Fault(key, f"its keys are those of {self._taken[octets]}")
        self._taken[octets] = key
        return sa

    def _rows(self, file: Path, key: str) -> dict[tuple[type, int], list[KeyRow]]:
        rows = self._files.get(file)
        if rows is None:
            rows = self._files[file] = {}
            for row in _read(file, key):
                if row.spi.exact:
                    kind = AhParameters if isinstance(row.suite, Integrity) else SaParameters
                    rows.setdefault((kind, row.spi.value), []).append(row)
        return rows


def check_private(descriptor: int) -> None:
    """Raise ValueError if others than its owner may read or write a file that is open."""
    if os.fstat(descriptor).st_mode & _OTHERS:
        raise ValueError("others may read it: chmod 600")


def _read(file: Path, key: str) -> list[KeyRow]:
    try:
        with open(file, encoding="utf-8-sig") as stream:
            check_private(stream.fileno())
            table = read_keys(stream, str(file))
    except OSError as error:
        raise Fault(key, f"{file}: {error.strerror}") from None
    except KeyFileError as error:
        raise Fault(key, str(error)) from None
    except UnicodeDecodeError:
        raise Fault(key, f"{file}: no UTF-8 text") from None
    except ValueError as error:
        raise Fault(key, f"{file}: {error}") from None
    return table.rows


def _mode(settings: LinkSettings, key: str) -> ModeSettings:
    if settings.l2tp and settings.mode != "l2tp":
        raise Fault(f"{key}.l2tp", f"mode is {settings.mode}")
    if settings.foreign and settings.mode == "tunnel":
        raise Fault(f"{key}.foreign", "mode is tunnel")
    if settings.mode == "tunnel":
        return Tunnel()
    foreign = _foreign(settings.foreign) if settings.foreign else None
    if settings.mode == "transport":
        return Transport(foreign)
    if settings.l2tp is None:
        raise Fault(f"{key}.l2tp", "is not there")
    ids = settings.l2tp
    try:
        return L2tp(ids.tunnel, ids.session, ids.mobile_tunnel, ids.mobile_session, foreign)
    except ValueError as error:
        raise Fault(f"{key}.l2tp", str(error)) from None


def _foreign(settings: ForeignSettings) -> ForeignChecksums:
    mobile, gateway = settings.mobile.packed, settings.gateway.packed
    return ForeignChecksums(mobile, gateway, settings.zero_udp)
