"""A `forward` plugin at work, asked without a server around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from svcdns.chain import Environment, chain
from svcdns.dns.message import NOWHERE, Query, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import Rtype
from svcdns.plugins.forward import Forward
from tests.fake_upstream import FakeUpstream
from tests.fakes import Found, environment, refuse, running, set_up

OVER_TCP = NOWHERE._replace(transport="tcp")


class Forwarding:
    """Asks the plugin.

    Attributes:
        plugin: The plugin.
        lent: What was lent to it.
        kept: What it gave to the cache.
        late: Set once there is some.
    """

    def __init__(self, text: str, lent: Environment) -> None:
        self.kept: list[tuple[Query, Response]] = []
        self.late = asyncio.Event()
        if isinstance(lent.find, Found):
            lent.find.plugins.append(self)
        (plugin,) = set_up(text, "forward", lent)
        assert isinstance(plugin, Forward)
        self.plugin = plugin
        self.lent = lent
        self._handler = chain([plugin], refuse)

    def keep(self, query: Query, response: Response) -> None:
        self.kept.append((query, response))
        self.late.set()

    async def ask(self, name: str, rtype: int = Rtype.A, **parts: Any) -> Response:
        return await self._handler(Query(from_text(name), rtype, edns=True, **parts))


@asynccontextmanager
async def forwarding(text: str, **overrides: Any) -> AsyncIterator[Forwarding]:
    """Have the `forward` directives of *text*, the inside of a server block, at work."""
    made = Forwarding(text, environment(**overrides))
    async with running(made.lent, [made.plugin]):
        yield made


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true that has no event."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


def addresses(response: Response) -> list[str]:
    """Return the IPv4 addresses of an answer."""
    rdatas = [rdata for rrset in response.answer if rrset.rtype == Rtype.A for rdata in rrset.rdatas]
    return [".".join(map(str, rdata)) for rdata in rdatas]


def to(fake: FakeUpstream, *options: str) -> str:
    """Write a directive that forwards everything to *fake*."""
    block = "\n".join(options)
    return f"forward . 127.0.0.1:{fake.port} {{\n{block}\n}}"
