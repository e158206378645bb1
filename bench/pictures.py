"""Pictures of the benchmarks' tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLOURS = {"svcdns": "#1b7f5c", "CoreDNS": "#9aa5b1", "Knot": "#5b7fb8"}
TITLES = {
    "flood": "UDP flood",
    "20,000/s": "UDP, 20,000/s",
    "tcp": "TCP",
    "case": "random letter case",
    "cookie": "random cookies",
}

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "svcdns", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def cells(lines: list[str]) -> Iterator[list[str]]:
    """Yield the rows of a table, as cells, without its head."""
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def draw_cpu(lines: list[str], path: Path) -> None:
    """Draw the median CPU a query by work and server, from the table of `bench.flood`."""
    found: dict[str, dict[str, float]] = {}
    for work, server, _, _, costs, _ in cells(lines):
        found.setdefault(work, {})[server] = float(costs.split(",")[1])
    works = [work for work in TITLES if work in found]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.8 / len(COLOURS)
    for place, (server, colour) in enumerate(COLOURS.items()):
        at = [index + (place - 1) * width for index in range(len(works))]
        bars = axes.bar(at, [found[work][server] for work in works], width, label=server, color=colour)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
    axes.set_xticks(range(len(works)), [TITLES[work] for work in works])
    axes.set_ylabel("CPU a query, µs")
    axes.legend(frameon=False)
    _save(figure, path)


def draw_latency(lines: list[str], path: Path) -> None:
    """Draw p50 and p99 by rate and server, from the table of `bench.latency`."""
    servers = [re.split(r"\s", cell.strip())[0] for cell in lines[0].strip("|").split("|")[1:]]
    rows = [(int(rate.replace(",", "")), times) for rate, *times in cells(lines)]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for column, server in enumerate(servers):
        for place, style, label in ((0, "-", "p50"), (1, ":", "p99")):
            values = [float(times[column].split(",")[place]) for _, times in rows]
            axes.plot(
                [rate for rate, _ in rows],
                values,
                style,
                marker="o",
                ms=3,
                color=COLOURS[server],
                label=f"{server} {label}",
            )
    axes.set_yscale("log")
    axes.set_xlabel("queries a second")
    axes.set_ylabel("time to an answer, µs")
    axes.legend(frameon=False, ncols=3, fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
