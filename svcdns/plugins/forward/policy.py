"""In which order upstreams are asked."""

import random
from collections.abc import Callable, Sequence
from itertools import count

from svcdns.net.upstream import Upstream

Policy = Callable[[Sequence[Upstream]], Sequence[Upstream]]


def _random() -> Policy:
    draw = random.SystemRandom()
    return lambda upstreams: draw.sample(upstreams, len(upstreams))


def _round_robin() -> Policy:
    turns = count()

    def rotate(upstreams: Sequence[Upstream]) -> Sequence[Upstream]:
        start = next(turns) % len(upstreams)
        return [*upstreams[start:], *upstreams[:start]]

    return rotate


def _sequential() -> Policy:
    return lambda upstreams: upstreams


POLICIES: dict[str, Callable[[], Policy]] = {
    "random": _random,
    "round_robin": _round_robin,
    "sequential": _sequential,
}
"""Each policy's name, and what makes one."""
