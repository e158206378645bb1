"""The API server as a source: one task per kind keeps a `Cluster` as the API server has it."""

import asyncio
import time
from collections.abc import Callable
from random import Random, SystemRandom

from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.follower import Follower, Surroundings
from svcdns.kube.api.measures import Measures
from svcdns.kube.api.outage import Outage
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import Kind
from svcdns.metrics import Metrics


class ApiSource:
    """Follows the kinds that the configuration names, for as long as `run` does.

    Args:
        config: What the operator wrote.
        cluster: What to keep current.
        metrics: Where to count.
        clock: Monotonic time in seconds.
        wall: Unix time in seconds.
        random: The source of jitter.
        pace: How long to wait for what.

    Raises:
        ValueError: The configuration cannot be used: no cluster around us, or a file that cannot be read.
    """

    def __init__(
        self,
        config: ApiConfig,
        cluster: Cluster,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Random | None = None,
        pace: Pace | None = None,
    ) -> None:
        from svcdns.kube.api.requests import ApiServer  # noqa: PLC0415 - takes 0.1 s, which a server of manifests saves

        pace, random, measures = pace or Pace(), random or SystemRandom(), Measures(metrics)
        self._server = ApiServer(config, pace, measures, clock, wall)
        outage = Outage(self._server, pace, random, clock)
        surroundings = Surroundings(config, cluster, self._server, outage, measures, pace, random, clock, wall)
        self._followers = {kind: Follower(kind, surroundings) for kind in config.kinds}

    @property
    def faults(self) -> dict[Kind, str]:
        """What keeps kinds from being current, in words: ``list services: 403 Forbidden: ...``."""
        return {kind: follower.fault for kind, follower in self._followers.items() if follower.fault}

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for follower in self._followers.values():
                    tasks.create_task(follower.run())
                    tasks.create_task(follower.audit())
        finally:
            await self._server.close()
