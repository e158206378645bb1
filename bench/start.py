"""Where a start's time goes: each stage from exec to the first right answer; svcdns alone.

    python -m bench.start [--services 2000] [--endpoints 2] [--rounds 11]

Medians over the rounds. How `bench.timeline` tells the stages is said there.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.cluster import names, seeded, workspace, write_corefile
from bench.report import Report, parser, say, show, table
from bench.servers import command_of, run_compiled, serving
from tests.cluster.apiserver import ApiServer
from tests.ports import free_port

READY = "TLS, lists, decoding, first answer"


def measure(server: ApiServer, folder: Path, name: str) -> dict[str, tuple[float, float]]:
    """Start svcdns once and return the seconds that each stage took, by the clock and of CPU."""
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    marks = folder / "marks"
    *_, option, corefile = command_of("svcdns", write_corefile(server, ports), folder)
    begun = time.monotonic()
    with serving([*run_compiled("bench.timeline"), str(marks), option, corefile], ports["port"], folder) as running:
        ready = begun + running.wait_for(name), running.cpu()
    found, before = {}, (begun, 0.0)
    for line in (*marks.read_text(encoding="utf-8").splitlines(), " ".join(map(str, (*ready, READY)))):
        clock, cpu, stage = line.split(" ", 2)
        after = float(clock), float(cpu)
        found[stage] = after[0] - before[0], after[1] - before[1]
        before = after
    return found


async def run(arguments: Sequence[str] | None = None) -> Report:
    """Measure several starts; the command line is taken if there are no arguments."""
    options = parser(__doc__, services=2000, endpoints=2, rounds=11).parse_args(arguments)
    space, last = max(names(options.services))
    name = f"{last}.{space}.svc.cluster.local"
    starts = []
    async with seeded(options.services, options.endpoints) as cluster:
        for turn in range(options.rounds):
            say(f"start {turn + 1} of {options.rounds}")
            folder = workspace(cluster.folder, f"start-{turn}")
            starts.append(await asyncio.to_thread(measure, cluster.server, folder, name))
    rows = []
    since = 0.0
    for stage in starts[0]:
        clock, cpu = (1000 * median(start[stage][which] for start in starts) for which in (0, 1))
        since += clock
        rows.append([stage, f"{clock:.0f}", f"{cpu:.0f}", f"{since:.0f}"])
    return Report(table(("stage", "ms", "of CPU", "ms since the start"), rows), {"ready, ms": since})


if __name__ == "__main__":
    show(asyncio.run(run()))
