"""Requests to the API server, one at a time, under one identity.

Source: Kubernetes, "Accessing Clusters".
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from svcdns import __version__
from svcdns.errors import describe
from svcdns.kube.api.account import Access
from svcdns.kube.api.config import Pace

_READ_AHEAD = 2**18
_LOST_PROBES = 3


class Call(NamedTuple):
    """One request.

    Attributes:
        path: The path.
        query: The parameters.
        accept: The media type.
        patience: How many seconds the head of the response may take; None for as long as the limits allow.
        limits: How long what may take.
    """

    path: str
    query: Mapping[str, str]
    accept: str
    patience: float | None
    limits: aiohttp.ClientTimeout


class Session:
    """Connections to the API server under one identity.

    Args:
        access: Where it is, and who we are.
        context: What connections are secured with.
        pace: How long to wait for what.

    Attributes:
        identity: What the API server knows us by; equal where it is the same.
        users: How many requests are under way.
    """

    def __init__(self, access: Access, context: ssl.SSLContext, pace: Pace) -> None:
        self.identity = access.authorization
        self.users = 0
        self._access = access
        headers = {"User-Agent": f"svcdns/{__version__}", "Accept-Encoding": "identity"}
        if self.identity:
            headers["Authorization"] = self.identity
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, socket_factory=lambda address: make_socket(address, pace), limit=0
            ),
            headers=headers,
            read_bufsize=_READ_AHEAD,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_send_once,),
        )

    async def get(self, call: Call) -> aiohttp.ClientResponse:
        """Make a request and return the response, whatever its status, with the body still to be read."""
        async with asyncio.timeout(call.patience):
            return await self._http.get(
                f"{self._access.host}{call.path}",
                params=call.query,
                headers={"Accept": call.accept},
                timeout=call.limits,
                server_hostname=self._access.server_name or None,
                proxy=self._access.proxy or None,
            )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request; where the connection breaks off, aiohttp would send it again at once, against all limits."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(describe(error)) from error


def make_socket(address: tuple[Any, ...], pace: Pace) -> socket.socket:
    """Make a socket, for an address as `getaddrinfo` gives it, that notices when the other end is gone."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    idle, interval = pace.keepalive
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", _LOST_PROBES),
        ("TCP_USER_TIMEOUT", int(pace.dead * 1000)),
    ):
        if hasattr(socket, name):  # systems other than Linux lack some
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
