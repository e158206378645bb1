"""Run the benchmarks one after the other, and write what they find to RESULTS.md, with two pictures.

    python -m bench [--quick] [--parts [PART...]] [--soak MINUTES] [--into FOLDER]

All of it takes fifty minutes, and the soak, which is run when asked for, its minutes. The quick part takes
two minutes or so; its results are printed and not written. What is not run keeps its last results, with their date.
"""

import argparse
import asyncio
import datetime as dt
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from bench.goals import NOT_MEASURED, judge
from bench.report import Report, say, show, table
from bench.servers import PYTHON
from tests import programs

FOLDER = Path(__file__).parent
SOAK = "soak"

Results = dict[str, dict[str, Any]]
"""The last run of each part, by its name: its date, its command, its lines and its figures."""


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


PARTS = {
    "flood": Part(
        "CPU a query", ("flood",), ("--works", "flood", "20,000/s", "tcp", "tcp-one", "--rounds", "1", "--seconds", "4")
    ),
    "growth": Part("Five times as many Services", ("growth",)),
    "latency": Part("Time to an answer", ("latency",)),
    "churn": Part("A cluster that changes", ("churn",)),
    "scale": Part("A large cluster", ("scale",)),
    "small": Part("A small cluster", ("scale", "--services", "2000", "--endpoints", "2")),
    "start": Part("A start", ("start",)),
    "forwarding": Part("Forwarding", ("forwarding",)),
    "workers": Part("Two workers", ("workers",)),
    "reach": Part("A change and all workers", ("reach",)),
    SOAK: Part("Mixed load", ("soak",)),
}
PROGRAMS = {"coredns": "-version", "knotd": "--version", "dnsmasq": "--version", "unbound": "-V", "dnsperf": "-h"}
"""The programs that are measured or measure, and the flag by which each says its version."""


def run(part: Part, arguments: Sequence[str]) -> Report:
    """Run a benchmark and show what it finds."""
    say(f"{part.title}: python -m bench.{' '.join((part.command[0], *arguments))}")
    report: Report = asyncio.run(importlib.import_module(f"bench.{part.command[0]}").run(arguments))
    show(report)
    return report


def describe() -> Iterator[str]:
    """Yield what the benchmarks ran on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    yield f"machine: {os.cpu_count()} cores of {model[1] if model else platform.machine()}, Linux {platform.release()}"
    told = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=True)
    yield f"svcdns {version('svcdns')}, compiled, with {told.stdout.strip()} of {Path(PYTHON).parent}"
    for name, flag in PROGRAMS.items():
        told = subprocess.run([str(programs.path(name)), flag], capture_output=True, text=True, check=False)
        line = next((line for line in told.stdout.splitlines() if re.search(r"\d\.\d", line)), "of unknown version")
        yield f"{name}: {line.strip()}"


def write(results: Results, folder: Path) -> None:
    """Write the results and draw the pictures."""
    from bench import pictures  # noqa: PLC0415 - a quick run needs no library for it

    text = [
        "# Results",
        "",
        "Written by `python -m bench`. Every table is one run of all servers on the same work, in turns, on its day,",
        "by the command above it; `make bench` runs all of them, some for longer and in more rounds.",
        "",
        *(f"- {line}" for line in describe()),
        "",
        "## Goals",
        "",
        *table(("what", "wanted", "measured", "met"), judge({key: each["figures"] for key, each in results.items()})),
    ]
    drawn = {"flood": ("cpu.svg", pictures.draw_cpu), "latency": ("latency.svg", pictures.draw_latency)}
    for key, part in PARTS.items():
        text += [f"## {part.title}", ""]
        if key not in results:
            text += ["Not run yet.", ""]
            continue
        text += [f"`python -m bench.{results[key]['command']}` on {results[key]['date']}", "", *results[key]["lines"]]
        if key in drawn:
            name, draw = drawn[key]
            draw(results[key]["figures"], folder / name)
            text += [f"![{part.title}]({name})", ""]
    (folder / "RESULTS.md").write_text("\n".join(text).rstrip("\n") + "\n")


def run_all(chosen: dict[str, tuple[str, ...]], folder: Path) -> None:
    """Run parts with their arguments, and write what each finds at once; one that fails does not keep the others."""
    path = folder / "results.json"
    results: Results = json.loads(path.read_text()) if path.exists() else {}
    failed = []
    for key, arguments in chosen.items():
        try:
            lines, figures = run(PARTS[key], arguments)
        except Exception:  # noqa: BLE001 - whatever it is
            traceback.print_exc()
            failed.append(key)
            continue
        command = " ".join((PARTS[key].command[0], *arguments))
        today = dt.datetime.now(tz=dt.UTC).date().isoformat()
        results[key] = {"date": today, "command": command, "lines": lines, "figures": figures}
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        write(results, folder)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def main() -> None:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = [key for key in PARTS if key != SOAK]
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--parts", nargs="*", choices=usual, default=usual, metavar="PART", help=", ".join(usual))
    parser.add_argument("--soak", metavar="MINUTES", help="run the mixed load, too, for so long")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="where to write")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # progress shows in a pipe, too
    for name in ("etcd", "kube-apiserver", *PROGRAMS):
        programs.obtain(name)
    if options.quick:
        found = {key: run(part, part.quick).figures for key, part in PARTS.items() if part.quick}
        reached = [row for row in judge(found) if row[-1] != NOT_MEASURED]
        print(*table(("what", "wanted", "measured", "met"), reached), sep="\n")
        return
    chosen = {key: PARTS[key].command[1:] for key in PARTS if key in options.parts}
    if options.soak:
        chosen[SOAK] = ("--minutes", options.soak)
    run_all(chosen, options.into)


if __name__ == "__main__":
    main()
