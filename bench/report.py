"""What all benchmarks share: options, lines of progress, tables, and what they hand on."""

import argparse
import time
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

_BEGUN = time.monotonic()


class Report(NamedTuple):
    """What a benchmark found.

    Attributes:
        lines: Its tables, in Markdown.
        figures: The medians that goals and pictures are about, by name, such as ``flood: svcdns``.
    """

    lines: list[str]
    figures: dict[str, float]


def parser(description: str | None, **defaults: float) -> argparse.ArgumentParser:
    """Make a parser that has an option for each of *defaults*, which takes numbers of the default's type."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        made.add_argument(f"--{name}", type=type(default), default=default)
    return made


def say(text: str) -> None:
    """Print a line of progress, after the minutes and seconds that have passed."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGUN), 60)
    print(f"[{minutes:2}:{seconds:02}] {text}", flush=True)


def show(report: Report) -> None:
    """Print the tables."""
    print("\n".join(report.lines), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table in Markdown, and an empty line after it."""
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Write the least, the median and the greatest of *values*."""
    ranked = sorted(values)
    return ", ".join(f"{each:,.{digits}f}" for each in (ranked[0], median(ranked), ranked[-1]))
