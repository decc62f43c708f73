"""The forward proxy that the environment names, as other programs read it from there."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

_VARIABLES = "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"
"""The first that is set counts. Tunnels are what https has them for; HTTP_PROXY is left out because
a request's field Proxy sets it in a CGI script.
"""


def proxy_url(environment: Mapping[str, str], host: str) -> str:
    """Return the URL of the proxy that `host`, a name or an address, is reached through, as it is
    written there.

    "" without one, or where `no_proxy` excepts the host: by "*", a name with all names under it, an
    address or a network.
    """
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if any(_is_under(host, each.strip()) for each in excepted.split(",")):
        return ""
    found = (environment.get(each) for each in _VARIABLES)
    return next(filter(None, found), "")


def _is_under(host: str, exception: str) -> bool:
    if exception == "*":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        suffix = exception.lower().lstrip(".")
        return bool(suffix) and f".{host.lower()}".endswith(f".{suffix}")
    try:
        return address in ip_network(exception, strict=False)
    except ValueError:
        return False
