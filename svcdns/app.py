"""The first process of a server, mostly the only one: Corefile, sockets, side ports, signals; start, reload and stop.

A reload builds everything that the new Corefile asks for beside what serves, and then puts it in force with one
assignment a listener; what both Corefiles ask for - sockets, side ports, watches, caches - lives on. A Corefile that
cannot be used changes nothing. A stop serves on through the lame-duck time, then answers what is in flight.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from itertools import chain
from typing import TypeVar

from svcdns import admin, memory
from svcdns.assembly import Assembly, assemble
from svcdns.corefile import Place
from svcdns.corefile_files import CorefileInput
from svcdns.dns.name import to_text
from svcdns.errors import SvcdnsError
from svcdns.metrics import Metrics
from svcdns.net.listeners import EVERYWHERE, Endpoint, Listeners, open_shares
from svcdns.net.sockets import BindError, is_any, sharing
from svcdns.plugins import DIRECTIVES
from svcdns.server import Server
from svcdns.workers.pool import Pool
from svcdns.workers.worker import Bequest

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
        workers: How many processes are to answer queries, whatever the Corefile says; None where that counts.
    """

    path: str = "Corefile"
    port: int = 53
    workers: int | None = None


class App:
    """A server from start to stop, as its first process has it.

    Args:
        settings: What the command line says.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._input = CorefileInput(settings.path, DIRECTIVES, os.environ)
        self._server = Server(first=True)
        self._pool = Pool(self, time.monotonic)
        self._sites: dict[str, admin.Site] = {}
        self._replaced: list[Listeners] = []
        self._closed = asyncio.Event()  # not set while a reload closes what only its predecessor had
        self._closed.set()
        self._refused_digest = ""
        self._last_failure = ""
        self._reload_asked = asyncio.Event()
        self._reload_forced = False
        self._stopping = False
        self._stop = asyncio.Event()
        self._failed = self.metrics.counter(
            "coredns_reload_failed_total", "Corefiles that could not be put in force."
        ).labels()
        self._lent = replace(
            self._server.lent,
            settle=self._settle,
            unwell=self._pool.unwell,
            workers=lambda: self._pool.pids,
            look_again=self._reload_asked.set,
            stopping=lambda: self._stopping,
            warn=self._input.warn,
        )

    @property
    def metrics(self) -> Metrics:
        """What is counted in all processes of the server, as far as this one was told."""
        return self._server.metrics

    @property
    def _assembly(self) -> Assembly:
        """The Corefile in force."""
        return self._server.assembly

    def addresses(self) -> list[tuple[str, int]]:
        """Return the addresses and ports that queries are answered at, without those that a reload is closing."""
        return self._server.addresses()

    def site_ports(self) -> dict[str, int]:
        """Return the ports of the HTTP side ports, by their addresses as written."""
        return {address: site.port for address, site in self._sites.items()}

    def zones(self) -> list[str]:
        """Return what is served where, as CoreDNS prints it: ``ZONE:PORT``, and the address where it is not all."""
        return [
            f"{to_text(zone)}:{self._server.listeners[endpoint].addresses[0][1]}"
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

    def is_ready(self) -> bool:
        """Tell whether all plugins can answer, and no socket is being closed.

        A fork has that socket, too, for a moment: what came to it after its last reading here would be lost.
        """
        return self._closed.is_set() and not self._server.unready()

    def bequeath(self, number: int) -> Bequest:
        """Return what worker *number* is left."""
        assembly, listeners = self._assembly, self._server.listeners
        shares = {endpoint: listeners[endpoint].shares[number] for endpoint in assembly.routes}
        return Bequest(assembly.corefile, self._settings.port, assembly.resources, shares)

    def read(self, number: int) -> None:
        """Read the sockets of worker *number*, for there is none."""
        for listeners in self._server.listeners.values():
            if number < len(listeners.shares):  # else a reload opened others, and what is left of these is drained
                listeners.start(number)

    def leave_to(self, number: int) -> None:
        """Leave its sockets to worker *number*."""
        for listeners in self._server.listeners.values():
            listeners.pause(number)

    async def start(self) -> None:
        """Read the Corefile, open every socket and begin to serve.

        Raises:
            SvcdnsError: The Corefile cannot be read or used, or asks for an address that cannot be had.
        """
        try:
            assembly = assemble(self._input.read(), self._lent, {}, self._settings.port)
            await self._open(assembly)
        except SvcdnsError:
            self._warn()
            raise
        await self._put_in_force(assembly)

    async def serve(self) -> None:
        """Serve until told to stop, and stop."""
        tasks = self._server.tasks
        reloading = tasks.keep_running("reload", self._reload_when_asked)
        tasks.keep_running("workers", self._pool.run)
        tasks.keep_running("memory", memory.keep_small)
        await self._stop.wait()
        await self._closed.wait()  # or what came to sockets that are being closed would be lost
        await tasks.cancel([reloading])
        await self._drain()

    def stop(self) -> None:
        """Have `serve` drain and return."""
        self._stop.set()

    def reload(self) -> None:
        """Have the Corefile put in force anew, even if it says the same."""
        self._reload_forced = True
        self._reload_asked.set()

    def _warn(self) -> None:
        """Tell what is odd about the Corefile that was read last, be it in force now or refused."""
        for warning in self._input.warnings:
            log.warning(warning)

    async def _open(self, assembly: Assembly) -> None:
        """Open the sockets and side ports that are not open yet; on failure, close them again.

        They may have the ports of those that are to go, which serve on until the new ones do, and share a port with
        others of their kind: the kernel leads a client to the one whose address fits best.
        """
        listening, size = self._server.listeners, self._size(assembly)
        kept = {endpoint for endpoint, held in listening.items() if len(held.shares) == size}
        listeners: dict[Endpoint, Listeners] = {}
        sites: dict[str, admin.Site] = {}
        try:
            for endpoint in sorted(assembly.routes.keys() - kept):
                near: Iterable[Listeners | admin.Site] = chain(
                    listening.values(), listeners.values(), _others(self._sites, assembly.pages)
                )
                with _opening(assembly.places[endpoint], endpoint.port, near) as shared:
                    shares = open_shares(endpoint, size, shared=shared)
                    listeners[endpoint] = self._server.listen(assembly, endpoint, shares)
            for address in sorted(assembly.pages.keys() - self._sites.keys()):
                site = admin.Site(address, assembly.pages[address])
                near = chain(self._sites.values(), sites.values(), _others(listening, assembly.routes))
                with _opening(assembly.places[address], int(address.rpartition(":")[2]), near) as shared:
                    await site.start(shared=shared)
                sites[address] = site
        except BaseException:
            await _stop_all(listeners.values(), sites.values())
            raise
        for endpoint, opened in listeners.items():
            if endpoint in listening:
                self._replaced.append(listening.pop(endpoint))
            listening[endpoint] = opened
            for share in range(size):
                opened.start(share)
        self._sites |= sites

    async def _put_in_force(self, assembly: Assembly) -> None:
        """Have every process serve *assembly*, and close what only its predecessor had.

        Workers are told to leave in the same turn of the loop in which there are other sockets and resources, so that
        none reads or learns what is meant for others.
        """
        for address, pages in assembly.pages.items():
            self._sites[address].pages = pages
        self._warn()
        for resource in self._assembly.resources.values():
            resource.publish(lambda _: None)
        for number, resource in enumerate(assembly.resources.values()):
            resource.publish(partial(self._tell, number))
        self._pool.renew(self._size(assembly) - 1)
        self._closed.clear()
        try:
            await self._server.put_in_force(assembly)
            self._describe()
            listeners, self._replaced = self._replaced, []
            for endpoint in self._server.listeners.keys() - assembly.routes.keys():
                listeners.append(self._server.listeners.pop(endpoint))
            addresses = self._sites.keys() - assembly.pages.keys()
            await _stop_all(listeners, [self._sites.pop(each) for each in addresses])
        finally:
            self._closed.set()

    def _tell(self, number: int, change: object) -> None:
        """Have every process know of a change of resource *number*."""
        self._pool.tell(number, change)
        self._server.prepare_soon()

    def _size(self, assembly: Assembly) -> int:
        """Return how many processes are to answer queries."""
        return self._settings.workers or assembly.workers

    async def _settle(self) -> None:
        """Have everything counted that was answered, here and by workers."""
        await asyncio.gather(self._server.settle(), self._pool.settle())

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
                    self._warn()
                    for fault in str(error).splitlines():
                        log.error("the Corefile changed but cannot be put in force: %s", fault)  # noqa: TRY400 - it says where
                self._last_failure = str(error)

    async def _reload(self, *, forced: bool) -> None:
        refused, self._refused_digest = self._refused_digest, ""  # one that comes back after another is told of anew
        corefile = self._input.read()
        if corefile.digest == refused and not forced:
            self._refused_digest = refused
            return
        failure, self._last_failure = self._last_failure, ""
        if corefile.digest == self._assembly.corefile.digest and not forced:
            if failure:
                log.info("the Corefile is again the one in force")
            return
        self._refused_digest = corefile.digest
        log.info("reloading")
        assembly = assemble(corefile, self._lent, self._assembly.resources, self._settings.port)
        fresh = [each for key, each in assembly.resources.items() if key not in self._assembly.resources]
        self._server.begin(fresh)
        try:
            await self._until_ready(assembly)
            await self._open(assembly)
        except BaseException:
            await self._server.end(fresh)
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
        await self._pool.stop()  # what comes to workers from now on is read here, and here is the last look at it
        await _stop_all(self._server.listeners.values(), ())
        await self._server.tasks.cancel()
        await asyncio.gather(*(site.stop() for site in self._sites.values()))

    def _describe(self) -> None:
        """Tell metrics which Corefile is in force and which plugin serves what."""
        version = self.metrics.gauge("coredns_reload_version_info", "The Corefile in force.", ("hash", "value"))
        version.clear()
        version.labels("sha256", self._assembly.corefile.digest).value = 1
        enabled = self.metrics.gauge(
            "coredns_plugin_enabled", "Which plugin serves which zone.", ("server", "zone", "view", "name")
        )
        enabled.clear()
        for block in self._assembly.blocks:
            names = {name for name, _ in block.plugins} & DIRECTIVES
            for endpoint, routes in self._assembly.routes.items():
                for zone in set(block.zones) & routes.keys():
                    for name in names:
                        enabled.labels(endpoint.label, to_text(zone), "", name).value = 1


async def _stop_all(listeners: Collection[Listeners], sites: Iterable[admin.Site]) -> None:
    for listener in listeners:
        listener.retire()
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
    """Have signals stop or reload *app*, as CoreDNS takes them: a second SIGINT, or SIGQUIT, ends it at once.

    But for SIGUSR2: CoreDNS starts a new process of its program then, which nobody who looks after this one knows.
    """
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
    loop.add_signal_handler(signal.SIGUSR2, log.warning, "SIGUSR2: a new version needs a restart; nothing is upgraded")
    loop.add_signal_handler(signal.SIGQUIT, os._exit, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
