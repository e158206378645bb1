"""What the application lends to plugins, for tests that need one plugin and no application."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from svcdns.admin import Page
from svcdns.chain import Environment, Plugin, Resource
from svcdns.corefile import Directive, Place, parse
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import ROOT
from svcdns.metrics import Metrics
from svcdns.plugins import DIRECTIVES, load
from svcdns.tasks import Tasks

R = TypeVar("R", bound=Resource)
T = TypeVar("T")


class Kept:
    """Resources by key, as across reloads."""

    def __init__(self) -> None:
        self.resources: dict[Hashable, Resource] = {}

    def __call__(self, key: Hashable, make: Callable[[], R], /) -> R:
        if key not in self.resources:
            self.resources[key] = make()
        return self.resources[key]  # type: ignore[return-value]  # a key names one type


class Spawned:
    """Tasks that outlive a query."""

    def __init__(self) -> None:
        self.tasks = Tasks()

    def __call__(self, work: Coroutine[Any, Any, T], /) -> asyncio.Task[T]:
        return self.tasks.spawn(work)


class Found:
    """The other plugins of the block."""

    def __init__(self, *plugins: object) -> None:
        self.plugins = list(plugins)

    def __call__(self, interface: type[T], /) -> T | None:
        return next((plugin for plugin in self.plugins if isinstance(plugin, interface)), None)


class Pages:
    """The pages of the side ports, by address and path."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], Page] = {}

    def __call__(self, place: Place, address: str, path: str, page: Page, /) -> None:
        self.pages[address, path] = page


class Clock:
    """Time that stands still until it is turned."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Script:
    """The end of a chain: answers queries one after the other as it is told, the last answer again and again.

    Attributes:
        asked: The queries that came.
    """

    def __init__(self, *answers: Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[Query] = []

    async def __call__(self, query: Query) -> Response:
        self.asked.append(query)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def refuse(query: Query) -> Response:
    """Answer what the plugin under test left to the rest of the chain."""
    return Response(Rcode.REFUSED)


async def settle() -> None:
    """Have nothing counted, since nothing is answered again."""


def environment(**overrides: Any) -> Environment:
    """Make an environment; keyword arguments replace its parts."""
    parts: dict[str, Any] = {
        "zones": (ROOT,),
        "place": tuple,
        "recursive": lambda: False,
        "clock": time.monotonic,
        "wall": time.time,
        "metrics": Metrics(),
        "resolve": refuse,
        "settle": settle,
        "spawn": Spawned(),
        "find": Found(),
        "keep": Kept(),
        "serve": Pages(),
        "unready": dict,
        "unwell": str,
        "workers": tuple,
        "listen": lambda place, addresses: None,
        "listening": list,
        "look_again": lambda: None,
        "stopping": lambda: False,
        "warn": logging.getLogger(__name__).warning,
    }
    return Environment(**(parts | overrides))


def directives(text: str, name: str, path: str = "Corefile") -> tuple[Directive, ...]:
    """Parse the inside of a server block and return its directives called *name*."""
    corefile = parse(
        f". {{\n{text}\n}}", path, known=DIRECTIVES, environ={}, read=lambda _, __: (), warn=lambda _: None
    )
    return corefile.blocks[0].named(name)


def set_up(text: str, name: str, lent: Environment, path: str = "Corefile") -> list[Plugin]:
    """Set the plugin *name* up as the inside of a server block says."""
    made = load(name).setup(directives(text, name, path), lent)
    return [made] if isinstance(made, Plugin) else list(made)


@asynccontextmanager
async def running(lent: Environment, plugins: Sequence[Plugin]) -> AsyncIterator[None]:
    """Do the background work of plugins and of the resources that they keep."""
    assert isinstance(lent.keep, Kept)
    assert isinstance(lent.spawn, Spawned)
    workers: list[Plugin | Resource] = [*lent.keep.resources.values(), *plugins]
    tasks = [asyncio.ensure_future(worker.run()) for worker in workers]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await lent.spawn.tasks.cancel()
        await asyncio.sleep(0)  # transports that were aborted close in the loop's next turn
    failures = [each for each in results if isinstance(each, Exception)]
    assert failures == []
