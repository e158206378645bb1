"""Follow an API server as svcdns does: a fake one quicker, a real one at its own pace."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.source import ApiSource
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import Key, Kind
from svcdns.metrics import Metrics
from tests.kube.api.fake_api import FakeApi

STRETCH = 0.02
QUICK = Pace(
    connect=2.0,
    answer=30.0,
    silence=30.0,
    list_silence=30.0,
    probe=(0.01, 0.02),
    recheck=(0.02, 0.03),
    check=2.0,
    courtesy=(0.0, 0.01),
    audit=(1e6, 1e6),
    stretch=STRETCH,
)
"""Pauses cut short; what waits for silence waits long, so that only a test that asks for it meets that."""

KINDS = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)


class Following(NamedTuple):
    """What a source has made of an API server so far."""

    cluster: Cluster
    source: ApiSource
    metrics: Metrics

    def names(self, kind: Kind = Kind.SERVICE) -> set[str]:
        """Return the names of the objects of a kind."""
        return {name for _, name in self.held(kind)}

    def value(self, series: str) -> float:
        """Return the value of a series, written as in the metrics page."""
        for line in self.metrics.expose().splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def held(self, kind: Kind = Kind.SERVICE) -> set[Key]:
        """Return namespace and name of each object of a kind."""
        return set(self.cluster.store(kind).keys())

    def versions(self, kind: Kind) -> dict[Key, str]:
        """Return the resource version of each object of a kind."""
        return {found.key: found.version for found in self.cluster.store(kind).values()}


@asynccontextmanager
async def following(
    api: FakeApi | str = "",
    *kinds: Kind,
    pace: Pace = QUICK,
    quickly: dict[str, Any] | None = None,
    random: Random | None = None,
    clock: Callable[[], float] = time.monotonic,
    **config: Any,
) -> AsyncIterator[Following]:
    """Follow an API server while the block lasts.

    Args:
        api: The API server, or its URL; empty where *config* says where it is.
        kinds: The kinds to follow, `KINDS` where there are none.
        pace: How long to wait for what.
        quickly: What of that is otherwise.
        random: The source of jitter, the same for each test where there is none.
        clock: Monotonic time in seconds.
        config: What an operator writes.
    """
    endpoint = api if isinstance(api, str) else api.url
    chosen = kinds or KINDS
    cluster = Cluster(chosen, lambda: 1.7e9)
    metrics = Metrics()
    written = {"endpoint": endpoint} | config
    source = ApiSource(
        ApiConfig(chosen, **written),
        cluster,
        metrics,
        random=random or Random(7),
        pace=replace(pace, **quickly or {}),
        clock=clock,
    )
    running = asyncio.create_task(source.run())
    try:
        yield Following(cluster, source, metrics)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], Any], seconds: float = 20.0, pause: float = 0.0) -> None:
    """Let others have turns until a condition holds.

    Args:
        condition: The condition.
        seconds: How long to wait for it.
        pause: How long to leave the processor to other processes between two looks, in seconds.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells when a cluster changes
            await asyncio.sleep(pause)


async def synced(follows: Following) -> None:
    """Wait for the first lists."""
    await until(lambda: not follows.cluster.pending)
