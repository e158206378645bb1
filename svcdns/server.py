"""What answers queries in one process: listeners, the chains behind them, and the work that these want done.

Most servers are one process. Where several serve together, each has one of these; see `workers`.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import partial

from svcdns.assembly import Assembly
from svcdns.chain import Lent, Plugin, Resource
from svcdns.corefile import Corefile
from svcdns.dns.message import Query, Response
from svcdns.metrics import Metrics
from svcdns.net.connections import Connections, Limits
from svcdns.net.listeners import Endpoint, Listeners, Share
from svcdns.net.sockets import Answerer, Counters, MakeAnswerer, raise_file_limit
from svcdns.responder import Responder, Routes, Surroundings
from svcdns.tasks import Tasks
from svcdns.traffic import Traffic

log = logging.getLogger(__name__)


class Server:
    """Answers the queries that come to this process.

    Args:
        first: Whether it is the first process of the server, or the only one.

    Attributes:
        metrics: What is counted here.
        tasks: The tasks of the process.
        lent: What plugins are lent: in a process that has no side ports and reads no Corefile.
        assembly: The Corefile in force.
        listeners: What listens, by its place.
    """

    def __init__(self, *, first: bool) -> None:
        self.metrics = Metrics()
        self.tasks = Tasks()
        self.assembly = Assembly(Corefile(()))
        self.listeners: dict[Endpoint, Listeners] = {}
        self.lent = Lent(
            clock=time.monotonic,
            wall=time.time,
            metrics=self.metrics,
            resolve=self._resolve,
            settle=self.settle,
            spawn=self.tasks.spawn,
            unready=self.unready,
            unwell=str,
            workers=tuple,
            listening=self.addresses,
            look_again=lambda: None,
            stopping=lambda: False,
            warn=lambda _: None,  # the first process says it
        )
        self._first = first
        self._counters = Counters.of(self.metrics)
        files = raise_file_limit()
        self._connections = Connections(self._counters, Limits(connections=min(files // 2, Limits().connections)))
        traffic = Traffic(self.metrics)
        self._surroundings = Surroundings(traffic.count_dropped, self._counters, time.monotonic)
        self._routes: dict[str, Routes] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._preparing = False

    def addresses(self) -> list[tuple[str, int]]:
        """Return the addresses and ports that queries are answered at, without those that a reload is closing."""
        routes = self.assembly.routes
        return [each for endpoint, held in self.listeners.items() if endpoint in routes for each in held.addresses]

    def unready(self) -> dict[str, str]:
        """Return the names of plugins that cannot answer yet, each with its reasons."""
        return self.assembly.unready()

    def listen(self, assembly: Assembly, endpoint: Endpoint, shares: list[Share]) -> Listeners:
        """Return listeners on open sockets, which answer as *assembly* says once they are started."""
        routes = Routes(assembly.routes[endpoint].values())
        return Listeners(endpoint, shares, self._responding(routes), self._counters, self._connections)

    def begin(self, parts: Iterable[Plugin | Resource]) -> None:
        """Do the background work of *parts*, unless that is being done."""
        for part in parts:
            if id(part) not in self._running:
                self._running[id(part)] = self.tasks.keep_running(type(part).__name__, part.run)

    async def end(self, parts: Iterable[Plugin | Resource]) -> None:
        """End the background work of *parts*."""
        await self.tasks.cancel([self._running.pop(id(part)) for part in parts if id(part) in self._running])

    async def put_in_force(self, assembly: Assembly) -> None:
        """Hand every listener to *assembly*, start its work, and end what only its predecessor had."""
        before, self.assembly = self.assembly, assembly
        replaced = self._answerers()
        self._routes = {endpoint.label: Routes(routes.values()) for endpoint, routes in assembly.routes.items()}
        for endpoint in self.listeners.keys() & assembly.routes.keys():
            self.listeners[endpoint].hand_to(self._responding(self._routes[endpoint.label]))
        self.begin(assembly.resources.values())
        self.begin(plugin for _, plugin in assembly.plugins() if self._first or not plugin.singular)
        await _settle(replaced)
        gone = [plugin for _, plugin in before.plugins()]
        dropped = [each for key, each in before.resources.items() if key not in assembly.resources]
        await self.end([*gone, *dropped])

    def learn(self, resource: Resource, change: object) -> None:
        """Have a resource take in what another process was told, and plugins prepare."""
        resource.learn(change)
        self.prepare_soon()

    def prepare_soon(self) -> None:
        """Have plugins prepare for questions, after a resource changed, when what is at hand is done."""
        if not self._preparing:
            self._preparing = True
            asyncio.get_running_loop().call_soon(self._prepare)

    async def settle(self) -> None:
        """Have everything counted that was answered here."""
        await _settle(self._answerers())

    async def stop_listening(self) -> None:
        """Answer what has come, and take in nothing new."""
        await asyncio.gather(*(listeners.stop() for listeners in self.listeners.values()))

    def _prepare(self) -> None:
        self._preparing = False
        for name, plugin in self.assembly.plugins():
            try:
                plugin.prepare()
            except Exception:
                log.exception("%s cannot prepare for questions", name)

    def _responding(self, routes: Routes) -> MakeAnswerer:
        return partial(Responder, routes, self._surroundings)

    def _answerers(self) -> list[Answerer]:
        return [answerer for listeners in self.listeners.values() for answerer in listeners.answerers]

    async def _resolve(self, query: Query) -> Response:
        """Ask the responder of the listener that the query came in through."""
        routes = self._routes.get(query.listener.label) or next(iter(self._routes.values()))
        return await routes.resolve(query)


async def _settle(answerers: Iterable[Answerer]) -> None:
    for answerer in answerers:
        await answerer.settle()
