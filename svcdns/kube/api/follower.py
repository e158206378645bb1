"""Follows one kind: does what its reflector asks, and tells it what came of it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import msgspec

from svcdns.errors import ClusterError
from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.lines import LineSplitter
from svcdns.kube.api.measures import Measures
from svcdns.kube.api.outage import Outage
from svcdns.kube.api.reflector import FIRST_PAGES, ListRequest, Recovery, Reflector
from svcdns.kube.api.skips import Skips
from svcdns.kube.cluster import Cluster
from svcdns.kube.decode import Page, event_from_json, is_whole, page_from_json, stamps_from_json
from svcdns.kube.objects import EndpointSlice, Kind, Object
from svcdns.kube.structs import Retained

if TYPE_CHECKING:
    import aiohttp

    from svcdns.kube.api.requests import ApiServer

PATHS = {
    Kind.SERVICE: "/api/v1/services",
    Kind.ENDPOINT_SLICE: "/apis/discovery.k8s.io/v1/endpointslices",
    Kind.NAMESPACE: "/api/v1/namespaces",
    Kind.POD: "/api/v1/pods",
}
JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"

_TURN = 0.001
_OVERTIME = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all followers of a source share."""

    config: ApiConfig
    cluster: Cluster
    server: "ApiServer"
    outage: Outage
    measures: Measures
    pace: Pace
    random: Random
    clock: Callable[[], float]
    wall: Callable[[], float]


class Follower:
    """Keeps one kind current, whatever happens.

    Args:
        kind: The kind.
        surroundings: What it shares with others.

    Attributes:
        fault: What keeps the kind from being current, in words; empty while nothing does.
    """

    def __init__(self, kind: Kind, surroundings: Surroundings) -> None:
        self.fault = ""
        self._kind = kind
        self._share = surroundings
        self._reflector = Reflector(kind, surroundings.cluster, surroundings.random)
        self._skips = Skips(surroundings.clock)
        self._verb = "list"
        self._opened: float | None = None
        self._known = self._turn = surroundings.clock()
        measures = surroundings.measures
        measures.ages.labels(kind.value).follow(lambda: surroundings.clock() - self._known)
        measures.denied.labels(kind.value).follow(lambda: kind in surroundings.cluster.denied)

    async def run(self) -> None:
        """Follow the kind until cancelled."""
        while True:
            try:
                await self._step()
            except Exception as error:
                log.exception("kubernetes: following %s failed", self._kind.value)
                self._share.measures.errors.labels(self._kind.value).value += 1
                await self._pause(self._fail(ClusterError(repr(error))))

    async def audit(self) -> None:
        """Look from time to time whether the watch lost events, until cancelled."""
        while True:
            await asyncio.sleep(self._share.random.uniform(*self._share.pace.audit))
            if self.fault or not self._reflector.current:
                continue
            await self._share.outage.wait()
            try:
                await self._compare()
            except ClusterError as error:
                log.info("kubernetes: audit of %s: %s", self._kind.value, error)
            except Exception:
                log.exception("kubernetes: audit of %s failed", self._kind.value)
                self._share.measures.errors.labels(self._kind.value).value += 1

    async def _step(self) -> None:
        """Make the next request, and wait until it is time for another one."""
        self._opened = None
        await self._share.outage.wait()
        try:
            recovery = await self._ask()
        except ClusterError as error:
            recovery = self._fail(error)
            if recovery.general:
                await self._share.outage.outlast(error, PATHS[self._kind])
        await self._pause(recovery)

    async def _pause(self, recovery: Recovery) -> None:
        await asyncio.sleep(recovery.pause * self._share.pace.stretch)

    async def _ask(self) -> Recovery:
        """Make the next request and take in its answer to the end."""
        request = self._reflector.request()
        if isinstance(request, ListRequest):
            self._verb = "list"
            await self._list(request)
            return Recovery(0.0)
        self._verb = "watch"
        query = request.query | self._share.config.selector(self._kind)
        patience, total = self._share.pace.answer * self._reflector.patience, request.seconds + _OVERTIME
        async with self._share.server.ask(PATHS[self._kind], query, patience=patience, total=total) as response:
            self._opened = opened = self._share.clock()
            self._reflector.open()
            self._hear()
            await self._read(response.content)
        return self._reflector.end(self._share.clock() - opened)

    async def _read(self, content: "aiohttp.StreamReader") -> None:
        """Take in a watch to its end."""
        splitter = LineSplitter()
        while piece := await content.readany():
            self._turn = self._share.clock()
            for line in splitter.feed(piece):
                await self._give_way()
                self._take(line)
            self._hear()
        if splitter.rest and is_whole(splitter.rest):
            self._take(splitter.rest)

    def _take(self, line: bytes) -> None:
        try:
            event = event_from_json(self._kind, line)
        except msgspec.MsgspecError as error:
            raise ClusterError(f"a line of the watch is no event: {error}") from error
        listing = not self._reflector.current
        self._report(event.object)
        changed = self._reflector.take(event)
        if listing and self._reflector.current:
            self._count_list()
        if isinstance(changed, EndpointSlice) and changed.changed:
            self._measure(changed)

    async def _list(self, request: ListRequest) -> None:
        """Take in a list to its end; each page is worked on while the next one is under way."""
        text = await self._fetch(request, JSON)
        while True:
            self._turn = self._share.clock()
            page = self._decode(text)
            more = self._reflector.request_more(page)
            if more is None:
                await self._take_page(page)
                self._count_list()
                self._hear()
                return
            under_way = asyncio.create_task(self._fetch(more, JSON))
            try:
                await asyncio.sleep(0)  # lets it leave first
                await self._take_page(page)
                text = await under_way
            finally:
                under_way.cancel()
                await asyncio.gather(under_way, return_exceptions=True)

    def _decode(self, text: bytes) -> Page:
        try:
            return page_from_json(self._kind, text)
        except msgspec.MsgspecError as error:
            raise ClusterError(f"a page is no list: {error}") from error

    async def _take_page(self, page: Page) -> None:
        for found in self._reflector.take_page(page):
            self._report(found)
            await self._give_way()

    async def _compare(self) -> None:
        """Compare what is here with a list of metadata."""
        self._reflector.audit.begin()
        at, more = "", ""
        while True:
            try:
                page = stamps_from_json(await self._fetch(ListRequest(FIRST_PAGES, more), METADATA))
            except msgspec.MsgspecError as error:
                raise ClusterError(f"a page is no list: {error}") from error
            self._reflector.take_stamps(page.versions)
            at, more = at or page.version, page.more
            if not more:
                break
        for _ in self._reflector.compare(at):
            await asyncio.sleep(0)

    async def _fetch(self, request: ListRequest, accept: str) -> bytes:
        query = request.query | self._share.config.selector(self._kind)
        async with self._share.server.ask(PATHS[self._kind], query, accept=accept) as response:
            return await response.read()

    async def _give_way(self) -> None:
        """Let others have a turn once ours has been long enough."""
        if self._share.clock() - self._turn > _TURN:
            await asyncio.sleep(0)
            self._turn = self._share.clock()

    def _hear(self) -> None:
        """Take in that what is here is current."""
        if not self._reflector.current:
            return
        now = self._share.clock()
        if self.fault:
            log.info("kubernetes: %s are followed again after %.1f s", self._kind.value, now - self._known)
            self.fault = ""
        self._known = now

    def _fail(self, error: ClusterError) -> Recovery:
        self._share.measures.failures.labels(self._kind.value).value += 1
        recovery = self._reflector.fail(error, 0.0 if self._opened is None else self._share.clock() - self._opened)
        fault = f"{self._verb} {self._kind.value}: {error}"
        if fault != self.fault:
            goes_on = recovery == Recovery(0.0)
            log.log(logging.INFO if goes_on else logging.WARNING, "kubernetes: %s", fault)
            self.fault = fault
        return recovery

    def _report(self, found: Object | Retained | None) -> None:
        """Count an object that cannot be decoded, and name it unless too many are."""
        if isinstance(found, Retained) and found.fault:
            self._share.measures.skipped.labels(self._kind.value).value += 1
            if line := self._skips.describe(found):
                log.warning("kubernetes: skipped %s", line)

    def _count_list(self) -> None:
        cause = self._reflector.cause
        self._share.measures.lists.labels(self._kind.value, cause).value += 1
        if cause == "audit":
            self._share.measures.repairs.labels(self._kind.value).value += 1

    def _measure(self, changed: EndpointSlice) -> None:
        """Measure how long the change of a slice took to come here."""
        service = self._share.cluster.services.get(changed.owner)
        if service is not None:
            kind = "headless_with_selector" if service.headless else "cluster_ip"
            self._share.measures.programming.labels(kind).observe(self._share.wall() - changed.changed)
