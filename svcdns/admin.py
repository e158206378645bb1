"""The HTTP side ports: ``/health``, ``/ready``, ``/metrics`` and nothing else.

They stand open to the cluster, so a client gets little: GET and HEAD of the registered paths, no body, one answer for
each connection, five seconds to ask and a few more to take what it asked for. Where too many are connected, the one
that has been so for longest is cut, so that a probe is heard however many others dawdle.

aiohttp is imported by the first `Site.start`, since it takes longer to import than all the rest of a small server.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from svcdns.errors import describe
from svcdns.net.acceptor import PAUSE, Acceptor
from svcdns.net.sockets import BindError, share

MAX_CONNECTIONS = 64
ASK_TIME = 5.0
"""Seconds from a connection to the end of the request's headers."""

ANSWER_TIME = 15.0
"""Seconds from the request to the last octet that the client takes."""

PLAIN = "text/plain; charset=utf-8"
"""The content type of a page that is text."""

Page = Callable[[], Awaitable[tuple[int, str, str]]]
"""Makes the answer to a request: status, content type with charset, body."""

_METHODS = ("GET", "HEAD")
_STOP_TIME = 1.0
_MAX_HEADERS = 64

log = logging.getLogger(__name__)


class Site:
    """What answers HTTP at one address.

    Args:
        address: ``HOST:PORT``; an empty host stands for all addresses, port 0 for any free one.
        pages: What is answered, by path.
        ask_time: How many seconds a client has to send its request.
        answer_time: How many seconds it then has to take the answer.
        pause: Seconds without new clients, after there was no file left for one.

    Attributes:
        address: The address as written.
        pages: What is answered, by path; may be replaced at any time.
    """

    def __init__(
        self,
        address: str,
        pages: Mapping[str, Page],
        *,
        ask_time: float = ASK_TIME,
        answer_time: float = ANSWER_TIME,
        pause: float = PAUSE,
    ) -> None:
        self.address = address
        self.pages = pages
        self._ask_time = ask_time
        self._answer_time = answer_time
        self._pause = pause
        self._connections: dict[asyncio.BaseTransport, _Connection] = {}
        self._arriving: set[asyncio.Task[object]] = set()
        self._socket: socket.socket | None = None
        self._acceptor: Acceptor
        self._web: Any = None
        self._http: Any = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `start`."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What is listened with; nothing before `start`."""
        return () if self._socket is None else (self._socket,)

    async def start(self, *, shared: bool = False) -> None:
        """Begin to answer.

        Args:
            shared: Whether the port may be in use by sockets of this process that are `sharing` it.

        Raises:
            BindError: The address cannot be listened on.
        """
        self._web = import_module("aiohttp.web")
        silent = logging.getLogger(f"{__name__}.http")
        silent.setLevel(logging.CRITICAL + 1)  # aiohttp would log a traceback for each request that is not HTTP
        self._http = self._web.Server(
            self._answer, access_log=None, logger=silent, lingering_time=0.0, max_headers=_MAX_HEADERS
        )
        try:
            self._socket = await self._listen(shared=shared)
        except OSError as error:
            raise BindError(f"cannot listen for HTTP on {self.address}: {describe(error)}") from error
        self._acceptor = Acceptor(self._socket, self._take_in, self._make_room, self._pause)
        self._acceptor.start()

    async def stop(self) -> None:
        """Close the port and every connection; who has asked has a moment to take the answer."""
        if self._socket is None:
            return
        self._acceptor.stop()
        await asyncio.gather(*self._arriving)
        for connection in list(self._connections.values()):
            if not connection.asked:
                connection.cut()
        await self._http.shutdown(_STOP_TIME)
        for connection in list(self._connections.values()):
            connection.cut()

    async def _listen(self, *, shared: bool) -> socket.socket:
        loop = asyncio.get_running_loop()
        host, _, port = self.address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if host:
            found = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, *_, where = min(found, key=lambda info: info[0])  # IPv4 before IPv6, as Go does for "localhost"
            listening = socket.create_server(where[:2], family=family, backlog=MAX_CONNECTIONS, reuse_port=shared)
        elif socket.has_dualstack_ipv6():
            everywhere = ("", int(port))
            listening = socket.create_server(
                everywhere, family=socket.AF_INET6, dualstack_ipv6=True, backlog=MAX_CONNECTIONS, reuse_port=shared
            )
        else:
            listening = socket.create_server(("", int(port)), backlog=MAX_CONNECTIONS, reuse_port=shared)
        share([listening], shared=False)
        listening.setblocking(False)  # noqa: FBT003 - its only argument
        return listening

    def _take_in(self, accepted: socket.socket, client: tuple[str, int]) -> None:  # noqa: ARG002 - all get the same
        loop = asyncio.get_running_loop()
        arriving = loop.create_task(loop.connect_accepted_socket(self._connect, accepted))
        self._arriving.add(arriving)
        arriving.add_done_callback(self._arriving.discard)

    def _connect(self) -> "_Connection":
        return _Connection(self._connections, self._http(), self._ask_time)

    def _make_room(self) -> None:
        if self._connections:
            _cut_oldest(self._connections)

    async def _answer(self, request: Any) -> Any:
        connection = self._connections.get(request.transport)
        if connection is not None:
            connection.asked = True
            connection.allow(self._answer_time)
        page = self.pages.get(request.path)
        status, content_type, body = 404, PLAIN, "404 page not found\n"
        if page is not None:
            status, content_type, body = await self._turn(page, request.method, empty=not request.can_read_body)
        headers = {"Content-Type": content_type, "Server": "svcdns"}
        if status == 405:
            headers["Allow"] = ", ".join(_METHODS)
        response = self._web.Response(status=status, body=body.encode(), headers=headers)
        response.force_close()
        return response

    async def _turn(self, page: Page, method: str, *, empty: bool) -> tuple[int, str, str]:
        """Make the page, or say why there is none."""
        if method not in _METHODS:
            return 405, PLAIN, "405 method not allowed\n"
        if not empty:
            return 413, PLAIN, "413 a request has no body here\n"
        try:
            return await page()
        except Exception:
            log.exception("a page at %s failed", self.address)
            return 500, PLAIN, "500 internal server error\n"


class _Connection(asyncio.Protocol):
    """Hands a client's octets to aiohttp, within limits that aiohttp does not have.

    Args:
        others: All connections of the site, by transport, the oldest first.
        inner: aiohttp's protocol.
        ask_time: How many seconds the client has to send its request.

    Attributes:
        asked: Whether there is a request.
    """

    def __init__(self, others: "dict[asyncio.BaseTransport, _Connection]", inner: Any, ask_time: float) -> None:
        self._others = others
        self._inner = inner
        self._ask_time = ask_time
        self.asked = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def allow(self, seconds: float) -> None:
        """Cut the connection after this time."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.cut)

    def cut(self) -> None:
        """Close the connection at once, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client in, in the place of the oldest one where there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._others[transport] = self
        if len(self._others) > MAX_CONNECTIONS:
            _cut_oldest(self._others)
        self.allow(self._ask_time)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._transport is not None:
            self._others.pop(self._transport, None)
        if self._deadline is not None:
            self._deadline.cancel()
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand octets on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand the end on."""
        return bool(self._inner.eof_received())

    def pause_writing(self) -> None:
        """Hand on that the client does not keep up."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the client has caught up."""
        self._inner.resume_writing()


def _cut_oldest(connections: dict[asyncio.BaseTransport, _Connection]) -> None:
    """Close the connection that has been there for longest."""
    connections.pop(next(iter(connections))).cut()
