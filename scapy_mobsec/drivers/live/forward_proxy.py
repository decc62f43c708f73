"""The forward proxy that the environment names, as other programs read it from there."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

_VARIABLES = "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"
"""The first that is set counts. Tunnels are what https has them for; HTTP_PROXY is left out because
a request's field Proxy sets it in a CGI script.
"""

_USUAL_PORT = 80


def proxy_from_environment(environment: Mapping[str, str], host: str) -> tuple[str, int] | None:
    """Return host and port of the proxy that `host`, a name or an address, is reached through.

    None without one, or where `no_proxy` excepts the host: by "*", a name with all names under it,
    an address or a network. Raises ValueError for a proxy that is not spoken to in plain HTTP, or
    wants credentials, which are never offered.
    """
    name = next((each for each in _VARIABLES if environment.get(each)), None)
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if name is None or any(_is_under(host, each.strip()) for each in excepted.split(",")):
        return None
    text = environment[name]
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http":
        raise ValueError(f"{name}: a proxy of {parts.scheme!r} is not spoken to, only http")
    if parts.username is not None:
        raise ValueError(f"{name}: no credentials are offered to a proxy")
    if not parts.hostname:
        raise ValueError(f"{name}: no host in {text!r}")
    try:
        return parts.hostname, parts.port or _USUAL_PORT
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


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
