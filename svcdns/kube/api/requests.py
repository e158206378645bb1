"""Requests to the API server: within the limits, with the credentials of the moment, counted, failures told apart.

Source: Kubernetes API concepts.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, nullcontext, suppress
from urllib.parse import urlsplit

import aiohttp

from svcdns.errors import ClusterError, describe
from svcdns.kube.api.account import Account
from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.failures import UnreachableError, make_failure, read_wait
from svcdns.kube.api.measures import Measures
from svcdns.kube.api.session import Call, Session
from svcdns.kube.api.throttle import TokenBucket
from svcdns.kube.decode import status_from_json
from svcdns.net.sockets import show_address

_OK, _UNAUTHORIZED = 200, 401
_LONGEST_ERROR = 2**16
_FAULTS = (aiohttp.ClientError, TimeoutError, OSError)

log = logging.getLogger(__name__)


class ApiServer:
    """Asks the API server.

    Args:
        config: What the operator wrote.
        pace: How long to wait for what.
        measures: What is counted.
        clock: Monotonic time in seconds.
        wall: Unix time in seconds.

    Raises:
        ValueError: The account cannot be used.
    """

    def __init__(
        self,
        config: ApiConfig,
        pace: Pace,
        measures: Measures,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._account = Account(config, wall)
        self._wall = wall
        self._pace = pace
        self._measures = measures
        self._clock = clock
        self._bucket = TokenBucket(config.qps, config.burst, clock)
        self._slots = asyncio.Semaphore(config.max_inflight) if config.max_inflight else nullcontext()
        self._current: Session | None = None
        self._changing = asyncio.Lock()
        self._complaint = ""

    @asynccontextmanager
    async def ask(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        accept: str = "application/json",
        patience: float | None = None,
        total: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Get *path* and give the response, of status 200, whose body is to be read.

        Args:
            path: The path.
            query: The parameters.
            accept: The media type.
            patience: How many seconds the head of the response may take; None for as long as it may be silent.
            total: How many seconds it may take; None for any number, as long as it is not silent.

        Raises:
            UnreachableError: No response came.
            Expired: The version asked for is gone.
            RefusalError: The response is an error.
            ClusterError: The body broke off.
        """
        watch = "watch" in query
        if not watch:
            await self._wait_for_turn()
        silence = self._pace.silence if watch else self._pace.list_silence
        limits = aiohttp.ClientTimeout(total=total, sock_connect=self._pace.connect, sock_read=silence)
        call = Call(path, query, accept, patience, limits)
        started = self._clock()
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self._session())
            response = await self._get(session, call)
            if response.status == _UNAUTHORIZED and await self._renewed(session):
                response.close()
                session = await stack.enter_async_context(self._session())
                response = await self._get(session, call)
            stack.enter_context(closing(response))
            if response.status != _OK:
                raise await self._failure(response)
            try:
                yield response
            except _FAULTS as error:
                raise ClusterError(_describe(error)) from error
        if not watch:
            self._measures.durations.labels("GET", self._host).observe(self._clock() - started)

    async def connect(self) -> None:
        """Open a connection and close it again.

        Raises:
            UnreachableError: There is nobody at the other end.
        """
        parts = urlsplit(self._account.access.host)
        if not parts.hostname or self._account.access.proxy:
            return  # what is behind a proxy shows only when it is asked
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(self._pace.connect):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except (OSError, TimeoutError) as error:
            raise UnreachableError(_describe(error)) from error
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def close(self) -> None:
        """Close all connections that no request uses any more."""
        current, self._current = self._current, None
        if current is not None:
            await current.close()

    @property
    def _host(self) -> str:
        return urlsplit(self._account.access.host).netloc

    async def _wait_for_turn(self) -> None:
        wait = self._bucket.reserve()
        self._measures.rate_limits.labels("GET", self._host).observe(wait)
        if wait:
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        """Give the session of the moment; an older one is closed when its last request is done."""
        async with self._changing:
            if self._current is None or self._account.changed:
                await self._renew()
            session = self._current
        if session is None:
            raise UnreachableError(self._complaint)
        session.users += 1
        try:
            yield session
        finally:
            session.users -= 1
            if session is not self._current and not session.users:
                await session.close()

    async def _renewed(self, session: Session) -> bool:
        """Whether the credentials, read again, are others than those of *session*."""
        async with self._changing:
            if session is self._current:
                await self._renew()
            return self._current is not None and self._current.identity != session.identity

    async def _renew(self) -> None:
        """Log in again; where that fails, the old credentials are kept."""
        try:
            context = await self._account.log_in()
        except ClusterError as error:
            if self._complaint != error.reason:
                self._complaint = error.reason
                log.warning("kubernetes: %s", error)
            return
        self._complaint = ""
        old, self._current = self._current, Session(self._account.access, context, self._pace)
        if old is not None and not old.users:
            await old.close()

    async def _get(self, session: Session, call: Call) -> aiohttp.ClientResponse:
        """Send one request and wait for the head of its response."""
        code = "<error>"
        try:
            async with self._slots:
                response = await session.get(call)
            code = str(response.status)
        except _FAULTS as error:
            raise UnreachableError(_describe(error)) from error
        finally:
            self._measures.requests.labels(code, "GET", self._host).value += 1
        return response

    async def _failure(self, response: aiohttp.ClientResponse) -> ClusterError:
        """Return what a response says that is an error."""
        body = b""
        with suppress(*_FAULTS):
            body = await response.content.read(_LONGEST_ERROR)
        status = status_from_json(body)
        if not status.reason:
            status.reason = response.reason or ""
        return make_failure(status, response.status, read_wait(response.headers.get("Retry-After", ""), self._wall()))


def _describe(error: BaseException) -> str:
    match error:
        case aiohttp.ClientPayloadError():
            return "the response broke off"
        case aiohttp.ServerTimeoutError():
            return "the API server is silent"
        case TimeoutError():
            return "there is no answer in time"
        case aiohttp.ClientSSLError():
            return f"TLS: {describe(error.os_error)}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {show_address(error.host, error.port or 0)}: {describe(error.os_error)}"
    return describe(error)
