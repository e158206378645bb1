"""One `forward` directive at work: whom to ask, how many queries at a time, and the health of upstreams."""

import asyncio
import math
from collections.abc import Sequence

from svcdns.chain import Environment, Wait
from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response, rcode_to_text
from svcdns.dns.name import ROOT, Name, is_within
from svcdns.dns.records import Rtype
from svcdns.errors import UpstreamError
from svcdns.metrics import TIME_BUCKETS, Histogram
from svcdns.net.asking import ask
from svcdns.net.upstream import Health, Upstream
from svcdns.plugins.forward.config import Settings
from svcdns.plugins.forward.policy import POLICIES
from svcdns.plugins.forward.question import PLUGIN, Keep, Question
from svcdns.plugins.forward.upstreams import PROXY, Roster, Upstreams

BUDGET = 1.8
"""How long a client waits at most, in seconds, unless `read_timeout` is longer (RFC 8767 section 5)."""

PROBE_PATIENCE = 1.0
"""How long an upstream has to answer a probe, in seconds."""

_FIRST_SHARE = 0.5
_TOO_MANY = "too many queries wait for upstreams"


class Stanza:
    """A directive.

    Args:
        settings: What it says.
        environment: Clock and metrics.
        upstreams: All upstreams of the process.
        keep: Takes answers that come late.

    Attributes:
        budget: How long an asker waits at most, in seconds.
        patience: How long until the next upstream is tried, in seconds.
        failover: Further response codes after which the next upstream is tried.
        roster: The upstreams.
    """

    def __init__(self, settings: Settings, environment: Environment, upstreams: Upstreams, keep: Keep) -> None:
        self.budget = max(BUDGET, settings.read_timeout or 0.0)
        self.patience = min(settings.read_timeout or self.budget, self.budget * _FIRST_SHARE)
        self.failover = settings.failover
        self.roster = Roster(settings, environment, upstreams)
        self._settings = settings
        self._upstreams = upstreams
        self._keep = keep
        self._clock = environment.clock
        self._everything = ROOT in settings.zones and not settings.excepted
        self._order = POLICIES[settings.policy]()
        self._questions: dict[tuple[object, ...], Question] = {}
        self._waiting = 0
        self._trouble = asyncio.Event()
        self._trouble.set()  # what an earlier Corefile's directive found suspect is probed on
        self._histograms: dict[tuple[str, int], Histogram] = {}
        self._metrics = environment.metrics
        self._rejects = environment.metrics.counter(
            "coredns_forward_max_concurrent_rejects_total",
            "Counter of the number of queries rejected because the concurrent queries were at maximum.",
            (),
        ).labels()
        self._broken = environment.metrics.counter(
            "coredns_forward_healthcheck_broken_total",
            "Counter of the number of complete failures of the healthchecks.",
            (),
        ).labels()

    def takes(self, name: Name) -> bool:
        """Tell whether *name* is forwarded here."""
        if self._everything:
            return True
        zones, excepted = self._settings.zones, self._settings.excepted
        return is_within(name, zones) and (name in zones or not is_within(name, excepted))

    def hands_on(self, response: Response) -> bool:
        """Tell whether the next directive that takes the name is asked after *response*."""
        settings = self._settings
        if response.error is not None:
            return False
        if response.rcode in settings.next:
            return True
        return settings.next_on_nodata and response.rcode == Rcode.NOERROR and not response.answer

    async def ask(self, query: Query, deadline: float) -> Response:
        """Answer *query* with what an upstream says, or with what is known at *deadline*."""
        if self._settings.max_concurrent and self._waiting >= self._settings.max_concurrent:
            self._rejects.value += 1
            return Response(Rcode.REFUSED, ede=ExtendedError(Ede.OTHER, "max_concurrent is reached"), plugin=PLUGIN)
        if self._upstreams.full:
            return _unable(_TOO_MANY, Ede.OTHER)
        tcp = query.listener.transport != "udp" and not self._settings.prefer_udp
        stream = self._settings.force_tcp or tcp
        key = (query.name, query.rtype, query.do, query.cd, stream)
        question = self._questions.get(key) or self._begin(query, key, stream=stream)
        if isinstance(question, Response):
            return question
        if question.response is not None:
            return question.response
        asker: Wait[Response] = Wait()
        question.join(asker, deadline)
        self._upstreams.abandoned.pop(question, None)
        self._waiting += 1
        self._upstreams.waiting += 1
        try:
            return await asker
        finally:
            self._waiting -= 1
            self._upstreams.waiting -= 1

    def choose(self, *, stream: bool) -> Sequence[Upstream] | str:
        """Return the upstreams to ask in their order, or why there is none."""
        settings = self._settings
        current = self.roster.current
        usable = [upstream for upstream in current if not upstream.looping]
        if not usable:
            return f"{current[0].label} leads back here" if current else self.roster.shortage or "no upstream is known"
        up = [upstream for upstream in usable if not upstream.health(stream=stream).is_down(settings.max_fails)]
        if not up:
            self._broken.value += 1
            if settings.failfast_all_unhealthy_upstreams:
                return "all upstreams are down"
            up = usable
        if len(up) > 1:
            up = sorted(self._order(up), key=lambda upstream: upstream.health(stream=stream).suspect)
        return up[: settings.attempts] if settings.attempts else up

    def note(self, upstream: Upstream, response: Response, seconds: float) -> None:
        """Count an answer."""
        key = (upstream.label, response.rcode)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = self._metrics.histogram(
                "coredns_proxy_request_duration_seconds",
                "Histogram of the time each request took.",
                ("proxy_name", "to", "rcode"),
                TIME_BUCKETS,
            ).labels(PROXY, upstream.label, rcode_to_text(response.rcode))
        histogram.observe(seconds)

    def note_failure(self, health: Health) -> None:
        """Have an upstream probed over what it failed or is silent over, and others asked first meanwhile."""
        if self._settings.max_fails:
            health.suspect = True
            self._trouble.set()

    def note_abandoned(self, question: Question) -> None:
        """Have a question that nobody waits for make room for others if need be."""
        self._upstreams.abandoned[question] = None

    def end(self, question: Question, late: Response | None) -> None:
        """Forget a question; an answer that somebody did not wait for is kept."""
        self._questions.pop(question.key, None)
        self._upstreams.questions.pop(question, None)
        self._upstreams.abandoned.pop(question, None)
        if late is not None:
            self._keep(question.query, late)

    async def resolve(self) -> None:
        """Look host names up, again and again."""
        pause = await self.roster.resolve() if self.roster.resolves else None
        while pause is not None:
            await asyncio.sleep(pause)
            pause = await self.roster.resolve()

    async def probe(self) -> None:
        """Probe upstreams that failed until they answer."""
        while self._settings.max_fails:
            await self._trouble.wait()
            self._trouble.clear()
            while suspects := self._suspects():
                await asyncio.gather(*(self._probe(upstream, health) for upstream, health in suspects))
                await asyncio.sleep(self._settings.probe.interval)

    def _suspects(self) -> list[tuple[Upstream, Health]]:
        """Return the upstreams that failed, each with what tells over which transport."""
        current = self.roster.current
        both = {(upstream, health): None for upstream in current for health in (upstream.datagrams, upstream.streams)}
        return [(upstream, health) for upstream, health in both if health.suspect]

    async def _probe(self, upstream: Upstream, health: Health) -> None:
        """Probe an upstream over one transport alone; whatever comes over it is an answer."""
        _, recurse, domain = self._settings.probe
        reason = "it answers over TCP alone"
        try:
            query = Query(domain, Rtype.NS, rd=recurse)
            await ask(upstream, query, PROBE_PATIENCE, stream_after=0.0 if health.stream else math.inf)
        except UpstreamError as error:
            reason = error.reason
        if health.suspect:
            self._metrics.counter(
                "coredns_proxy_healthcheck_failures_total",
                "Counter of the number of failed healthchecks.",
                ("proxy_name", "to"),
            ).labels(PROXY, upstream.label).value += 1
            health.note_failed_probe(self._settings.max_fails, reason)

    def _begin(self, query: Query, key: tuple[object, ...], *, stream: bool) -> Question | Response:
        """Put a question that nobody waits for yet, unless there is nobody to put it to."""
        upstreams = self.choose(stream=stream)
        if isinstance(upstreams, str):
            return _unable(upstreams)
        if not self._upstreams.make_room():
            return _unable(_TOO_MANY, Ede.OTHER)
        if not query.rd:
            query = query.replace(rd=True)  # or what a server happens to have cached would pass for all there is
        question = Question(query, key, self, self._upstreams.poller, upstreams, stream=stream)
        self._questions[key] = question
        self._upstreams.questions[question] = None
        question.begin()
        return question


def _unable(reason: str, code: Ede = Ede.NO_REACHABLE_AUTHORITY) -> Response:
    ede = ExtendedError(code, reason)
    return Response(Rcode.SERVFAIL, ede=ede, plugin=PLUGIN, error=UpstreamError(PLUGIN, reason))
