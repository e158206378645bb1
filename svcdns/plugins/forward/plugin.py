"""The plugin: which directive takes a query, and which is asked next."""

import asyncio
from collections.abc import Callable, Sequence

from svcdns.chain import Environment, Handler, Plugin
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Response
from svcdns.net.upstream import Upstream
from svcdns.plugins.forward.config import parse
from svcdns.plugins.forward.question import PLUGIN
from svcdns.plugins.forward.stanza import Stanza
from svcdns.plugins.forward.upstreams import Upstreams
from svcdns.roles import Keeper


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read the `forward` directives of a server block."""
    upstreams = environment.keep(PLUGIN, lambda: Upstreams(environment))

    def keep(query: Query, response: Response) -> None:
        keeper = environment.find(Keeper)  # type: ignore[type-abstract]  # a protocol is looked for, none is made
        if keeper is not None:
            keeper.keep(query, response)

    stanzas = [Stanza(parse(directive, upstreams.contexts), environment, upstreams, keep) for directive in directives]
    return Forward(stanzas, environment.clock)


class Forward(Plugin):
    """Sends queries to the upstreams of the first directive that takes their name.

    Args:
        stanzas: The directives in the order of the file.
        clock: Monotonic time in seconds.
    """

    recursive = True
    skippable = True

    def __init__(self, stanzas: Sequence[Stanza], clock: Callable[[], float]) -> None:
        self._stanzas = stanzas
        self._clock = clock

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Answer *query* with what an upstream says."""
        response = None
        deadline = 0.0
        for stanza in self._stanzas:
            if not stanza.takes(query.name):
                continue
            if response is None:
                deadline = self._clock() + stanza.budget
            response = await stanza.ask(query, deadline)
            if not stanza.hands_on(response):
                break
        return await rest(query) if response is None else response

    async def run(self) -> None:
        """Look host names up, and probe upstreams that failed."""
        await asyncio.gather(*(work for stanza in self._stanzas for work in (stanza.resolve(), stanza.probe())))

    @property
    def unready(self) -> str:
        """Which host names have no address yet, and why."""
        return "; ".join(filter(None, (stanza.roster.missing for stanza in self._stanzas)))

    def upstreams(self) -> list[Upstream]:
        """Return every upstream that is asked at the time, each once."""
        return list(dict.fromkeys(upstream for stanza in self._stanzas for upstream in stanza.roster.current))
