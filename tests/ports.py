"""Ports for servers that are yet to come."""

import os
import random
import socket
from contextlib import ExitStack

_OWN = range(15_000, 32_000)
"""Below what the kernel gives to sockets that name no port (from 32,768 on Linux, from 49,152 elsewhere): no client's
socket, here or in another program, takes the port before the server is there."""

_FIRST = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_STEP = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE = _OWN[_FIRST::_STEP]  # each of the processes that test has another
_PORTS = iter(random.sample(_SHARE, len(_SHARE)))
_FAMILY = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET


def free_port() -> int:
    """Return a port that nobody has, over UDP or TCP, at any address; none comes twice.

    Two servers that share a port by ``SO_REUSEPORT``, as most do, would not be told: each would hear some queries.
    """
    return next(filter(_is_free, _PORTS))


def _is_free(port: int) -> bool:
    """Tell whether *port* can be had for oneself."""
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probe = stack.enter_context(socket.socket(_FAMILY, kind))
                if _FAMILY == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                probe.bind(("", port))
        except OSError:
            return False
    return True
