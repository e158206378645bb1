"""What svcdns is to reach, and whether it does."""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

RELATIONS: dict[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


class Goal(NamedTuple):
    """A figure of a benchmark, and what it must be.

    Attributes:
        title: What it is, for readers.
        figure: Its name in the benchmark's report.
        relation: One of `RELATIONS`.
        bound: What it is compared with.
    """

    title: str
    figure: str
    relation: str
    bound: float


GOALS = {
    "flood": (
        Goal("UDP flood, CPU a query: CoreDNS / svcdns", "flood: CoreDNS / svcdns", "≥", 12),
        Goal("UDP flood, CPU a query: svcdns / Knot", "flood: svcdns / Knot", "≤", 1.9),
        Goal("UDP at 20,000/s, CPU a query: CoreDNS / svcdns", "20,000/s: CoreDNS / svcdns", "≥", 7),
        Goal("TCP, pipelined, CPU a query: CoreDNS / svcdns", "tcp: CoreDNS / svcdns", "≥", 3),
        Goal("TCP, one by one, CPU a query: CoreDNS / svcdns", "tcp-one: CoreDNS / svcdns", "≥", 3),
        Goal("CPU a query: random letter case / plain", "case / plain: svcdns", "≤", 2),
        Goal("CPU a query: random cookies / plain", "cookie / plain: svcdns", "≤", 2),
    ),
    "growth": (Goal("CPU a query: 10,000 Services / 2,000", "large / small: svcdns", "≤", 1.1),),
    "churn": (
        Goal("CPU a query: cluster that changes / quiet", "busy / quiet: svcdns", "≤", 1.3),
        Goal("cluster that changes, 20,000/s, p99 of an answer: ms", "busy p99: svcdns", "<", 2),
    ),
    "scale": (
        Goal("10,000 Services, memory at ready: svcdns / CoreDNS", "memory at ready: svcdns / CoreDNS", "≤", 0.6),
        Goal("10,000 Services, memory after load: svcdns / CoreDNS", "memory after load: svcdns / CoreDNS", "≤", 0.6),
        Goal("10,000 Services, start to ready: svcdns / CoreDNS", "ready: svcdns / CoreDNS", "≤", 1.2),
        Goal("10,000 Services, created to resolvable, p50: svcdns / CoreDNS", "created p50: svcdns / CoreDNS", "≤", 1),
        Goal("10,000 Services, created to resolvable, p99: svcdns / CoreDNS", "created p99: svcdns / CoreDNS", "≤", 1),
    ),
    "small": (Goal("2,000 Services, start to ready: s", "ready: svcdns", "≤", 0.6),),
    "forwarding": (
        Goal("in the cache, CPU a query: CoreDNS / svcdns", "answers in the cache: CoreDNS / svcdns", "≥", 3),
        Goal("in the cache, CPU a query: svcdns / dnsmasq", "answers in the cache: svcdns / dnsmasq", "≤", 1),
        Goal("each query new, CPU a query: CoreDNS / svcdns", "a cache, each name new: CoreDNS / svcdns", "≥", 1),
        Goal("without a cache, CPU a query: CoreDNS / svcdns", "without a cache: CoreDNS / svcdns", "≥", 1),
    ),
    "workers": (
        Goal("2,000 Services, CPU a query: two workers / one", "CPU, 2000 Services: 2", "≤", 1.1),
        Goal("10,000 Services, CPU a query: two workers / one", "CPU, 10000 Services: 2", "≤", 1.1),
        Goal("2,000 Services, the same load for each worker: two / one", "steady CPU, 2000 Services: 2", "≤", 1.1),
        Goal("10,000 Services, the same load for each worker: two / one", "steady CPU, 10000 Services: 2", "≤", 1.1),
        Goal("2,000 Services, memory at ready: two workers / one", "memory at ready, 2000 Services: 2", "≤", 1.5),
        Goal("2,000 Services, memory after load: two workers / one", "memory after load, 2000 Services: 2", "≤", 1.5),
        Goal("10,000 Services, memory at ready: two workers / one", "memory at ready, 10000 Services: 2", "≤", 1.5),
        Goal("10,000 Services, memory after load: two workers / one", "memory after load, 10000 Services: 2", "≤", 1.5),
    ),
    "reach": (
        Goal("two workers, created until in all answers, p50: svcdns / CoreDNS", "p50: two workers / CoreDNS", "≤", 1),
        Goal("two workers, created until in all answers, p99: svcdns / CoreDNS", "p99: two workers / CoreDNS", "≤", 1),
    ),
    "soak": (Goal("mixed load, growth of memory: MB an hour", "slope", "<", 1),),
}
"""The goals by the part of `bench.__main__` that finds their figures."""


NOT_MEASURED = "not measured"


def judge(figures: Mapping[str, Mapping[str, float]]) -> Iterator[list[str]]:
    """Yield a row for each goal: its title, what it must be, what it is, and whether that will do.

    Args:
        figures: The figures of each part that was run, by part and name. Results of an earlier day may lack some.
    """
    for part, goals in GOALS.items():
        for goal in goals:
            wanted = f"{goal.relation} {goal.bound:g}"
            found = figures.get(part, {}).get(goal.figure)
            if found is None:
                yield [goal.title, wanted, "", NOT_MEASURED]
                continue
            met = RELATIONS[goal.relation](found, goal.bound)
            yield [goal.title, wanted, f"{found:.2f}", "yes" if met else "**no**"]
