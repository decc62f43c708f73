"""Which proxy the environment names for a host, and what it cannot name."""

import pytest

from scapy_mobsec.drivers.live.forward_proxy import proxy_from_environment

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"https_proxy": PROXY}, ("proxy.example", 3128)),
        ({"HTTPS_PROXY": PROXY}, ("proxy.example", 3128)),
        ({"ALL_PROXY": "192.0.2.8:8080"}, ("192.0.2.8", 8080)),
        ({"all_proxy": "http://[2001:db8::8]:8080/"}, ("2001:db8::8", 8080)),
        ({"http_proxy": "http://proxy.example"}, ("proxy.example", 80)),
        ({"HTTP_PROXY": PROXY}, None),
        ({"http_proxy": "http://other.example:1", "https_proxy": PROXY}, ("proxy.example", 3128)),
        ({"https_proxy": "", "all_proxy": PROXY}, ("proxy.example", 3128)),
    ],
)
def test_the_proxy_that_is_named(environment, expected):
    assert proxy_from_environment(environment, "y.example") == expected


@pytest.mark.parametrize(
    ("host", "exceptions", "excepted"),
    [
        ("y.example", "*", True),
        ("y.example", "x.example, y.example", True),
        ("gw.Y.example", ".y.example", True),
        ("gw.y.example", "Y.EXAMPLE", True),
        ("sky.example", "y.example", False),
        ("y.example", "", False),
        ("y.example", ",", False),
        ("203.0.113.2", "203.0.113.2", True),
        ("203.0.113.2", "203.0.113.0/24,10.0.0.0/8", True),
        ("203.0.113.2", "3.0.113.2", False),
        ("203.0.113.2", "example", False),
        ("2001:db8::1", "2001:db8::/32", True),
    ],
)
def test_the_hosts_that_are_excepted(host, exceptions, excepted):
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy_from_environment({"https_proxy": PROXY, name: exceptions}, host)
        assert (found is None) is excepted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("socks5://192.0.2.8:1080", "only http"),
        ("https://proxy.example:443", "only http"),
        ("http://user:word@proxy.example:3128", "no credentials"),
        ("http://:3128", "no host"),
        ("proxy.example:99999", "out of range"),
        ("proxy.example:port", "could not be cast"),
    ],
)
def test_what_is_no_proxy_for_tunnels(text, reason):
    with pytest.raises(ValueError, match=f"https_proxy: .*{reason}"):
        proxy_from_environment({"https_proxy": text}, "y.example")
