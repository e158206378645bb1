"""While the API server is away, one probe finds out for all kinds when it is back."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from svcdns.errors import ClusterError
from svcdns.kube.api.config import Pace
from svcdns.kube.api.failures import RefusalError, UnreachableError

if TYPE_CHECKING:
    from svcdns.kube.api.requests import ApiServer


class Outage:
    """Lets all who would ask wait together, once a request failed.

    One of them looks out meanwhile: with a bare connect each half second to second, and with a small list, a few
    seconds apart, only where somebody answers the connect.

    Args:
        server: The API server.
        pace: How long to wait for what.
        random: The source of jitter.
        clock: Monotonic time in seconds.
    """

    def __init__(self, server: "ApiServer", pace: Pace, random: Random, clock: Callable[[], float]) -> None:
        self._server = server
        self._pace = pace
        self._random = random
        self._clock = clock
        self._probing = asyncio.Lock()
        self._back_at = float("-inf")
        self._not_before = float("-inf")

    async def wait(self) -> None:
        """Wait until nobody looks out any more: what is sure to fail need not be asked."""
        async with self._probing:
            pass

    async def outlast(self, error: ClusterError, path: str) -> None:
        """Wait until the API server is back; the first who waits looks out for all.

        Args:
            error: What the request that failed came to.
            path: What to list to see whether it works again.
        """
        joined = self._clock()
        self._obey(error)
        async with self._probing:
            if self._back_at <= joined:
                await self._probe(error, path)
                self._back_at = self._clock()

    async def _probe(self, error: ClusterError, path: str) -> None:
        """Find out when the API server is back."""
        answered = asyncio.Event()
        checks: set[asyncio.Task[None]] = set()
        pause = self._random.uniform(*(self._pace.recheck if isinstance(error, RefusalError) else self._pace.probe))
        try:
            while not await self._wait(answered, pause):
                for done in [check for check in checks if check.done()]:
                    checks.remove(done)
                    done.result()
                try:
                    await self._server.connect()
                except UnreachableError:
                    pause = self._random.uniform(*self._pace.probe)
                    continue
                checks.add(asyncio.create_task(self._check(path, answered)))
                pause = self._random.uniform(*self._pace.recheck)
        finally:
            for check in checks:
                check.cancel()
            await asyncio.gather(*checks, return_exceptions=True)

    async def _check(self, path: str, answered: asyncio.Event) -> None:
        """Ask for a small list; the next check does not wait for this one, which may have met a dead end."""
        try:
            async with self._server.ask(path, {"limit": "1"}, total=self._pace.check) as response:
                await response.read()
        except ClusterError as error:
            self._obey(error)
            if not isinstance(error, RefusalError) or error.general:
                return
        answered.set()

    async def _wait(self, answered: asyncio.Event, pause: float) -> bool:
        """Wait for an answer until the next check is due, and return whether one came."""
        due = self._clock() + pause
        while not answered.is_set() and (rest := max(due, self._not_before) - self._clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await answered.wait()
        return answered.is_set()

    def _obey(self, error: ClusterError) -> None:
        """Wait at least as long as the API server asks for."""
        if isinstance(error, RefusalError) and error.wait is not None:
            until = self._clock() + error.wait + self._random.uniform(*self._pace.courtesy)
            self._not_before = max(self._not_before, until)
