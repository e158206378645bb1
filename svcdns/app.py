"""The process: sockets, side ports, tasks, signals; start, reload and stop.

A reload builds everything that the new Corefile asks for beside what serves, and then puts it in force with one
assignment a listener; what both Corefiles ask for - sockets, side ports, watches, caches - lives on. A Corefile that
cannot be used changes nothing. A stop serves on through the lame-duck time, then answers what is in flight.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import TypeVar

from svcdns import admin
from svcdns.assembly import Assembly, Lent, assemble
from svcdns.chain import Plugin, Resource
from svcdns.corefile import Corefile, Place, parse
from svcdns.corefile_files import read_import
from svcdns.dns.message import Query, Response
from svcdns.dns.name import to_text
from svcdns.errors import ConfigError, SvcdnsError
from svcdns.metrics import Metrics
from svcdns.net.connections import Connections, Limits
from svcdns.net.listeners import EVERYWHERE, Endpoint, Listeners
from svcdns.net.sockets import Answerer, BindError, Counters, MakeAnswerer, is_any, raise_file_limit, sharing
from svcdns.plugins import DIRECTIVES
from svcdns.responder import Responder, Routes, Surroundings
from svcdns.tasks import Tasks
from svcdns.traffic import Traffic

STANDARD_INPUT = "stdin"

_FORCED = 2

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Attributes:
        path: The Corefile's path; ``stdin`` for standard input.
        port: The port of server blocks that name none.
    """

    path: str = "Corefile"
    port: int = 53


class App:
    """A server from start to stop.

    Args:
        settings: What the command line says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._counters = Counters.of(self._metrics)
        self._traffic = Traffic(self._metrics)
        files = raise_file_limit()
        self._connections = Connections(self._counters, Limits(connections=min(files // 2, Limits().connections)))
        self._tasks = Tasks()
        self._assembly = Assembly(Corefile(()))
        self._listeners: dict[Endpoint, Listeners] = {}
        self._routes: dict[str, Routes] = {}
        self._surroundings = Surroundings(
            self._tasks.spawn, self._traffic.count_dropped, self._counters, time.monotonic
        )
        self._sites: dict[str, admin.Site] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._refused_digest = ""
        self._warnings: list[str] = []
        self._standard_input: str | None = None
        self._last_failure = ""
        self._reload_asked = asyncio.Event()
        self._reload_forced = False
        self._stopping = False
        self._stop = asyncio.Event()
        self._failed = self._metrics.counter(
            "coredns_reload_failed_total", "Corefiles that could not be put in force."
        ).labels()
        self._lent = Lent(
            clock=time.monotonic,
            wall=time.time,
            metrics=self._metrics,
            resolve=self._resolve,
            settle=self._settle,
            spawn=self._tasks.spawn,
            unready=self.unready,
            listening=self.addresses,
            look_again=self._reload_asked.set,
            stopping=lambda: self._stopping,
        )

    def addresses(self) -> list[tuple[str, int]]:
        """Return the addresses and ports that queries are answered at, without those that a reload is closing."""
        routes = self._assembly.routes
        return [each for endpoint, held in self._listeners.items() if endpoint in routes for each in held.addresses]

    def site_ports(self) -> dict[str, int]:
        """Return the ports of the HTTP side ports, by their addresses as written."""
        return {address: site.port for address, site in self._sites.items()}

    def zones(self) -> list[str]:
        """Return what is served where, as CoreDNS prints it: ``ZONE:PORT``, and the address where it is not all."""
        return [
            f"{to_text(zone)}:{self._listeners[endpoint].addresses[0][1]}"
            + (f" on {endpoint.address}" if endpoint.address != EVERYWHERE else "")
            for endpoint, routes in self._assembly.routes.items()
            for zone in routes
        ]

    def examples(self) -> list[str]:
        """Return command lines that ask what is sure to be answered."""
        address, port = self.addresses()[0]
        if is_any(address):
            address = "127.0.0.1" if ip_address(address).version == 4 else "::1"
        return [f"dig @{address} -p {port} {each.example}" for _, each in self._assembly.plugins() if each.example]

    def unready(self) -> dict[str, str]:
        """Return the names of plugins that cannot answer yet, each with its reasons."""
        return self._assembly.unready()

    async def start(self) -> None:
        """Read the Corefile, open every socket and begin to serve.

        Raises:
            ConfigError: The Corefile cannot be used, or asks for an address that cannot be had.
        """
        assembly = assemble(self._read(), self._lent, {}, self._settings.port)
        await self._open(assembly)
        await self._put_in_force(assembly)

    async def serve(self) -> None:
        """Serve until told to stop, and stop."""
        reloading = self._tasks.keep_running("reload", self._reload_when_asked)
        await self._stop.wait()
        await self._tasks.cancel([reloading])
        await self._drain()

    def stop(self) -> None:
        """Have `serve` drain and return."""
        self._stop.set()

    def reload(self) -> None:
        """Have the Corefile put in force anew, even if it says the same."""
        self._reload_forced = True
        self._reload_asked.set()

    def _read(self) -> Corefile:
        path = self._settings.path
        try:
            text = self._read_standard_input() if path == STANDARD_INPUT else Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(path, 1, f"the Corefile cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(path, 1, f"the Corefile is not UTF-8 at octet {error.start}") from error
        self._warnings.clear()
        corefile = parse(text, path, known=DIRECTIVES, environ=os.environ, read=read_import, warn=self._warnings.append)
        if not corefile.blocks:
            raise ConfigError(path, 1, "found no server block, expected at least one")
        return corefile

    def _read_standard_input(self) -> str:
        """Return what standard input held, which can be read but once."""
        if self._standard_input is None:
            self._standard_input = sys.stdin.read()
        return self._standard_input

    async def _open(self, assembly: Assembly) -> None:
        """Open the sockets and side ports that are not open yet; on failure, close them again.

        They may have the ports of those that are to go, which serve on until the new ones do, and share a port with
        others of their kind: the kernel leads a client to the one whose address fits best.
        """
        listeners: dict[Endpoint, Listeners] = {}
        sites: dict[str, admin.Site] = {}
        try:
            for endpoint in sorted(assembly.routes.keys() - self._listeners.keys()):
                make = self._responding(Routes(assembly.routes[endpoint].values()))
                near: Iterable[Listeners | admin.Site] = chain(
                    self._listeners.values(), listeners.values(), _others(self._sites, assembly.pages)
                )
                with _opening(assembly.places[endpoint], endpoint.port, near) as shared:
                    listeners[endpoint] = Listeners(endpoint, make, self._counters, self._connections, shared=shared)
            for address in sorted(assembly.pages.keys() - self._sites.keys()):
                site = admin.Site(address, assembly.pages[address])
                near = chain(self._sites.values(), sites.values(), _others(self._listeners, assembly.routes))
                with _opening(assembly.places[address], int(address.rpartition(":")[2]), near) as shared:
                    await site.start(shared=shared)
                sites[address] = site
        except BaseException:
            await _stop_all(listeners.values(), sites.values())
            raise
        self._listeners |= listeners
        self._sites |= sites
        for opened in listeners.values():
            opened.start()

    async def _put_in_force(self, assembly: Assembly) -> None:
        """Hand every listener and side port to *assembly*, start its work, and end what only its predecessor had."""
        before, self._assembly = self._assembly, assembly
        replaced = self._answerers()
        self._routes = {endpoint.label: Routes(routes.values()) for endpoint, routes in assembly.routes.items()}
        for endpoint in assembly.routes:
            self._listeners[endpoint].hand_to(self._responding(self._routes[endpoint.label]))
        for address, pages in assembly.pages.items():
            self._sites[address].pages = pages
        for warning in self._warnings:
            log.warning(warning)
        self._begin(assembly.resources.values())
        self._begin(plugin for _, plugin in assembly.plugins())
        self._describe()
        await _settle(replaced)
        gone = [plugin for _, plugin in before.plugins()]
        dropped = [each for key, each in before.resources.items() if key not in assembly.resources]
        await self._end([*gone, *dropped])
        endpoints = self._listeners.keys() - assembly.routes.keys()
        addresses = self._sites.keys() - assembly.pages.keys()
        await _stop_all(
            [self._listeners.pop(each) for each in endpoints], [self._sites.pop(each) for each in addresses]
        )

    def _responding(self, routes: Routes) -> MakeAnswerer:
        return partial(Responder, routes, self._surroundings)

    def _answerers(self) -> list[Answerer]:
        return [answerer for listeners in self._listeners.values() for answerer in listeners.answerers]

    async def _settle(self) -> None:
        await _settle(self._answerers())

    def _begin(self, workers: Iterable[Plugin | Resource]) -> None:
        for worker in workers:
            if id(worker) not in self._running:
                self._running[id(worker)] = self._tasks.keep_running(type(worker).__name__, worker.run)

    async def _end(self, workers: Iterable[Plugin | Resource]) -> None:
        await self._tasks.cancel([self._running.pop(id(worker)) for worker in workers if id(worker) in self._running])

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            forced, self._reload_forced = self._reload_forced, False
            try:
                await self._reload(forced=forced)
            except SvcdnsError as error:
                self._failed.value += 1
                if forced or str(error) != self._last_failure:
                    log.error("the Corefile changed but cannot be put in force: %s", error)  # noqa: TRY400 - it says where
                self._last_failure = str(error)
            else:
                self._last_failure = ""

    async def _reload(self, *, forced: bool) -> None:
        corefile = self._read()
        unchanged = corefile.digest in (self._assembly.corefile.digest, self._refused_digest)
        if unchanged and not forced:
            return
        self._refused_digest = corefile.digest
        log.info("reloading")
        assembly = assemble(corefile, self._lent, self._assembly.resources, self._settings.port)
        fresh = [each for key, each in assembly.resources.items() if key not in self._assembly.resources]
        self._begin(fresh)
        try:
            await self._until_ready(assembly)
            await self._open(assembly)
        except BaseException:
            await self._end(fresh)
            raise
        await self._put_in_force(assembly)
        self._refused_digest = ""
        log.info("reloading complete")

    async def _until_ready(self, assembly: Assembly) -> None:
        """Wait until new watches have been read, so that the swap takes no name away."""
        patience = max((plugin.startup_timeout for _, plugin in assembly.plugins()), default=0.0)
        deadline = time.monotonic() + patience
        while assembly.unready() and time.monotonic() < deadline:  # noqa: ASYNC110 - a question, not an event
            await asyncio.sleep(0.05)

    async def _drain(self) -> None:
        """Serve on through the lame-duck time, answer what is in flight, and end all work."""
        self._stopping = True
        lameduck = max((plugin.lameduck for _, plugin in self._assembly.plugins()), default=0.0)
        if lameduck:
            log.info("going into lame-duck mode for %g s", lameduck)
            await asyncio.sleep(lameduck)
        await asyncio.gather(*(listeners.stop() for listeners in self._listeners.values()))
        await self._tasks.cancel()
        await asyncio.gather(*(site.stop() for site in self._sites.values()))

    async def _resolve(self, query: Query) -> Response:
        """Ask the responder of the listener that the query came in through."""
        routes = self._routes.get(query.listener.label) or next(iter(self._routes.values()))
        return await routes.resolve(query)

    def _describe(self) -> None:
        """Tell metrics which Corefile is in force and which plugin serves what."""
        version = self._metrics.gauge("coredns_reload_version_info", "The Corefile in force.", ("hash", "value"))
        version.clear()
        version.labels("sha256", self._assembly.corefile.digest).value = 1
        enabled = self._metrics.gauge(
            "coredns_plugin_enabled", "Which plugin serves which zone.", ("server", "zone", "view", "name")
        )
        enabled.clear()
        for block in self._assembly.blocks:
            names = {name for name, _ in block.plugins} & DIRECTIVES
            for endpoint, routes in self._assembly.routes.items():
                for zone in set(block.zones) & routes.keys():
                    for name in names:
                        enabled.labels(endpoint.label, to_text(zone), "", name).value = 1


async def _settle(answerers: Iterable[Answerer]) -> None:
    for answerer in answerers:
        await answerer.settle()


async def _stop_all(listeners: Iterable[Listeners], sites: Iterable[admin.Site]) -> None:
    await asyncio.gather(*(each.stop() for each in listeners), *(each.stop() for each in sites))


@contextmanager
def _opening(place: Place, port: int, near: Iterable[Listeners | admin.Site]) -> Iterator[bool]:
    """Share *port* with those of *near* that have it, and blame *place* where it cannot be had.

    Yields:
        Whether there are any that share it.
    """
    sockets = [each for other in near for each in other.sockets if each.getsockname()[1] == port]
    try:
        with sharing(sockets):
            yield bool(sockets)
    except BindError as error:
        raise place.error(error.reason) from error


def _others(held: Mapping[K, V], wanted: Container[K]) -> list[V]:
    """Return what is held but wanted no more."""
    return [each for key, each in held.items() if key not in wanted]


def handle_signals(app: App) -> None:
    """Have signals stop or reload *app*, as CoreDNS takes them: a second SIGINT, or SIGQUIT, ends it at once."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("%s: shutting down", number.name)
        app.stop()

    def interrupt() -> None:
        loop.add_signal_handler(signal.SIGINT, os._exit, _FORCED)
        stop(signal.SIGINT)

    loop.add_signal_handler(signal.SIGTERM, stop, signal.SIGTERM)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGUSR1, app.reload)
    loop.add_signal_handler(signal.SIGQUIT, os._exit, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
