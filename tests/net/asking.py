"""An upstream that a fake stands behind, asked without a plugin around it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from svcdns.metrics import Counter
from svcdns.net.poller import Poller
from svcdns.net.pool import Keeping, Route
from svcdns.net.upstream import Counters, Upstream
from svcdns.tasks import Tasks
from tests.fake_upstream import FakeUpstream, fake_upstream

KEEPING = Keeping()


@asynccontextmanager
async def asking(
    fake: FakeUpstream | None = None,
    keeping: Keeping = KEEPING,
    **parts: Any,
) -> AsyncIterator[tuple[Upstream, FakeUpstream]]:
    """Have *fake* serve, and an upstream that leads there."""
    tasks = Tasks()
    poller = Poller(time.monotonic, tasks.spawn)
    async with fake_upstream(fake) as serving:
        route = Route("127.0.0.1", serving.port)._replace(**parts)
        upstream = Upstream(route, keeping, poller, Counters(*(Counter() for _ in range(5))))
        try:
            yield upstream, serving
        finally:
            upstream.pool.close()
            poller.close()
            await tasks.cancel()
