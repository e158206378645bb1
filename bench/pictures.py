"""Pictures of what the benchmarks found."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLOURS = {"svcdns": "#1b7f5c", "CoreDNS": "#9aa5b1", "Knot": "#5b7fb8", "dnsmasq": "#c98f3c"}
TITLES = {
    "flood": "UDP flood",
    "20,000/s": "UDP, 20,000/s",
    "tcp": "TCP",
    "case": "random letter case",
    "cookie": "random cookies",
}

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "svcdns", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def draw_cpu(figures: dict[str, float], path: Path) -> None:
    """Draw the median CPU a query by work and server, from what `bench.flood` found."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.8 / len(COLOURS)
    for place, (server, colour) in enumerate(COLOURS.items()):
        taken = {index: figures.get(f"{work}: {server}") for index, work in enumerate(TITLES)}
        costs = {index + (place - (len(COLOURS) - 1) / 2) * width: cost for index, cost in taken.items() if cost}
        bars = axes.bar(list(costs), list(costs.values()), width, label=server, color=colour)
        axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=1)
    axes.set_xticks(range(len(TITLES)), TITLES.values())
    axes.set_ylabel("CPU a query, µs")
    axes.legend(frameon=False)
    _save(figure, path)


def draw_latency(figures: dict[str, float], path: Path) -> None:
    """Draw p50 and p99 by rate and server, from what `bench.latency` found."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for server, colour in COLOURS.items():
        for percentile, style in (("p50", "-"), ("p99", ":")):
            points = list(_points(figures, f" {percentile}: {server}"))
            if points:
                label = f"{server} {percentile}"
                axes.plot(*zip(*points, strict=True), style, marker="o", ms=3, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("queries a second")
    axes.set_ylabel("time to an answer, µs")
    axes.legend(frameon=False, ncols=3, fontsize=8)
    _save(figure, path)


def _points(figures: dict[str, float], ending: str) -> Iterator[tuple[int, float]]:
    """Yield rates and times from the figures whose names end so."""
    for name, value in figures.items():
        if name.endswith(ending):
            yield int(name.removesuffix(ending)), value


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
