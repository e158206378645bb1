"""Counters, gauges and histograms as plain numbers, and their text as CoreDNS writes it.

A part of svcdns asks `Metrics` once for a family and a family once for each child, keeps the child, and then changes
nothing but its numbers. Where several processes serve, each has its own, and one of them adds up what the others `take`
from theirs. Names, labels and buckets that CoreDNS has are CoreDNS's; what it lacks is called ``svcdns_*``.

Source: Prometheus, exposition formats, text format 0.0.4; numbers are written as Go's `strconv` writes them.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from math import isfinite, isnan
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

TIME_BUCKETS = tuple(0.00025 * 2**power for power in range(16))
"""Seconds: durations of queries, ours and upstreams'."""

SLIM_TIME_BUCKETS = (0.00025, 0.0025, 0.025, 0.25, 2.5)
"""Seconds: durations of the server's own health probe."""

SIZE_BUCKETS = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000)
"""Octets: sizes of messages."""

PROGRAMMING_BUCKETS = tuple(0.001 * 2**power for power in range(20))
"""Seconds: from a change in the cluster to its records."""

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds: requests to the API server."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_EXPONENT = 1e6
_FIRST_PYTHON_EXPONENT = 1e16
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Child(Protocol):
    """One time series, or one set of them, within a family."""

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """Write the samples, one in a line; *labels* are as `label_text` makes them."""

    def take(self) -> Any:
        """Return what another process is to `add`, and begin anew where that is a count; None for nothing."""

    def add(self, taken: Any, source: Hashable) -> None:
        """Take in what *source*, another process, gave away."""


class Counter:
    """A number that only rises: ``counter.value += 1``."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """Write the number."""
        yield sample(name, labels, self.value)

    def take(self) -> float | None:
        """Return the number, and begin at zero."""
        taken, self.value = self.value, 0.0
        return taken or None

    def add(self, taken: float, source: Hashable) -> None:  # noqa: ARG002 - a count stays, whoever's it was
        """Add what another process counted."""
        self.value += taken


class Gauge:
    """A number that rises and falls, or one that is found out when it is read.

    Attributes:
        value: The number, where nobody is asked for it; it is the same in all processes.
        elsewhere: What other processes have, which is added to a number that is found out.
    """

    __slots__ = ("_read", "elsewhere", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._read: Callable[[], float] | None = None
        self.elsewhere: dict[Hashable, float] = {}

    def follow(self, read: Callable[[], float]) -> None:
        """Ask *read* for the number from now on."""
        self._read = read

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """Write the number as it is now."""
        own = self.value if self._read is None else self._read()
        yield sample(name, labels, own + sum(self.elsewhere.values()))

    def take(self) -> float | None:
        """Return the number, if it is found out."""
        return None if self._read is None else self._read()

    def add(self, taken: float, source: Hashable) -> None:
        """Add what another process has, in the place of what it had."""
        self.elsewhere[source] = taken


class Observed(NamedTuple):
    """What a `Histogram` has, as another process is told."""

    bounds: Sequence[float]
    counts: list[int]
    total: float


class Histogram:
    """How many observations fell into each bucket.

    Attributes:
        bounds: The highest value of each bucket, rising; one without bound follows.
        counts: The observations in each bucket alone.
        total: The sum of all observations.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count *value*, which was seen so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def lines(self, name: str, labels: str) -> Iterable[str]:
        """Write the buckets, each with what the lower ones hold, then sum and count."""
        before = f"{labels}," if labels else ""
        sums = list(accumulate(self.counts))
        for bound, count in zip((*map(number, self.bounds), "+Inf"), sums, strict=True):
            yield sample(f"{name}_bucket", f'{before}le="{bound}"', count)
        yield sample(f"{name}_sum", labels, self.total)
        yield sample(f"{name}_count", labels, sums[-1])

    def take(self) -> Observed | None:
        """Return what was observed, and begin at zero."""
        taken = Observed(self.bounds, self.counts, self.total)
        self.counts, self.total = [0] * len(self.counts), 0.0
        return taken if any(taken.counts) else None

    def add(self, taken: Observed, source: Hashable) -> None:  # noqa: ARG002 - as for a counter
        """Add what another process observed."""
        self.counts = [own + other for own, other in zip(self.counts, taken.counts, strict=True)]
        self.total += taken.total


C = TypeVar("C", bound=Child)


class Exposition(NamedTuple):
    """A family as the text shows it.

    Attributes:
        name: The name of its series, without the endings that a histogram adds.
        description: What it counts, for people.
        kind: ``counter``, ``gauge`` or ``histogram``.
        lines: Its samples.
    """

    name: str
    description: str
    kind: str
    lines: Iterable[str]


class Report(NamedTuple):
    """What one process has of a family, for another one to add.

    Attributes:
        name: The family's name.
        description: What it counts, for people.
        kind: ``counter``, ``gauge`` or ``histogram``.
        label_names: Its labels.
        taken: What was taken of each child, by the values of its labels.
    """

    name: str
    description: str
    kind: str
    label_names: tuple[str, ...]
    taken: dict[tuple[str, ...], Any]


class Family(Generic[C]):
    """The children of one name, told apart by the values of their labels.

    Args:
        name: The name of the series.
        description: What is counted, for people.
        kind: ``counter``, ``gauge`` or ``histogram``.
        label_names: The labels that each child gives a value to.
        make: Makes a child.
    """

    __slots__ = ("_children", "_make", "_texts", "description", "kind", "label_names", "name")

    def __init__(
        self, name: str, description: str, kind: str, label_names: tuple[str, ...], make: Callable[[], C]
    ) -> None:
        self.name = name
        self.description = description
        self.kind = kind
        self.label_names = label_names
        self._make = make
        self._children: dict[tuple[str, ...], C] = {}
        self._texts: dict[tuple[str, ...], str] = {}

    def labels(self, *values: str) -> C:
        """Return the child with these label values, the same one each time."""
        child = self._children.get(values)
        if child is None:
            text = label_text(dict(zip(self.label_names, values, strict=True)))
            child = self._children[values] = self._make()
            self._texts[values] = text
        return child

    def clear(self) -> None:
        """Forget all children: those that come again begin at zero, those that do not are shown no more."""
        self._children.clear()
        self._texts.clear()

    def expose(self) -> Exposition:
        """Write every child, in the order of the label text."""
        lines: list[str] = []
        for values, text in sorted(self._texts.items(), key=lambda item: item[1]):
            lines += self._children[values].lines(self.name, text)
        return Exposition(self.name, self.description, self.kind, lines)

    def take(self) -> Report:
        """Return what another process is to add, and begin to count anew."""
        taken = {values: child.take() for values, child in self._children.items()}
        some = {values: each for values, each in taken.items() if each is not None}
        return Report(self.name, self.description, self.kind, self.label_names, some)

    def add(self, report: Report, source: Hashable) -> None:
        """Take in what another process has of this family."""
        for values, taken in report.taken.items():
            self.labels(*values).add(taken, source)

    def forget(self, source: Hashable) -> None:
        """Take in that another process is gone."""
        for child in self._children.values():
            if isinstance(child, Gauge):
                child.elsewhere.pop(source, None)


class Metrics:
    """All families of the process, and of others that it adds up."""

    __slots__ = ("_families",)

    def __init__(self) -> None:
        self._families: dict[str, Family[Any]] = {}

    def counter(self, name: str, description: str, label_names: Sequence[str] = ()) -> Family[Counter]:
        """Return the family of counters called *name*, made on the first call."""
        return self._family(Family(name, description, "counter", tuple(label_names), Counter))

    def gauge(self, name: str, description: str, label_names: Sequence[str] = ()) -> Family[Gauge]:
        """Return the family of gauges called *name*, made on the first call."""
        return self._family(Family(name, description, "gauge", tuple(label_names), Gauge))

    def histogram(
        self, name: str, description: str, label_names: Sequence[str] = (), bounds: Sequence[float] = TIME_BUCKETS
    ) -> Family[Histogram]:
        """Return the family of histograms called *name*, made on the first call."""
        bounds = tuple(bounds)
        return self._family(Family(name, description, "histogram", tuple(label_names), partial(Histogram, bounds)))

    def take(self) -> list[Report]:
        """Return what another process is to `add`, and begin to count anew."""
        reports = [family.take() for family in self._families.values()]
        return [report for report in reports if report.taken]

    def add(self, reports: Iterable[Report], source: Hashable) -> None:
        """Add what *source*, another process, has counted since it was asked last, and what it has now."""
        for report in reports:
            name, description, kind, label_names, taken = report
            match kind:
                case "counter":
                    self.counter(name, description, label_names).add(report, source)
                case "gauge":
                    self.gauge(name, description, label_names).add(report, source)
                case _:
                    bounds = next(iter(taken.values())).bounds
                    self.histogram(name, description, label_names, bounds).add(report, source)

    def forget(self, source: Hashable) -> None:
        """Take in that *source* is gone: what it counted stays, what it had does not."""
        for family in self._families.values():
            family.forget(source)

    def expose(self, others: Iterable[Exposition] = ()) -> str:
        """Write every family that has a child, and those of *others*, in the order of their names."""
        shown = [*(family.expose() for family in self._families.values()), *others]
        text: list[str] = []
        for name, description, kind, lines in sorted(shown, key=lambda each: each.name):
            if lines:
                text += (f"# HELP {name} {description.translate(_HELP_ESCAPES)}", f"# TYPE {name} {kind}", *lines)
        return "\n".join((*text, ""))

    def _family(self, wanted: Family[C]) -> Family[C]:
        family: Family[C] = self._families.setdefault(wanted.name, wanted)
        if (family.kind, family.label_names) != (wanted.kind, wanted.label_names):
            raise ValueError(f"{wanted.name} is a {family.kind} with the labels {family.label_names}")
        return family


def sample(name: str, labels: str, value: float) -> str:
    """Write one sample; *labels* are as `label_text` makes them."""
    return f"{name}{{{labels}}} {number(value)}" if labels else f"{name} {number(value)}"


def label_text(labels: Mapping[str, str]) -> str:
    """Write labels in the order of their names, as Go's client does, with what is special in their values escaped."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(labels.items()))


def number(value: float) -> str:
    """Write a number with as few digits as tell it from all others, from a million on with an exponent."""
    if not isfinite(value):
        return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"
    text = repr(float(value)).removesuffix(".0")
    if not _FIRST_EXPONENT <= abs(value) < _FIRST_PYTHON_EXPONENT:
        return text
    sign = text[: value < 0]
    whole, _, fraction = text[len(sign) :].partition(".")
    digits = (whole + fraction).rstrip("0")
    return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+{len(whole) - 1:02d}"
