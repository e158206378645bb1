"""All upstreams of the process, and which of them one `forward` asks.

An upstream is one object for all that ask it, so what was learnt of it - its round trip, its failures, whether it keeps
letter case - outlives a reload, and connections are shared.
"""

from collections.abc import Hashable
from ssl import SSLContext
from weakref import WeakValueDictionary

from svcdns.chain import Environment, Resource
from svcdns.metrics import Metrics
from svcdns.net.poller import Poller
from svcdns.net.pool import Keeping, Route
from svcdns.net.sockets import show_address
from svcdns.net.upstream import Counters, Upstream
from svcdns.plugins.forward.config import Address, Settings, Tls
from svcdns.plugins.forward.question import Question
from svcdns.plugins.forward.sources import Fixed, Resolved, open_source

PROXY = "forward"
"""What CoreDNS's metrics call the plugin."""


class Upstreams(Resource):
    """Every upstream that some `forward` asks; kept across reloads.

    Args:
        environment: Clock, tasks and metrics of the process.

    Attributes:
        poller: What all upstreams share.
        questions: The questions that are not over.
        abandoned: Those of them that go on though nobody waits for them, the oldest first.
        contexts: The TLS contexts in use, by what they were made of.
        waiting: How many queries wait for an answer; several may wait for that to one question.
    """

    def __init__(self, environment: Environment) -> None:
        self.poller = Poller(environment.clock, environment.spawn)
        self.questions: dict[Question, None] = {}
        self.abandoned: dict[Question, None] = {}
        self.contexts: WeakValueDictionary[Tls, SSLContext] = WeakValueDictionary()
        self.waiting = 0
        self._metrics = environment.metrics
        self._known: WeakValueDictionary[Hashable, Upstream] = WeakValueDictionary()

    def find(self, route: Route, keeping: Keeping, files: Hashable) -> Upstream:
        """Return the one upstream at *route*.

        Args:
            route: Where it is.
            keeping: How long and how many connections are kept.
            files: What its TLS context was made of.
        """
        key = (route._replace(context=None), keeping, files if route.context else None)
        upstream = self._known.get(key)
        if upstream is None:
            counters = _count(self._metrics, show_address(route.address, route.port), encrypted=bool(route.context))
            upstream = self._known[key] = Upstream(route, keeping, self.poller, counters)
        return upstream

    @property
    def full(self) -> bool:
        """Whether no further query may wait."""
        return self.waiting >= self.poller.limit

    def make_room(self) -> bool:
        """Tell whether one more question may be put, after giving up the oldest that nobody waits for if need be."""
        while self.poller.full and self.abandoned:
            next(iter(self.abandoned)).abandon()
        return not self.poller.full

    async def run(self) -> None:
        """Wait until cancelled, then give up what is asked and close what is open."""
        try:
            await self.poller.run()
        finally:
            for question in list(self.questions):
                question.abandon()
            for upstream in self._known.values():
                upstream.pool.close()


class Roster:
    """The upstreams of one `forward`, as files and host names have it at the time.

    Args:
        settings: The directive.
        environment: Clock and own addresses.
        upstreams: Where upstreams are had from.

    Raises:
        ConfigError: A file cannot be read.
    """

    def __init__(self, settings: Settings, environment: Environment, upstreams: Upstreams) -> None:
        self._settings = settings
        self._upstreams = upstreams
        self._sources = [open_source(settings.directive, environment, each) for each in settings.destinations]
        self._resolved = [source for source in self._sources if isinstance(source, Resolved)]
        resolvers = settings.resolvers if self._resolved else ()
        self._resolvers = [open_source(settings.directive, environment, each) for each in resolvers]
        self._fixed = all(isinstance(source, Fixed) for source in self._sources)
        self._addresses: tuple[tuple[Address, ...], ...] = ()
        self._current: tuple[Upstream, ...] = ()

    @property
    def current(self) -> tuple[Upstream, ...]:
        """The upstreams in the order written, each once."""
        if not self._fixed or not self._current:
            addresses = tuple([source.addresses() for source in self._sources])
            if addresses != self._addresses:
                self._addresses = addresses
                self._current = tuple(dict.fromkeys(self._find(each) for found in addresses for each in found))
        return self._current

    @property
    def missing(self) -> str:
        """Which host names have no address, and why; empty where all have one."""
        return "; ".join(filter(None, (source.missing for source in self._resolved)))

    @property
    def shortage(self) -> str:
        """That host names have no address, as a client may know it: not who was asked for them."""
        match [source.name for source in self._resolved if source.missing]:
            case [name]:
                return f"{name} has no address"
            case [name, *others]:
                return f"{name} and {len(others)} more have no address"
        return ""

    @property
    def resolves(self) -> bool:
        """Whether there are host names to look up."""
        return bool(self._resolved)

    async def resolve(self) -> float:
        """Look the host names up.

        Returns:
            After how many seconds to do so again.
        """
        asked = [self._find(address) for source in self._resolvers for address in source.addresses()]
        return min([await source.resolve(asked) for source in self._resolved])

    def _find(self, address: Address) -> Upstream:
        settings = self._settings
        context = settings.context if address.tls else None
        server_name = (settings.server_name or address.server_name) if address.tls else ""
        route = Route(address.host, address.port, settings.source, context, server_name)
        return self._upstreams.find(route, settings.keeping, settings.tls)


def _count(metrics: Metrics, to: str, *, encrypted: bool) -> Counters:
    stream = "tcp-tls" if encrypted else "tcp"
    labels = ("proxy_name", "to", "proto")
    hits = metrics.counter(
        "coredns_proxy_conn_cache_hits_total", "Counter of connection cache hits per upstream and protocol.", labels
    )
    misses = metrics.counter(
        "coredns_proxy_conn_cache_misses_total", "Counter of connection cache misses per upstream and protocol.", labels
    )
    rejected = metrics.counter(
        "svcdns_forward_rejected_total", "Messages from an upstream that did not answer what was asked.", ("to",)
    )
    return Counters(
        found=hits.labels(PROXY, to, "udp"),
        opened=misses.labels(PROXY, to, "udp"),
        hits=hits.labels(PROXY, to, stream),
        misses=misses.labels(PROXY, to, stream),
        rejected=rejected.labels(to),
    )
