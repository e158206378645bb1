"""How long a watch is believed in whose other end is gone without a word.

    unshare --map-root-user --net python -m bench.half_open RUNS

A veth pair leads to an API server in a network namespace below this one, and the far end is set down: a proxy that is
stopped will not do, for its kernel answers keepalives. It prints the seconds until each run noticed, and in a second
line those until each was followed again once the far end was up.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from bench.far import ADDRESS, INTERFACE, Far, far, run
from svcdns.kube.api.config import Pace
from tests.kube.api.following import KINDS, Following, following, until

_PAUSE = 0.01
_PATIENCE = 60.0
_SPREAD = 0.3


async def join(api: Far) -> None:
    """Lead a wire to the API server."""
    run(f"ip link add near type veth peer name {INTERFACE}")
    run(f"ip link set {INTERFACE} netns {api.pid}")
    run("ip address add 10.77.0.1/24 dev near")
    run("ip link set near up")
    await api.tell("join")


async def time_until(condition: Callable[[Following], Any], follows: list[Following]) -> list[float]:
    """Return the seconds until a condition holds for each."""

    async def measure(each: Following) -> float:
        begun = time.perf_counter()
        await until(lambda: condition(each), _PATIENCE, _PAUSE)
        return time.perf_counter() - begun

    return await asyncio.gather(*map(measure, follows))


async def main(runs: int) -> None:
    """Print the figures."""
    async with far("--address", "0.0.0.0", within=("unshare", "--net")) as api, AsyncExitStack() as stack:  # noqa: S104 - in a namespace of its own
        await join(api)
        follows: list[Following] = []
        for number in range(runs):  # one after the other, so that keepalives are due at different times
            url = f"http://{ADDRESS}:{api.port}"
            follows.append(await stack.enter_async_context(following(url, pace=Pace(), random=Random(number))))
            await asyncio.sleep(_SPREAD)
        await time_until(lambda each: not each.cluster.pending, follows)
        await api.tell("down")
        noticed = await time_until(lambda each: len(each.source.faults) == len(KINDS), follows)
        await api.tell("up")
        back = await time_until(lambda each: not each.source.faults, follows)
    print(*noticed)
    print(*back)


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main(int(sys.argv[1])))
