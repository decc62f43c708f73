"""Which paths lead from X's local endpoints to Y: one for each encapsulation and endpoint.

AH goes natively, in an attempt of its own before those by ESP (rule 12).
IPv4 and IPv6 reach Y's address of their family, and IPv6 its IPv4 address too, behind the prefix of
a NAT64 (RFC 6052 section 2.2), where one is configured: nothing tells which network has it. With a
forward proxy streams are opened to that, from addresses of its family, and it dials Y.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address

from contrib_layers.numbers import ITEM_INSIDE_TLS
from scapy_mobsec.encap.http_message import connect_authority
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.paths import DATAGRAM

MAX_PATHS = 8
"""RREQs of one attempt: Y admits as many paths."""


def allowed(configuration: MobileConfiguration) -> tuple[Encapsulation, ...]:
    """Return the encapsulations that X may use, cheapest first."""
    codes = {item.code for item in configuration.allow}
    return tuple(each for each in Encapsulation if each.code in codes)


BY_AH: tuple[Encapsulation, ...] = ()
"""What an attempt by AH has in place of the encapsulations of ESP."""


def uses_ah(configuration: MobileConfiguration) -> bool:
    """Tell whether X registers by AH where it can."""
    return configuration.link.ah is not None and not configuration.forced


def beginning(configuration: MobileConfiguration) -> tuple[Encapsulation, ...]:
    """Return the encapsulations that an attempt begins with after a move, or BY_AH."""
    if uses_ah(configuration):
        return BY_AH
    if configuration.start:
        return configuration.start
    every = allowed(configuration)
    return (Encapsulation.UDP,) if Encapsulation.UDP in every else every


def after_failure(configuration: MobileConfiguration, tried: Path) -> tuple[Encapsulation, ...]:
    """Return what follows an attempt without reply: all that is allowed, in turn with AH."""
    has_esp = configuration.link.outbound is not None
    if uses_ah(configuration) and not (tried.ah and has_esp):
        return BY_AH
    return allowed(configuration)


def item_of(configuration: MobileConfiguration, encapsulation: Encapsulation) -> EncapsulationItem:
    """Return Y's parameters for an allowed encapsulation."""
    return next(item for item in configuration.allow if item.code == encapsulation.code)


def host_of(configuration: MobileConfiguration, path: Path) -> str:
    """Return how HTTP on a path names Y, "" for the address as dialed.

    Y does not know as its own the address that stands for it behind a NAT64.
    """
    item = item_of(configuration, path.encapsulation)
    prefix, address = configuration.nat64_prefix, dialed(configuration, path).address
    if item.host or prefix is None or not address.startswith(prefix):
        return item.host
    return address_text(address[len(prefix) :])


def dialed(configuration: MobileConfiguration, path: Path) -> Endpoint:
    """Return Y's endpoint at the end of a path, which is behind the remote one of a proxy."""
    if not _goes_through(configuration.proxy, path.encapsulation):
        return path.remote
    other = configuration.other_terminal
    return other._replace(port=item_of(configuration, path.encapsulation).port or other.port)


def tunnel_target(configuration: MobileConfiguration, path: Path) -> str:
    """Return where a forward proxy is to connect a stream, "" if it goes through none."""
    if not _goes_through(configuration.proxy, path.encapsulation):
        return ""
    host = item_of(configuration, path.encapsulation).host
    return connect_authority(host, dialed(configuration, path))


def inside_tls(configuration: MobileConfiguration, path: Path) -> bool:
    """Tell whether what a path carries lies inside TLS."""
    flags = item_of(configuration, path.encapsulation).flags
    return path.encapsulation is Encapsulation.TLS or bool(flags & ITEM_INSIDE_TLS)


def server_name(configuration: MobileConfiguration, path: Path) -> str:
    """Return the name to ask for in TLS, "" where Y has none: RFC 6066 section 3 has no addresses
    there.
    """
    host = item_of(configuration, path.encapsulation).host
    try:
        ip_address(host)
    except ValueError:
        return host
    return ""


def paths(
    configuration: MobileConfiguration,
    local_endpoints: Sequence[Endpoint],
    encapsulations: Collection[Encapsulation],
    turn: int = 0,
) -> list[Path]:
    """Return the paths to register on, udp first; a stream has local port 0 until it is open.

    Where there are too many, every encapsulation has one before any has two, and the attempt of
    each `turn` goes on where the one before was cut off.
    """
    order = [Encapsulation.UDP, *(each for each in Encapsulation if each is not Encapsulation.UDP)]
    kinds = [each for each in order if each in encapsulations] or [Encapsulation.NATIVE]
    found = (paths_from(configuration, one, each) for each in kinds for one in local_endpoints)
    every = list(dict.fromkeys(path for some in found for path in some))
    if not encapsulations:  # BY_AH
        every = [path._replace(ah=True) for path in every]
    taken = _in_turn(every, turn)
    return [path for path in every if path in taken]


def _in_turn(every: Sequence[Path], turn: int) -> list[Path]:
    of_kind: dict[Encapsulation, list[Path]] = {}
    for path in every:
        of_kind.setdefault(path.encapsulation, []).append(path)
    round_robin = sorted(every, key=lambda path: of_kind[path.encapsulation].index(path))
    start = turn * MAX_PATHS % max(len(every), 1)
    return (round_robin[start:] + round_robin[:start])[:MAX_PATHS]


def paths_from(
    configuration: MobileConfiguration, local: Endpoint, encapsulation: Encapsulation
) -> list[Path]:
    """Return the paths in one encapsulation from one local endpoint, the one without NAT64 first;
    [] if Y is not reached.
    """
    proxy = configuration.proxy
    if proxy and _goes_through(proxy, encapsulation):
        of_family = len(proxy.address) == len(local.address)
        return [Path(encapsulation, Endpoint(local.address), proxy)] if of_family else []
    found = _addresses(configuration, local)
    if encapsulation is Encapsulation.NATIVE:
        return [Path(encapsulation, Endpoint(local.address), Endpoint(each)) for each in found]
    port = item_of(configuration, encapsulation).port or configuration.other_terminal.port
    source = local if encapsulation is Encapsulation.UDP else Endpoint(local.address)
    return [Path(encapsulation, source, Endpoint(each, port)) for each in found]


def remote_addresses(configuration: MobileConfiguration) -> tuple[bytes, ...]:
    """Return all addresses that outer packets may go to, as far as is known."""
    known, prefix, proxy = _known(configuration), configuration.nat64_prefix, configuration.proxy
    behind = () if prefix is None else (prefix + each for each in known if len(each) == 4)
    return tuple(dict.fromkeys([*known, *behind, *([proxy.address] if proxy else [])]))


def told(configuration: MobileConfiguration, addresses: Sequence[bytes]) -> MobileConfiguration:
    """Return a configuration that also knows the addresses which Y told of itself.

    One for a family of which none is known; never one that is no single host's.
    """
    for address in addresses:
        ip = ip_address(address)
        if ip.is_multicast or ip.is_unspecified or ip.is_loopback:
            continue
        if all(len(known) != len(address) for known in _known(configuration)):
            others = (*configuration.other_addresses, address)
            configuration = replace(configuration, other_addresses=others)
    return configuration


def unopened(path: Path) -> Path:
    """Return the path that a stream has before it is open: its local port may be any."""
    return path._replace(local=Endpoint(path.local.address))


def _goes_through(proxy: Endpoint | None, encapsulation: Encapsulation) -> bool:
    return proxy is not None and encapsulation not in DATAGRAM


def _known(configuration: MobileConfiguration) -> tuple[bytes, ...]:
    return (configuration.other_terminal.address, *configuration.other_addresses)


def _addresses(configuration: MobileConfiguration, local: Endpoint) -> list[bytes]:
    """Return what Y is reached by from an endpoint: at most one address as it is, and one behind
    the NAT64.
    """
    known, prefix = _known(configuration), configuration.nat64_prefix
    found = [each for each in known if len(each) == len(local.address)][:1]
    if prefix is not None and len(local.address) == 16:
        found += [prefix + each for each in known if len(each) == 4][:1]
    return found
