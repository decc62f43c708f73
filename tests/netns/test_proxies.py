"""Real proxies between X and Y: what both terminals tell is what these were configured to make."""

import re
from pathlib import Path

import pytest
from certificates import Certificate
from daemons import Daemon
from play import HTTP, HTTP_POST, TCP, TLS
from terminals import HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK

from contrib_layers.numbers import ITEM_INSIDE_TLS, FieldCode, HeaderType, NatureCode
from scapy_mobsec.drivers.live.tls import ServerTls
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.events import (
    CertificateRefused,
    ProxyRefused,
    Registered,
    StreamLost,
)

pytestmark = pytest.mark.netns

DOCUMENT = (Path(__file__).parents[2] / "docs/proxies.md").read_text()
(SQUID,) = re.findall("```squid\n(.*?)```", DOCUMENT, re.DOTALL)
NGINX = dict(
    zip(
        ("upgrade", "upstream", "post"),
        re.findall("```nginx\n(.*?)```", DOCUMENT, re.DOTALL),
        strict=True,
    )
)
"""The configurations that are documented."""

X, Y = "198.51.100.2", Endpoint.of("203.0.113.2", 4500)
PROXY, OUTSIDE = Endpoint.of("198.51.100.1", 3128), "203.0.113.1"
NAME = "y.example"
PORT = 8443
KINDS = {
    "tcp": (TCP, False),
    "tls": (TLS, True),
    "http": (HTTP, False),
    "http in tls": (HTTP, True),
    "http-post": (HTTP_POST, False),
}
PING = echo_request(HOME, INNER_HOST, 1)
PROXIED = NatureCode.PROXIED
CONNECTION = {
    (HeaderType.IPV4, FieldCode.SOURCE_ADDRESS): PROXIED,
    (HeaderType.IPV4, FieldCode.DESTINATION_ADDRESS): PROXIED,
    (HeaderType.TCP, FieldCode.SOURCE_PORT): PROXIED,
    (HeaderType.TCP, FieldCode.DESTINATION_PORT): PROXIED,
}
"""What is told where something of HTTP shows that one connection ends and another one begins."""

TRANSLATED = dict.fromkeys(CONNECTION, NatureCode.ADDRESS_AND_PORT)
"""And where nothing does."""


@pytest.fixture
def certificate(tmp_path):
    return Certificate(tmp_path, NAME)


@pytest.fixture
def daemon(proxied):
    made = Daemon(proxied.lab, "proxy", PROXY)
    yield made
    made.close()


def until_up(ends, daemon):
    deadline = ends.loop.now + 20
    while not daemon.is_up():
        assert ends.loop.now < deadline, daemon.log
        ends.loop.run(seconds=0.02)


def begin(ends, daemon, kind, dialed, *, tls=None, inside_tls=False, host=NAME, **choices):
    """Open both, and let X go to its place.

    `tls`: of Y; `inside_tls`: whether X speaks it; `dialed`: by X.
    """
    flags = ITEM_INSIDE_TLS if inside_tls and kind is not TLS else 0
    choices["allow"] = (EncapsulationItem(kind.code, flags, dialed.port, host=host),)
    terminal = dialed._replace(port=4500)
    ends.open(terminal, (MOBILE_LINK, OTHER_LINK), names=(NAME,), **choices)
    until_up(ends, daemon)
    ends.other.streams.listen(Endpoint(bytes(4), PORT), tls)
    ends.move(X)


def registered(ends, daemon):
    """Wait for a registration and a ping; return what X tells of the first."""
    told = ends.wait_for(Registered)
    assert ends.ping(PING, 1), (ends.mobile.log, ends.other.log, daemon.log)
    assert ends.other.terminal.path(HOME).remote.address == Endpoint.of(OUTSIDE).address
    return told


def natures(translations):
    return {(each.header, each.field): each.nature for each in translations}


@pytest.mark.parametrize("carried", KINDS)
def test_squid_makes_a_tunnel(proxied, daemon, certificate, carried):
    kind, inside_tls = KINDS[carried]
    daemon.squid(SQUID)
    tls = ServerTls(certificate.certificate, certificate.key) if inside_tls else None
    dialed = Y._replace(port=PORT)
    options = {"tls": tls, "inside_tls": inside_tls, "host": "", "proxy": PROXY}
    begin(proxied, daemon, kind, dialed, **options)
    told = registered(proxied, daemon)
    assert natures(told.translations) == CONNECTION | {
        (HeaderType.HTTP, FieldCode.WHOLE_HEADER): PROXIED  # CONNECT itself
    }
    shown = {each.field: (each.sent, each.observed) for each in told.translations}
    assert shown[FieldCode.SOURCE_ADDRESS] == (X, OUTSIDE)
    assert shown[FieldCode.DESTINATION_PORT] == (str(PROXY.port), str(PORT))
    assert shown[FieldCode.WHOLE_HEADER] == (f"CONNECT 203.0.113.2:{PORT} HTTP/1.1", "")


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        (f"acl y port {PORT}\nhttp_access deny CONNECT y", 403),
        (
            "auth_param basic program /usr/lib/squid/basic_fake_auth\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow CONNECT known",
            407,
        ),
    ],
)
def test_squid_refuses(proxied, daemon, rules, status):
    daemon.squid(rules)
    begin(proxied, daemon, TCP, Y._replace(port=PORT), host="", proxy=PROXY)
    refused = proxied.wait_for(ProxyRefused)
    assert refused.reason == f"refused by an HTTP server or proxy: {status}"
    assert not proxied.mobile.streams.connections


def nginx(ends, daemon, which, *, upstream="", front=None, back=None, headers=""):
    """Start the nginx of the document: `front` and `back` are its and Y's certificate."""
    location = NGINX[which].replace("http://", "https://" if back else "http://")
    ssl = ""
    if front:
        ssl = f"ssl_certificate {front.certificate}; ssl_certificate_key {front.key};"
    listen = f"listen {PROXY}{' ssl' if front else ''};"
    location = location.replace("}", f"{headers} }}")
    daemon.nginx(f"{upstream} server {{ {listen} {ssl} {location} }}")


REWRITTEN = {(HeaderType.HTTP, FieldCode.HTTP_REQUEST): NatureCode.REWRITTEN}
ENDED = BEGUN = {(HeaderType.TLS, FieldCode.WHOLE_HEADER): PROXIED}
INTERCEPTED = {(HeaderType.TLS, FieldCode.TLS_CERTIFICATE): NatureCode.INTERCEPTED}
NAMED = {(HeaderType.HTTP, FieldCode.HTTP_INTERMEDIARY): PROXIED}
AS_IT_WAS = "proxy_set_header Host $http_host;"
FORWARDED = (
    f'{AS_IT_WAS} proxy_set_header Via "1.1 nginx";'
    " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
)


@pytest.mark.parametrize(
    ("front", "back", "headers", "expected"),
    [
        (False, False, AS_IT_WAS, TRANSLATED),
        (False, False, FORWARDED, CONNECTION | NAMED),
        (True, False, "", TRANSLATED | REWRITTEN | ENDED),
        (True, True, AS_IT_WAS, TRANSLATED | INTERCEPTED),
        (True, True, FORWARDED, CONNECTION | INTERCEPTED | NAMED),
        (False, True, "", TRANSLATED | REWRITTEN | BEGUN),
    ],
)
def test_nginx_passes_the_upgrade_on(
    proxied, daemon, certificate, tmp_path, front, back, headers, expected
):
    own = Certificate(tmp_path, "nginx.example")
    nginx(proxied, daemon, "upgrade", front=own if front else None, back=back, headers=headers)
    tls = ServerTls(certificate.certificate, certificate.key) if back else None
    begin(proxied, daemon, HTTP, PROXY, tls=tls, inside_tls=front)
    told = registered(proxied, daemon)
    assert natures(told.translations) == expected
    shown = {each.field: (each.sent, each.observed) for each in told.translations}
    assert shown[FieldCode.SOURCE_ADDRESS] == (X, OUTSIDE)
    assert shown[FieldCode.DESTINATION_PORT] == (str(PROXY.port), str(PORT))
    if FieldCode.HTTP_INTERMEDIARY in shown:
        assert shown[FieldCode.HTTP_INTERMEDIARY] == ("", "Via, X-Forwarded-For")
    if FieldCode.HTTP_REQUEST in shown:
        sent, observed = shown[FieldCode.HTTP_REQUEST]
        assert (sent.split()[1], observed.split()[1]) == (
            f"{NAME}:{PROXY.port}",
            "203.0.113.2:8443",
        )
    if FieldCode.TLS_CERTIFICATE in shown:
        both = own.sha256.hex(), certificate.sha256.hex()
        assert shown[FieldCode.TLS_CERTIFICATE] == both


def test_the_certificate_of_nginx_is_not_the_demanded_one(proxied, daemon, certificate, tmp_path):
    own = Certificate(tmp_path, "nginx.example")
    nginx(proxied, daemon, "upgrade", front=own)
    demanded = {"inside_tls": True, "tls_verify": certificate.sha256}
    begin(proxied, daemon, HTTP, PROXY, **demanded)
    refused = proxied.wait_for(CertificateRefused)
    assert refused.sha256 == own.sha256


def test_nginx_passes_posts_on(proxied, daemon):
    nginx(proxied, daemon, "post", upstream=NGINX["upstream"])
    begin(proxied, daemon, HTTP_POST, PROXY)
    told = registered(proxied, daemon)
    assert natures(told.translations) == TRANSLATED | REWRITTEN
    for count in range(2, 30):
        assert proxied.ping(PING, count), (proxied.mobile.log, daemon.log)
    assert len([one for _, one in proxied.mobile.log if isinstance(one, Registered)]) == 1


def test_posts_by_connections_of_their_own_are_no_channel_and_no_storm(proxied, daemon):
    nginx(proxied, daemon, "upgrade")
    begin(proxied, daemon, HTTP_POST, PROXY)
    lost = proxied.wait_for(StreamLost, 3)
    assert "404" in lost.reason
    times = [at / 1e9 for at, one in proxied.mobile.log if isinstance(one, StreamLost)]
    assert times[2] - times[1] > 0.4
