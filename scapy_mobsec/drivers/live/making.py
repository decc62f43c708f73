"""From settings to terminals: their configurations, and the numbers that a store remembers."""

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode
from scapy_mobsec.drivers.live.carrier_texts import Target
from scapy_mobsec.drivers.live.forward_proxy import proxy_url
from scapy_mobsec.drivers.live.secrets import Secrets
from scapy_mobsec.drivers.live.setting_kinds import ENVIRONMENT, parse_proxy
from scapy_mobsec.drivers.live.settings import Fault, GatewaySettings, MobileSettings
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.restart import BindingSnapshot

Save: TypeAlias = Callable[[], None]
"""Writes what a terminal's snapshot has. Raises StoreError, and can be called again then."""

Resolve: TypeAlias = Callable[[str], tuple[bytes, ...]]
"""Look a name up: packed addresses, the preferred one first. Raises OSError."""


def look_up(name: str) -> tuple[bytes, ...]:
    """Ask the machine's resolver for the addresses of a name. It may wait. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    texts = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return tuple(Endpoint.of(text).address for text in texts)


def mobile_configuration(
    settings: MobileSettings, resolve: Resolve = look_up
) -> MobileConfiguration:
    """Make what a mobile terminal begins with. Raises SettingsError."""
    try:
        known = *_addresses(settings.gateway, "gateway", resolve), *_packed(settings)
        first, *others = dict.fromkeys(known)
        return MobileConfiguration(
            link=Secrets().link(settings.link, "link"),
            other_terminal=Endpoint(first, settings.gateway.port),
            lifetime=settings.lifetime,
            allow=tuple(_named(item, settings.gateway) for item in settings.allow),
            start=settings.start,
            stagger=settings.stagger,
            decider=settings.decider,
            forced=settings.forced,
            keepalive=settings.keepalive,
            nat64_prefix=settings.nat64_prefix,
            other_addresses=tuple(others),
            spare=settings.spare,
            tls_verify=settings.tls_verify,
            proxy=_proxy(settings, resolve),
        )
    except ValueError as error:
        raise settings.error(error) from None


def gateway_configuration(settings: GatewaySettings) -> OtherConfiguration:
    """Make what a gateway begins with. Raises SettingsError."""
    secrets = Secrets()
    try:
        return OtherConfiguration(
            links=tuple(
                secrets.link(link, f"link[{index}]") for index, link in enumerate(settings.links)
            ),
            supported=tuple(_supported(settings)),
            max_lifetime=settings.max_lifetime,
            max_sas=settings.max_sas,
            max_streams=settings.max_streams,
            decider=settings.decider,
            forced=settings.forced,
            addresses=tuple(each.packed for each in settings.addresses),
            names=settings.names,
            alternates=settings.alternates,
        )
    except ValueError as error:
        raise settings.error(error) from None


def resume_mobile(
    settings: MobileSettings,
    store: Store,
    resolve: Resolve = look_up,
    kind: type[MobileTerminal] = MobileTerminal,
) -> tuple[MobileTerminal, Save]:
    """Make a mobile terminal that goes on above the numbers in the store. Raises SettingsError,
    StoreError.
    """
    configuration = mobile_configuration(settings, resolve)
    home = configuration.link.home_address
    snapshot = store.load_mobile(home)
    try:
        terminal = kind(configuration, random_bytes=os.urandom, snapshot=snapshot)
    except ValueError as error:
        raise settings.error(_of_state(error) if snapshot else error) from None
    return terminal, lambda: store.save_mobile(home, terminal.snapshot())


def resume_gateway(
    settings: GatewaySettings, store: Store, kind: type[OtherTerminal] = OtherTerminal
) -> tuple[OtherTerminal, Save]:
    """Make a gateway's terminal that goes on with the numbers and bindings in the store. Raises
    SettingsError, StoreError.
    """
    configuration = gateway_configuration(settings)
    saved = {each.home_address: each for each in store.load_bindings()}
    terminal = kind(replace(configuration, links=()), random_bytes=os.urandom)
    for index, link in enumerate(configuration.links):
        snapshot = saved.get(link.home_address)
        try:
            terminal.add_link(link, snapshot)
        except ValueError as error:
            raise settings.error(Fault(f"link[{index}]", str(error))) from None
    unsaved: dict[bytes, BindingSnapshot] = {}

    def save() -> None:
        unsaved.update({each.home_address: each for each in terminal.snapshots()})
        store.save_bindings(unsaved.values())
        unsaved.clear()

    return terminal, save


def _addresses(target: Target, key: str, resolve: Resolve) -> tuple[bytes, ...]:
    if not target.is_name:
        return (Endpoint.of(target.host).address,)
    try:
        found = resolve(target.host)
    except OSError as error:
        raise Fault(key, f"{target.host}: {error.strerror or 'not found'}") from None
    if not found:
        raise Fault(key, f"{target.host}: has no address")
    return found


def _packed(settings: MobileSettings) -> Iterable[bytes]:
    return (each.packed for each in settings.gateway_addresses)


def _named(item: EncapsulationItem, gateway: Target) -> EncapsulationItem:
    """Ask TLS and HTTP for the gateway's name, where it has one and the carrier has no other."""
    in_tls = item.code == EncapsulationCode.TLS or bool(item.flags & ITEM_INSIDE_TLS)
    if item.host or not gateway.is_name or not (in_tls or item.code >= EncapsulationCode.HTTP):
        return item
    return replace(item, host=gateway.host.lower())


def _proxy(settings: MobileSettings, resolve: Resolve) -> Endpoint | None:
    proxy = settings.proxy
    if proxy == ENVIRONMENT:
        proxy = _proxy_of_environment(settings.gateway.host)
    if not isinstance(proxy, Target):
        return None
    return Endpoint(_addresses(proxy, "proxy", resolve)[0], proxy.port)


def _proxy_of_environment(host: str) -> Target | None:
    url = proxy_url(os.environ, host)
    try:
        return parse_proxy(url) if url else None
    except ValueError as error:
        raise Fault("proxy", f"of the environment: {error}") from None


def _supported(settings: GatewaySettings) -> Iterable[EncapsulationItem]:
    """What is told to mobile terminals; where the file does not say it, what is listened for."""
    if settings.supported is not None:
        items: Iterable[EncapsulationItem] = settings.supported
    else:
        heard = dict.fromkeys(
            EncapsulationItem(
                each.encapsulation.code,
                ITEM_INSIDE_TLS if each.inside_tls else 0,
                each.endpoint.port if each.endpoint else 0,
            )
            for each in settings.listen
        )
        items = sorted(heard, key=lambda item: item.code)  # cheapest first
    for item in items:
        is_udp = item.code == EncapsulationCode.UDP
        yield replace(item, keepalive=settings.keepalive) if is_udp else item


def _of_state(error: ValueError) -> ValueError:
    return Fault("state", str(error))
