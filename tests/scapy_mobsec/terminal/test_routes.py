"""Which paths there are, by family, NAT64 and encapsulation."""

from ipaddress import ip_address

import pytest
from scripted import HTTP, NATIVE, TCP, TLS, UDP, items
from terminals import AH_LINKS, AH_ONLY_LINKS, MOBILE_LINK, NEW, OLD, OTHER

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.routes import (
    BY_AH,
    MAX_PATHS,
    after_failure,
    allowed,
    beginning,
    dialed,
    host_of,
    inside_tls,
    paths,
    paths_from,
    remote_addresses,
    server_name,
    told,
    tunnel_target,
)

V6 = Endpoint.of("2001:db8::2", 4500)
OTHER_V6 = ip_address("2001:db8:ffff::1").packed
PROXY = Endpoint.of("192.0.2.80", 8080)
PREFIX = ip_address("64:ff9b::").packed[:12]


def configured(*encapsulations, **changes):
    return MobileConfiguration(MOBILE_LINK, OTHER, allow=items(*encapsulations), **changes)


def test_udp_comes_first_then_the_cheapest():
    found = paths(configured(TLS, NATIVE, UDP), [NEW, OLD], (NATIVE, TLS, UDP))
    assert [(path.encapsulation, path.local.address) for path in found] == [
        (each, local.address) for each in (UDP, NATIVE, TLS) for local in (NEW, OLD)
    ]


def test_ports():
    configuration = MobileConfiguration(
        MOBILE_LINK,
        OTHER,
        allow=(
            EncapsulationItem(EncapsulationCode.NATIVE),
            EncapsulationItem(EncapsulationCode.UDP),
            EncapsulationItem(EncapsulationCode.TLS, port=443),
        ),
    )
    (native,), (udp,), (tls,) = (
        paths_from(configuration, NEW, each) for each in (NATIVE, UDP, TLS)
    )
    assert native == Path(NATIVE, Endpoint(NEW.address), Endpoint(OTHER.address))
    assert udp == Path(UDP, NEW, OTHER)
    assert tls == Path(TLS, Endpoint(NEW.address), Endpoint(OTHER.address, 443))


def test_families():
    def remotes(local, **changes):
        return [str(path.remote) for path in paths_from(configured(UDP, **changes), local, UDP)]

    y4, y6, behind = f"{OTHER}", str(Endpoint(OTHER_V6, OTHER.port)), "[64:ff9b::cb00:7102]:4500"
    assert remotes(V6) == []
    assert remotes(V6, nat64_prefix=PREFIX) == [behind]
    assert remotes(V6, other_addresses=(OTHER_V6,)) == [y6]
    both = {"other_addresses": (OTHER_V6,), "nat64_prefix": PREFIX}
    assert (remotes(V6, **both), remotes(NEW, **both)) == ([y6, behind], [y4])
    only_v6 = MobileConfiguration(MOBILE_LINK, Endpoint(OTHER_V6, 4500), nat64_prefix=PREFIX)
    assert paths_from(only_v6, NEW, UDP) == []
    assert len(paths_from(only_v6, V6, UDP)) == 1


def test_streams_go_through_a_forward_proxy_of_their_family():
    allow = (*items(UDP), EncapsulationItem(EncapsulationCode.TLS, port=443, host="y.example"))
    settings = MobileConfiguration(MOBILE_LINK, OTHER, allow=(*allow, *items(TCP)), proxy=PROXY)
    udp, tcp, tls = paths(settings, [NEW], (UDP, TCP, TLS))
    assert udp.remote == dialed(settings, udp) == OTHER
    assert tunnel_target(settings, udp) == ""
    assert tcp == Path(TCP, Endpoint(NEW.address), PROXY)
    assert (dialed(settings, tcp), tunnel_target(settings, tcp)) == (OTHER, "203.0.113.2:4500")
    assert tls == Path(TLS, Endpoint(NEW.address), PROXY)
    assert dialed(settings, tls) == Endpoint(OTHER.address, 443)
    assert tunnel_target(settings, tls) == "y.example:443"
    assert paths_from(settings, V6, TLS) == []


def test_without_a_proxy_a_stream_leads_to_y():
    (path,) = paths_from(configured(TCP), NEW, TCP)
    assert (dialed(configured(TCP), path), tunnel_target(configured(TCP), path)) == (OTHER, "")


def test_addresses_that_y_tells():
    other = ip_address("2001:db8:ffff::9").packed
    nowhere = [ip_address(each).packed for each in ("::", "::1", "ff02::1")]
    known = told(configured(UDP), [*nowhere, OTHER_V6, other, NEW.address])
    assert known.other_addresses == (OTHER_V6,)  # the dialed one is of the other family
    assert [path.remote for path in paths_from(known, V6, UDP)] == [Endpoint(OTHER_V6, OTHER.port)]
    assert told(known, [other]) is known
    behind = configured(UDP, nat64_prefix=PREFIX)
    assert told(behind, [OTHER_V6]).other_addresses == (OTHER_V6,)
    assert told(configured(UDP), []) == configured(UDP)


@pytest.mark.parametrize("endpoints", [2, 3, 7, 20])
def test_not_more_paths_than_y_admits_but_all_of_them_in_turn(endpoints):
    locals_ = [Endpoint.of(f"10.0.0.{n}", 4500) for n in range(1, endpoints + 1)]
    every, settings = tuple(Encapsulation), configured(*Encapsulation)
    first = paths(settings, locals_, every)
    assert len(first) == MAX_PATHS == 8
    assert {path.encapsulation for path in first} == set(every)
    assert [path.encapsulation for path in first[:3]] == [UDP, UDP, NATIVE]
    turns = range(-(-6 * endpoints // MAX_PATHS))
    tried = {path for turn in turns for path in paths(settings, locals_, every, turn)}
    assert len(tried) == 6 * endpoints


def test_few_paths_are_the_same_in_every_turn():
    settings = configured(UDP, TCP)
    assert paths(settings, [NEW, OLD], (UDP, TCP), 1) == paths(settings, [NEW, OLD], (UDP, TCP))
    assert paths(settings, [V6], (UDP, TCP), 1) == []


def test_what_an_attempt_begins_with():
    assert beginning(configured(NATIVE, UDP, TCP)) == (UDP,)
    assert beginning(configured(TLS, NATIVE, HTTP)) == (NATIVE, TLS, HTTP)
    assert beginning(configured(UDP, TCP, start=(TCP,))) == (TCP,)
    assert allowed(configured(TLS, UDP)) == (UDP, TLS)


@pytest.mark.parametrize(
    "changes",
    [
        {"allow": ()},
        {"allow": items(UDP, UDP)},
        {"start": (TCP,)},
        {"nat64_prefix": bytes(16)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_configurations_that_cannot_be(changes):
    with pytest.raises(ValueError, match=r"allow|start|prefix"):
        MobileConfiguration(MOBILE_LINK, OTHER, **changes)


def test_ah_comes_first_and_in_turn_with_esp():
    both, alone = (MobileConfiguration(link[0], OTHER) for link in (AH_LINKS, AH_ONLY_LINKS))
    native = Path(NATIVE, Endpoint(NEW.address), Endpoint(OTHER.address), ah=True)
    assert paths(both, [NEW, NEW, V6], BY_AH) == [native]
    assert beginning(both) == beginning(alone) == after_failure(alone, native) == BY_AH
    assert after_failure(both, native) == (UDP,)
    assert after_failure(both, Path(UDP, NEW, OTHER)) == BY_AH
    forced = MobileConfiguration(AH_LINKS[0], OTHER, forced=True)
    assert beginning(forced) == after_failure(forced, Path(UDP, NEW, OTHER)) == (UDP,)


def test_y_is_named_as_dialed_but_behind_nat64_by_its_own_address():
    configuration = configured(HTTP, nat64_prefix=PREFIX, other_addresses=())
    assert host_of(configuration, *paths_from(configuration, NEW, HTTP)) == ""
    assert host_of(configuration, *paths_from(configuration, V6, HTTP)) == "203.0.113.2"
    item = EncapsulationItem(EncapsulationCode.HTTP, host="y.example")
    named = MobileConfiguration(MOBILE_LINK, OTHER, allow=(item,), nat64_prefix=PREFIX)
    assert host_of(named, *paths_from(named, V6, HTTP)) == "y.example"


@pytest.mark.parametrize(
    ("kind", "flags", "host", "expected"),
    [
        (TCP, 0, "y.example", (False, "y.example")),
        (TLS, 0, "y.example", (True, "y.example")),
        (TLS, 0, "203.0.113.2", (True, "")),
        (TLS, 0, "2001:db8::1", (True, "")),
        (TLS, 0, "", (True, "")),
        (HTTP, 0, "y.example", (False, "y.example")),
        (HTTP, ITEM_INSIDE_TLS, "y.example", (True, "y.example")),
    ],
)
def test_what_lies_inside_tls_and_which_name_is_asked_for(kind, flags, host, expected):
    item = EncapsulationItem(kind.code, flags, host=host)
    configuration = MobileConfiguration(MOBILE_LINK, OTHER, allow=(item,))
    (path,) = paths(configuration, [NEW], (kind,))
    assert (inside_tls(configuration, path), server_name(configuration, path)) == expected


def test_all_addresses_that_outer_packets_may_go_to():
    assert remote_addresses(configured(UDP)) == (OTHER.address,)
    configuration = configured(
        UDP, TCP, proxy=PROXY, nat64_prefix=PREFIX, other_addresses=(OTHER_V6,)
    )
    behind = PREFIX + OTHER.address
    assert remote_addresses(configuration) == (OTHER.address, OTHER_V6, behind, PROXY.address)
