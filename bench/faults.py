"""What svcdns makes of an API server that fails; svcdns alone.

    python -m bench.faults [half-open] [reconnect] [rate] [holds] [stateful]
                           [--runs 200] [--seconds 120] [--services 10000] [--endpoints 15] [--sequences 10000]

half-open: how long until a watch whose other end is gone is given up, in a network namespace of its own.
reconnect: from the API server's return, at a random time, until a Service made then is here.
rate: requests and connects a second while it is away.
holds: how long the event loop was held up while a large cluster is read, changed, and read again.
stateful: random sequences of faults against a model.
"""

import argparse
import asyncio
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from statistics import quantiles
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bench.far import far
from svcdns import memory
from svcdns.kube.api.config import Pace
from svcdns.kube.objects import Kind
from tests.kube.api.fake_api import FakeApi, refuse_with, reset_at_once, say_nothing, service, well
from tests.kube.api.following import KINDS, Following, following, until
from tests.kube.api.hurry import Loop
from tests.kube.api.test_reflector_stateful import ReflectorMachine

FAULTS = {"refused": well, "silent": say_nothing, "reset": reset_at_once, "503": refuse_with(503)}
"""What each request meets while the API server is away; at the first nobody is there at all."""

_AWAY = (1.0, 20.0)
_PAUSE = 0.01
_SELDOM = 0.1
_PATIENCE = 60.0
_CHANGES = 200
_RELISTS = 3

Row = tuple[str, str, str]


@asynccontextmanager
async def away(api: FakeApi, fault: str) -> AsyncIterator[None]:
    """Have the API server be away while the block lasts."""
    if fault == "refused":
        await api.stop()
    api.always = FAULTS[fault]
    api.cut()
    yield
    api.always = well
    if fault == "refused":
        await api.start()


async def followed(api: FakeApi, follows: Following) -> None:
    """Wait until a new Service is here."""
    name = f"new-{api.version}"
    api.put("services", service(name))
    await until(lambda: name in follows.names(), _PATIENCE, _PAUSE)


async def come_back(fault: str, random: Random) -> float:
    """Return the seconds from the API server's return to the first news."""
    async with FakeApi() as api, following(api, pace=Pace(), random=random) as follows:
        await until(lambda: not follows.cluster.pending, _PATIENCE, _PAUSE)
        await followed(api, follows)
        async with away(api, fault):
            await asyncio.sleep(random.uniform(*_AWAY))
        begun = time.perf_counter()
        await followed(api, follows)
        return time.perf_counter() - begun


async def reconnect(options: argparse.Namespace) -> list[Row]:
    """Measure how soon svcdns is back."""
    rows = []
    for fault in FAULTS:
        runs = [come_back(fault, Random(number)) for number in range(options.runs)]
        rows.append((f"reconnect: {fault}", "seconds (p50, p99, max)", describe(await asyncio.gather(*runs))))
    return rows


async def count_requests(fault: str, seconds: float) -> Row:
    """Count what svcdns asks, all kinds being followed, while the API server is away."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise TypeError("no loop that counts")
    async with FakeApi() as api, following(api, *Kind, pace=Pace(), random=Random()) as follows:
        await until(lambda: not follows.cluster.pending, _PATIENCE, _PAUSE)
        async with away(api, fault):
            requests, connects = len(api.seen), loop.connects[api.port]
            await asyncio.sleep(seconds)
            requests, connects = len(api.seen) - requests, loop.connects[api.port] - connects
    counted = f"{requests / seconds:.3f}, {connects / seconds:.3f}"
    return f"rate: {fault}", "requests, connects a second", counted


async def rate(options: argparse.Namespace) -> list[Row]:
    """Measure what an API server that is away has to bear."""
    return await asyncio.gather(*(count_requests(fault, options.seconds) for fault in FAULTS))


async def half_open(options: argparse.Namespace) -> list[Row]:
    """Measure how long it takes to notice that the other end is gone."""
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-m", "bench.half_open", str(options.runs // 10)]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    noticed, back = (describe([float(each) for each in line.split()]) for line in done.stdout.splitlines())
    what = "seconds (p50, p99, max)"
    return [("half-open: noticed", what, noticed), ("half-open: followed again", what, back)]


async def watch_loop(turns: list[float]) -> None:
    """Note how many seconds each turn of the loop took, until cancelled; CPU, so that other processes do not count."""
    last = time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now = time.thread_time()
        turns.append(now - last)
        last = now


async def holds(options: argparse.Namespace) -> list[Row]:
    """Measure how long the loop was held up while a large cluster is read, changed, and read again."""
    memory.tune()
    turns: list[float] = []
    rows: list[Row] = []

    def report(phase: str) -> None:
        ranked = sorted(turns)
        worst = f"{ranked[int(len(ranked) * 0.999)] * 1000:.1f}, {ranked[-1] * 1000:.1f}"
        rows.append((f"holds: {phase}", "ms of CPU in one turn of the loop (p99.9, max)", worst))
        turns.clear()

    size = ("--services", str(options.services), "--endpoints", str(options.endpoints))
    async with far(*size) as api, following(f"http://127.0.0.1:{api.port}", pace=Pace(), random=Random()) as follows:
        watching = asyncio.create_task(watch_loop(turns))
        await until(lambda: not follows.cluster.pending, _PATIENCE, _PAUSE)
        report("first list")
        for _ in range(_CHANGES):
            await api.tell("change")
            await asyncio.sleep(0.05)
        report("20 changes a second")
        for number in range(1, _RELISTS + 1):
            await api.tell("expire")
            await relisted(follows, number)
        report("relists")
        watching.cancel()
    return rows


async def relisted(follows: Following, times: int) -> None:
    """Wait until all kinds were listed again so many times, whatever was said to be the cause."""

    def count() -> Counter[str]:
        lines = re.findall(r'lists_total\{.*kind="(\w+)"\} (\d+)', follows.metrics.expose())
        return sum((Counter({kind: int(value)}) for kind, value in lines), Counter())

    await until(lambda: all(count()[kind.value] > times for kind in KINDS), _PATIENCE, _SELDOM)


async def stateful(options: argparse.Namespace) -> list[Row]:
    """Run random sequences of faults against the model of the reflector's test."""
    chosen = settings(
        ReflectorMachine.TestCase.settings,
        max_examples=options.sequences,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    await asyncio.to_thread(run_state_machine_as_test, ReflectorMachine, settings=chosen)
    return [("stateful", "sequences without divergence", str(options.sequences))]


PARTS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, list[Row]]]] = {
    "half-open": half_open,
    "reconnect": reconnect,
    "rate": rate,
    "holds": holds,
    "stateful": stateful,
}


def describe(times: list[float]) -> str:
    """Write median, 99th percentile and maximum."""
    percentiles = quantiles(times, n=100, method="inclusive")
    return f"{percentiles[49]:.2f}, {percentiles[98]:.2f}, {max(times):.2f}"


async def main(options: argparse.Namespace) -> None:
    """Print a table."""
    rows: list[Row] = []
    for part in options.parts or PARTS:
        begun = time.monotonic()
        rows += await PARTS[part](options)
        print(f"{part}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print("| part | figure | svcdns |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=15)
    parser.add_argument("--sequences", type=int, default=10_000)
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"found {part!r}, expected one of {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    logging.disable()
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main(read_options()))
