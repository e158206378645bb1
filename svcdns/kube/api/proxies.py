"""Which proxy the environment names for an API server, as Go's programs understand it.

Python's own reading knows no address ranges in ``NO_PROXY``, which is how clusters leave themselves out, and has a
proxy asked even for this machine.

Source: Go, package golang.org/x/net/http/httpproxy.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_WITH_PORT = re.compile(r"(\[.*\]|[^:]*):(\d+)")


def find_proxy(url: str, environment: Mapping[str, str]) -> str:
    """Return the URL of the proxy that a server is asked through; empty where it is asked directly.

    Args:
        url: The URL of the server.
        environment: ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, in lower case as well, as a process has them.

    Raises:
        ValueError: The URL is none.
    """
    parts = urlsplit(url)
    proxy = _look_up(environment, f"{parts.scheme}_proxy")
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    if not proxy or not host or _is_direct(host, port, _look_up(environment, "no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _look_up(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_direct(host: str, port: int, exceptions: str) -> bool:
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(each.strip().lower(), host, port, address) for each in exceptions.split(","))


def _covers(exception: str, host: str, port: int, address: IPv4Address | IPv6Address | None) -> bool:
    """Tell whether an exception is for a host: all, an address range, or an address or domain, perhaps with a port."""
    if exception == "*":
        return True
    if "/" in exception:
        try:
            return address is not None and address in ip_network(exception, strict=False)
        except ValueError:
            return False
    name = exception
    if (found := _WITH_PORT.fullmatch(exception)) is not None:
        name = found[1]
        if int(found[2]) != port:
            return False
    name = name.strip("[]")
    if not name:
        return False
    if name.startswith("*."):
        name = name[1:]
    if (excepted := _parse_address(name)) is not None:
        return address == excepted
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
