"""Which proxy the environment names for a host."""

import pytest

from scapy_mobsec.drivers.live.forward_proxy import proxy_url

PROXY, OTHER = "http://proxy.example:3128", "other.example:1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY}, PROXY),
        ({"http_proxy": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, ""),
        ({"http_proxy": OTHER, "all_proxy": OTHER, "https_proxy": PROXY}, PROXY),
        ({"https_proxy": "", "all_proxy": PROXY}, PROXY),
    ],
)
def test_the_proxy_that_is_named(environment, expected):
    assert proxy_url(environment, "y.example") == expected


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
        found = proxy_url({"https_proxy": PROXY, name: exceptions}, host)
        assert found == ("" if excepted else PROXY)
