"""Outages of all kinds, whose time is skipped: what it costs, what is known meanwhile, and how soon it is over."""

import asyncio
from random import Random

import pytest

from svcdns.kube.api.config import Pace
from tests.kube.api.fake_api import FakeApi, Fault, namespace, refuse_with, reset_at_once, say_nothing, service, well
from tests.kube.api.following import KINDS, Following, following, until
from tests.kube.api.hurry import Loop

LONG = 1200.0
FAULTS = {
    "refused": well,
    "silent": say_nothing,
    "reset": reset_at_once,
    "503": refuse_with(503),
    "429": refuse_with(429),
}
"""What each request meets in an outage; at the first nobody is there at all."""


async def live_through(fault: Fault, loop: Loop, random: Random, seconds: float) -> None:
    """Go through an outage, in which nobody is there at all if *fault* is `well`."""
    async with FakeApi() as api, following(api, pace=Pace(), random=random, clock=loop.time) as follows:
        for name in ("a", "b"):
            api.put("services", service(name))
            api.put("namespaces", namespace(name))
        await until(lambda: not follows.cluster.pending and len(follows.names()) == 2)
        loop.selector.hurries = True
        if fault is well:
            await api.stop()
        api.always = fault
        api.cut()
        asked, connects, ages = len(api.seen), loop.connects[api.port], read_ages(follows)
        await asyncio.sleep(seconds)
        assert len(api.seen) - asked <= len(KINDS) + 1 + seconds / 4
        assert loop.connects[api.port] - connects <= len(KINDS) + 2 * seconds
        assert follows.names() == {"a", "b"}
        assert [new - old for old, new in zip(ages, read_ages(follows), strict=True)] == pytest.approx(
            [seconds] * 3, abs=0.1
        )
        await come_back(api, follows, fault, loop)
        loop.selector.hurries = False


def read_ages(follows: Following) -> list[float]:
    """Return since when each kind is not known to be current."""
    return [follows.value(f'svcdns_kubernetes_data_age_seconds{{kind="{kind.value}"}}') for kind in KINDS]


async def come_back(api: FakeApi, follows: Following, fault: Fault, loop: Loop) -> None:
    """Let the API server be well again, and see how soon that is noticed."""
    if fault is well:
        await api.start()
    api.always = well
    api.put("services", service("c"))
    begun = loop.time()
    await until(lambda: "c" in follows.names() and not follows.source.faults, 60.0, 0.01)
    assert loop.time() - begun < 5


@pytest.mark.parametrize("seconds", [1, 3, 9, 30, LONG])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_costs_little_and_is_over_within_five_seconds(fault: str, seconds: float) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        runner.run(live_through(FAULTS[fault], loop, Random(seconds), seconds))
