"""Run the benchmarks one after the other, and write what they print to RESULTS.md, with two pictures.

    python -m bench [--quick] [--into FOLDER]

All of it takes about half an hour, the quick part two minutes or so; quick results are printed and not written.
"""

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tests import programs

FOLDER = Path(__file__).parent


class Part(NamedTuple):
    """A benchmark.

    Attributes:
        title: Its heading.
        command: Its module and arguments.
        quick: The arguments of a quick run; None where there is none.
    """

    title: str
    command: tuple[str, ...]
    quick: tuple[str, ...] | None = None


PARTS = (
    Part("CPU a query", ("flood",), ("--works", "flood", "20,000/s", "tcp", "--rounds", "1", "--seconds", "5")),
    Part("Five times as many Services", ("flood", "--services", "10000", "--works", "flood")),
    Part("Time to an answer", ("latency",)),
    Part("A cluster that changes", ("churn",)),
    Part("A large cluster", ("scale",)),
    Part("A small cluster", ("scale", "--services", "2000", "--endpoints", "2")),
    Part("Forwarding", ("forwarding",)),
)


def run(part: Part, *, quick: bool) -> list[str]:
    """Run a benchmark, show what it prints, and return the lines of its tables."""
    module, *arguments = part.command
    command = [sys.executable, "-m", f"bench.{module}", *(part.quick or () if quick else arguments)]
    print(f"\n== {part.title}: python {' '.join(command[1:])}", flush=True)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if line.startswith("|"):
                lines.append(line.rstrip("\n"))
            elif lines and lines[-1]:
                lines.append("")
    if process.returncode:
        raise SystemExit(f"{part.title} failed with exit code {process.returncode}")
    return lines


def describe() -> Iterator[str]:
    """Yield what the benchmarks ran on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    yield f"machine: {os.cpu_count()} cores of {model[1] if model else platform.machine()}, Linux {platform.release()}"
    yield f"svcdns {version('svcdns')} with Python {platform.python_version()}"
    for name, flag in (("coredns", "-version"), ("knotd", "--version"), ("dnsperf", "-h")):
        told = subprocess.run([str(programs.path(name)), flag], capture_output=True, text=True, check=False)
        line = next((line for line in told.stdout.splitlines() if re.search(r"\d\.\d", line)), "of unknown version")
        yield f"{name}: {line.strip()}"


def write(found: dict[Part, list[str]], folder: Path) -> None:
    """Write the results and draw the pictures."""
    from bench import pictures  # noqa: PLC0415 - a quick run needs no library for it

    today = dt.datetime.now(tz=dt.UTC).date()
    text = [
        "# Results",
        "",
        f"Written by `make bench` on {today}. Every table is one run of all servers on the same work, in turns.",
        "",
        *(f"- {line}" for line in describe()),
        "",
        "![CPU a query](cpu.svg)",
        "",
        "![Time to an answer](latency.svg)",
    ]
    for part, lines in found.items():
        text += ["", f"## {part.title}", "", f"`python -m bench.{' '.join(part.command)}`", "", *lines]
    (folder / "RESULTS.md").write_text("\n".join(text).rstrip("\n") + "\n")
    tables = {part.title: lines for part, lines in found.items()}
    pictures.draw_cpu(tables["CPU a query"], folder / "cpu.svg")
    pictures.draw_latency(tables["Time to an answer"], folder / "latency.svg")


def main() -> None:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where to write")
    options = parser.parse_args()
    for name in ("etcd", "kube-apiserver", "coredns", "dnsperf", "knotd"):
        programs.obtain(name)
    chosen = [part for part in PARTS if part.quick or not options.quick]
    found = {part: run(part, quick=options.quick) for part in chosen}
    if not options.quick:
        write(found, options.into)


if __name__ == "__main__":
    main()
