"""One question in flight: put to one upstream after another until one answers, for all who ask the same meanwhile.

Each asker waits for as long as it may; the question itself goes on for a while when all have left, since a late answer
is worth keeping. It is put in rounds: whoever joins when the last round has been silent for a while gets another, so
that nobody has to share in an outage that is over.

Source: RFC 5452 section 5, RFC 8914 section 4, RFC 9520 section 3.
"""

import math
from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from typing import Protocol

from svcdns.chain import Wait
from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response, rcode_to_text
from svcdns.errors import UpstreamError
from svcdns.net.client import STREAM_SHARE, Exchange
from svcdns.net.poller import Poller
from svcdns.net.timers import Timer
from svcdns.net.upstream import Health, Upstream

PLUGIN = "forward"

REFUSALS = frozenset({Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTIMP, Rcode.FORMERR})
"""What an upstream says that cannot or will not answer; another may."""

LATE = 3.2
"""How long a question goes on without an asker, in seconds."""

LEAST = 0.2
"""How long an upstream is asked over UDP at least, in seconds, until TCP is tried."""

AT_ONCE = 64
"""How many who asked the same are answered in one turn of the event loop, so that others have theirs, too."""

FIRST_LOOK = 0.1
"""When deadlines are first looked at, in seconds; who joins a round within this time shares it."""


Keep = Callable[[Query, Response], None]
"""Takes an answer that came late."""


class Terms(Protocol):
    """On which terms questions are put.

    Attributes:
        budget: Seconds that an asker waits at most.
        patience: Seconds until the next upstream is tried at the latest.
        failover: Response codes after which the next upstream is tried.
    """

    budget: float
    patience: float
    failover: frozenset[int]

    def choose(self, *, stream: bool) -> Sequence[Upstream] | str:
        """Return the upstreams to ask in their order, or why there is none."""

    def note(self, upstream: Upstream, response: Response, seconds: float) -> None:
        """Count an answer."""

    def note_failure(self, health: Health) -> None:
        """Learn that an upstream failed or is silent over one of its transports."""

    def note_abandoned(self, question: "Question") -> None:
        """Learn that nobody waits for the answer any more."""

    def end(self, question: "Question", late: Response | None) -> None:
        """Learn that the question is over; *late* is an answer that somebody did not wait for."""


class Question:
    """A question and those who ask it.

    Args:
        query: The question as the first of them asked it.
        key: What makes another's question equal.
        terms: On which terms it is put.
        poller: Its clock and timers.
        upstreams: Whom to ask first, in this order.
        stream: Whether UDP is left out.
    """

    __slots__ = (
        "_again_at", "_askers", "_begun", "_exchanges", "_failure", "_late", "_next_look", "_poller", "_refusal",
        "_stream", "_terms", "_timer", "_upstreams", "key", "query", "response",
    )  # fmt: skip

    def __init__(
        self,
        query: Query,
        key: tuple[object, ...],
        terms: Terms,
        poller: Poller,
        upstreams: Sequence[Upstream],
        *,
        stream: bool,
    ) -> None:
        self.query = query
        self.key = key
        self.response: Response | None = None
        self._terms = terms
        self._upstreams = iter(upstreams)
        self._stream = stream
        self._poller = poller
        self._begun = poller.clock()
        self._askers: list[tuple[float, Wait[Response]]] = []
        self._next_look = self._again_at = math.inf
        self._timer: Timer | None = None
        self._exchanges: list[Exchange] = []
        self._refusal: Response | None = None
        self._failure: UpstreamError | None = None
        self._late = False

    def begin(self) -> None:
        """Ask the first upstream."""
        self._go_on()

    def join(self, asker: Wait[Response], deadline: float) -> None:
        """Answer *asker*, too, at *deadline* at the latest.

        Most questions are answered at once, so deadlines are looked at only after a while: else there would be a
        timer for each question of the last seconds.
        """
        now = self._poller.clock()
        if now - self._begun > FIRST_LOOK:
            self._again_at = max(now, self._begun + self._terms.patience)
        self._askers.append((deadline, asker))
        self._look_at(min(deadline, now + FIRST_LOOK, self._again_at))

    def abandon(self) -> None:
        """Give up."""
        self._finish(self._verdict(), keep=False)

    def hear(self, exchange: Exchange, response: Response) -> None:
        """Take an upstream's answer, or ask the next one where it is a refusal."""
        upstream = exchange.upstream
        self._terms.note(upstream, response, upstream.poller.clock() - exchange.begun)
        self._exchanges.remove(exchange)
        if response.rcode in REFUSALS or response.rcode in self._terms.failover:
            self._refusal = _mark(upstream, response)
            self._go_on()
        else:
            self._finish(response, keep=True)

    def fail(self, exchange: Exchange, error: UpstreamError) -> None:
        """Ask the next upstream."""
        self._terms.note_failure(exchange.health)
        self._exchanges.remove(exchange)
        self._failure = error
        self._go_on()

    def miss(self, exchange: Exchange) -> None:
        """Ask the next upstream, too, if one more question may be under way."""
        self._terms.note_failure(exchange.health)
        if not self._poller.full:
            self._go_on()

    def _look_at(self, when: float) -> None:
        if when < self._next_look:
            self._next_look = when
            if self._timer is not None:
                self._timer.clear()
            self._timer = self._poller.timers.at(when, self._look)

    def _look(self) -> None:
        """Answer those who may wait no longer with what is known by now."""
        now = self._poller.clock()
        if self.response is not None or now < self._next_look:
            return
        self._next_look = math.inf
        due = [asker for deadline, asker in self._askers if deadline <= now]
        if due:
            self._late = True
            self._askers = [each for each in self._askers if each[0] > now]
            self._answer(due, self._verdict())
        if not self._askers:
            self._terms.note_abandoned(self)
        elif self._again_at <= now:
            self._begin_again(now)
        if self._askers:
            self._look_at(min(self._again_at, *(deadline for deadline, _ in self._askers)))

    def _begin_again(self, now: float) -> None:
        """Begin another round: ask those once more who are silent, and after them all others."""
        self._begun, self._again_at = now, math.inf
        for exchange in list(self._exchanges):
            if now - exchange.begun < self._terms.budget + LATE:
                exchange.ask_again()
            else:
                exchange.close()
                self._exchanges.remove(exchange)
        silent = {exchange.upstream for exchange in self._exchanges}
        chosen = self._terms.choose(stream=self._stream)
        self._upstreams = iter([] if isinstance(chosen, str) else [each for each in chosen if each not in silent])
        if not (silent and self._poller.full):
            self._go_on()

    def _go_on(self) -> None:
        """Ask the next upstream; where none is left and none may still answer, that is the end."""
        upstream = next(self._upstreams, None)
        if upstream is not None:
            left = self._terms.budget - (self._poller.clock() - self._begun)
            exchange = Exchange(
                upstream,
                self.query,
                self,
                patience=self._terms.patience,
                stream_after=0.0 if self._stream else max(LEAST, STREAM_SHARE * left),
                lifetime=self._terms.budget + LATE,
                plugin=PLUGIN,
            )
            self._exchanges.append(exchange)
            exchange.start()
        elif not self._exchanges:
            self._finish(self._verdict(), keep=self._refusal is not None)

    def _verdict(self) -> Response:
        """Say why there is no answer: the last refusal, else what the network said, else silence."""
        if self._refusal is not None:
            return self._refusal
        failure = self._failure
        if self._exchanges or failure is None:
            silent = ", ".join(exchange.upstream.label for exchange in self._exchanges) or "no upstream"
            failure = UpstreamError(silent, f"no answer within {self._terms.budget:g} s: i/o timeout")
        code = Ede.NETWORK_ERROR if isinstance(failure.__cause__, OSError) else Ede.NO_REACHABLE_AUTHORITY
        ede = ExtendedError(code, str(failure))
        return Response(Rcode.SERVFAIL, ede=ede, plugin=PLUGIN, error=failure)

    def _finish(self, response: Response, *, keep: bool) -> None:
        self.response = response
        if self._timer is not None:
            self._timer.clear()
        for exchange in self._exchanges:
            exchange.close()
        self._exchanges.clear()
        askers, self._askers = [asker for _, asker in self._askers], []
        late = self._late or True in [asker.done() for asker in askers]
        self._terms.end(self, response if keep and late else None)
        self._answer(askers, response)

    def _answer(self, askers: list[Wait[Response]], response: Response) -> None:
        """Answer some of *askers*; those who are left have their turn when others have had theirs."""
        for asker in askers[:AT_ONCE]:
            if not asker.done():  # else it waits no longer
                asker.end(response, self._poller.hold)
        if len(askers) > AT_ONCE:
            get_running_loop().call_soon(self._answer, askers[AT_ONCE:], response)


def _mark(upstream: Upstream, response: Response) -> Response:
    """Say in a refusal who refused."""
    if response.rcode not in REFUSALS:
        return response
    text = f"{upstream.label} answered {rcode_to_text(response.rcode)}"
    return Response(response.rcode, ede=ExtendedError(Ede.NO_REACHABLE_AUTHORITY, text), plugin=PLUGIN)
