"""The files that a gateway and a mobile terminal start from: TOML, checked when they are read.

Every key is told in docs/live.md. File names are relative to the file they stand in. Keys of SAs
stand in files of their own, which `secrets` reads.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.live.setting_kinds import (
    Address,
    Carrier,
    Choice,
    File,
    Interface,
    Listener,
    Nat64Prefix,
    Network,
    OneOrMore,
    OrAuto,
    Origin,
    OuterEndpoint,
    Port,
    Proxy,
    Sha256,
    Spi,
    Start,
    Target,
)
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration

T = TypeVar("T", bound="TerminalSettings")

MAX_SIZE = 16 << 20
"""Octets of the longest file that is read."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LINE_OF_FAULT = re.compile(r"\(at line (\d+), ")
_REASONS = {
    "missing": "is not there",
    "extra_forbidden": "no key that is known here",
    "tuple_type": "not a list",
    "model_type": "not a table",
    "bool_type": "neither true nor false",
    "int_type": "not a whole number",
    "float_type": "not a number",
    "string_type": "not a text",
    "too_short": "empty",
}
"""Where pydantic has words of another language than TOML."""


class SettingsError(ValueError):
    """A file cannot be used: one line, `file: key: reason`, which shows no secret."""


class Fault(ValueError):
    """What is wrong with the key of a file."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def _default(configuration: type, name: str) -> Any:
    """The default that a terminal has; it is not said a second time here."""
    (found,) = (each.default for each in fields(configuration) if each.name == name)
    assert found is not MISSING
    return found


def _of_mobile(name: str) -> Any:
    return Field(default=_default(MobileConfiguration, name))


def _of_gateway(name: str) -> Any:
    return Field(default=_default(OtherConfiguration, name))


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )


class TunSettings(_Settings):
    """The inner interface. `address`: (), then the inner address of this end alone."""

    name: str = Field(default="mobsec0", pattern=r"^[A-Za-z0-9_.-]{1,15}$")
    address: Annotated[tuple[Interface, ...], OneOrMore] = ()
    mtu: int | None = Field(default=None, ge=576, le=65_535)
    routes: Annotated[tuple[Network, ...], OneOrMore] = ()


class L2tpSettings(_Settings):
    """Ids of L2TP, as `modes.l2tp.L2tp` has them."""

    tunnel: int
    session: int
    mobile_tunnel: int | None = None
    mobile_session: int | None = None


class ForeignSettings(_Settings):
    """The addresses that a foreign peer's checksums cover (`modes.transport.ForeignChecksums`)."""

    mobile: Address
    gateway: Address
    zero_udp: bool = False


class LinkSettings(_Settings):
    """One link, as the end that the file is of sees it; SPIs name SAs in `keys`."""

    home: Address
    signalling: Address
    keys: File
    inbound: Annotated[tuple[Spi, ...], OneOrMore] = ()
    outbound: Spi | None = None
    ah_inbound: Annotated[tuple[Spi, ...], OneOrMore] = ()
    ah_outbound: Spi | None = None
    mode: Literal["tunnel", "transport", "l2tp"] = "tunnel"
    l2tp: L2tpSettings | None = None
    foreign: ForeignSettings | None = None


class TerminalSettings(_Settings):
    """What both ends have. `tls_key_log`: where the secrets of TLS go, for who reads captures."""

    state: File
    control: File | None = None
    tls_key_log: File | None = None
    user: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    tun: TunSettings = TunSettings()

    _file: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        if isinstance(context, Origin):
            self._file = context.file

    @property
    def control_file(self) -> Path:
        """Where the control socket is: beside the state file, if the file does not say it."""
        return self.control or self.state.with_suffix(".control")

    @property
    def file(self) -> Path:
        """Where they were read from."""
        return self._file

    def error(self, error: ValueError) -> SettingsError:
        """Tell what is wrong with this file, or with what it leads to."""
        if isinstance(error, SettingsError):
            return error
        key, reason = error.key if isinstance(error, Fault) else "", str(error)
        first, _, rest = reason.partition(" ")
        if not key and first in _keys(type(self)):  # as terminals name their fields
            key, reason = first, rest
        return SettingsError(": ".join(filter(None, (str(self._file), key, reason))))


class MobileSettings(TerminalSettings):
    """A mobile terminal's file. `local`: (), then whatever addresses the machine has."""

    gateway: Target
    gateway_addresses: Annotated[tuple[Address, ...], OneOrMore] = ()
    allow: Annotated[tuple[Carrier, ...], OneOrMore, Field(min_length=1)] = _of_mobile("allow")
    start: Annotated[tuple[Start, ...], OneOrMore] = ()
    stagger: float = _of_mobile("stagger")
    decider: Choice = _of_mobile("decider")
    forced: bool = False
    keepalive: float = _of_mobile("keepalive")
    lifetime: int = _of_mobile("lifetime")
    nat64_prefix: Nat64Prefix | None = None
    spare: bool = False
    tls_verify: Sha256 = b""
    proxy: Proxy | None = None
    local: Annotated[tuple[Address, ...], OrAuto] = ()
    port: Port = NATT_PORT
    link: LinkSettings


class GatewaySettings(TerminalSettings):
    """A gateway's file. `supported`: None, then what `listen` takes."""

    listen: Annotated[tuple[Listener, ...], OneOrMore, Field(min_length=1)]
    certificate: File | None = None
    certificate_key: File | None = None
    supported: Annotated[tuple[Carrier, ...] | None, OneOrMore] = None
    keepalive: int = Field(default=20, ge=0, le=65_535)
    decider: Choice = _of_gateway("decider")
    forced: bool = False
    max_lifetime: int = _of_gateway("max_lifetime")
    max_sas: int = _of_gateway("max_sas")
    max_streams: int = _of_gateway("max_streams")
    names: Annotated[tuple[str, ...], OneOrMore] = ()
    addresses: Annotated[tuple[Address, ...], OneOrMore] = ()
    alternates: Annotated[tuple[OuterEndpoint, ...], OneOrMore] = ()
    links: tuple[LinkSettings, ...] = Field(alias="link", min_length=1)


def load_mobile(file: str | Path) -> MobileSettings:
    """Read a mobile terminal's file. Raises SettingsError."""
    return _load(MobileSettings, Path(file))


def load_gateway(file: str | Path) -> GatewaySettings:
    """Read a gateway's file. Raises SettingsError."""
    return _load(GatewaySettings, Path(file))


def load_terminal(file: str | Path) -> TerminalSettings:
    """Read a file of either; that of a gateway has `listen`. Raises SettingsError."""
    kind = GatewaySettings if "listen" in _read(Path(file)) else MobileSettings
    return _load(kind, Path(file))


def _load(model: type[T], file: Path) -> T:
    try:
        return model.model_validate(_read(file), context=Origin(file))
    except ValidationError as error:
        raise SettingsError(f"{file}: {_first(error)}") from None


def _read(file: Path) -> Any:
    try:
        with open(file, "rb") as stream:
            octets = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    if len(octets) > MAX_SIZE:
        raise SettingsError(f"{file}: longer than {MAX_SIZE} octets")
    try:
        return _with_tuples(tomllib.loads(octets.decode()))
    except (ValueError, RecursionError) as error:
        # The text of the error may show what stands there.
        found = _LINE_OF_FAULT.search(str(error))
        raise SettingsError(f"{file}: {f'line {found[1]}: ' if found else ''}not TOML") from None


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _first(error: ValidationError) -> str:
    """Tell the first fault; a key that is unknown is likely to be the one that is missing."""
    every = error.errors(include_url=False, include_input=False)
    fault = min(every, key=lambda each: each["type"] != "extra_forbidden")
    if fault["type"] == "value_error":
        reason = str(fault["ctx"]["error"])
    else:
        reason = _REASONS.get(fault["type"]) or fault["msg"].removeprefix("Input ")
    return f"{_dotted(fault['loc'])}: {reason}"


def _dotted(place: Sequence[str | int]) -> str:
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if _PLAIN_NAME.fullmatch(step) else ".?"
    return text.removeprefix(".")


def _keys(model: type[BaseModel]) -> set[str]:
    return {each.alias or name for name, each in model.model_fields.items()}
