"""loop - leaves upstreams alone that lead back to this server.

Syntax:
    ```
    loop
    ```

Each upstream of `forward` is asked once for a random name. If that question comes back here, to whichever process of
the server, the upstream leads to ourselves, and every query would go round until it times out: so it gets no further
one, queries that only it could answer are SERVFAIL, a line in the log names it, and all other names are answered as
before. It is asked again every 30 seconds, and used once the question does not come back. An upstream that gives no
answer within 30 seconds from the start is taken for good.

Examples:
    ```
    . {
        forward . /etc/resolv.conf
        loop
    }
    ```

Metrics:
    - svcdns_loop_detected_total{to}: how often a question to an upstream came back.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence

from svcdns.chain import Environment, Handler, Plugin, Resource, only
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import Name, join
from svcdns.dns.records import RRset, Rtype
from svcdns.errors import UpstreamError
from svcdns.net.asking import ask
from svcdns.net.upstream import Upstream
from svcdns.roles import Forwarder

PATIENCE = 2.0
"""How long an upstream has to answer, in seconds."""

INTERVAL = 2.0
"""How long until it is looked again which upstreams are to be asked, in seconds."""

MOST_TRIES = 15
"""How often an upstream is asked that gives no answer."""

PAUSE = 30.0
"""How long a looping upstream is left alone until it is asked again, in seconds."""

_RANDOM_OCTETS = 8
_PLUGIN = "loop"

log = logging.getLogger(__name__)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read the `loop` directive of a server block."""
    directive = only(directives)
    if directive.words:
        raise directive.expected("no arguments")
    for option in directive.options:
        raise option.unknown(())
    return Loop(environment)


class Mark(Resource):
    """What the processes of one server know each other by.

    Attributes:
        label: Is in the names that they ask for.
        proof: Is in what they answer, and in no question, so that nobody else can say it.
    """

    def __init__(self) -> None:
        self.label = secrets.token_hex(_RANDOM_OCTETS).encode()
        self.proof = secrets.token_hex(_RANDOM_OCTETS).encode()

    def inherit(self) -> "Mark":
        """Return the same, so that a worker is known."""
        return self


class Loop(Plugin):
    """Asks upstreams for names that only this server knows, and watches for these to come in.

    Args:
        environment: Its zone is what is asked for, and its `forward` knows the upstreams.
    """

    skippable = True

    def __init__(self, environment: Environment) -> None:
        mark = environment.keep(("loop", environment.place()), Mark)
        self._names = join((mark.label,), environment.zones[0])
        self._proof = b"".join(bytes((len(text),)) + text for text in (_PLUGIN.encode(), mark.proof))
        self._find = environment.find
        self._clock: Callable[[], float] = environment.clock
        self._asked: dict[Name, bool] = {}
        self._detected = environment.metrics.counter(
            "svcdns_loop_detected_total", "Questions to an upstream that came back.", ("to",)
        )

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Stop a question of our own; let every other pass."""
        if query.rtype != Rtype.HINFO or not query.name.endswith(self._names):
            return await rest(query)
        if query.name in self._asked:
            self._asked[query.name] = True
            return Response(Rcode.SERVFAIL, plugin=_PLUGIN)
        return Response(answer=(RRset(query.name, Rtype.HINFO, 0, [self._proof]),), plugin=_PLUGIN)

    async def run(self) -> None:
        """Ask every upstream until it is known not to loop."""
        forwarder = self._find(Forwarder)  # type: ignore[type-abstract]  # a protocol is looked for, none is made
        tries: dict[Upstream, int] = {}
        again: dict[Upstream, float] = {}
        while forwarder is not None:
            upstreams = forwarder.upstreams()
            tries = {upstream: tries.get(upstream, MOST_TRIES) for upstream in upstreams}
            now = self._clock()
            due = [each for each in upstreams if tries[each] and again.get(each, now) <= now]
            for upstream, settled in zip(due, await asyncio.gather(*map(self._test, due)), strict=True):
                again[upstream] = self._clock() + PAUSE if upstream.looping else now
                tries[upstream] = 0 if settled else MOST_TRIES if upstream.looping else tries[upstream] - 1
            again = {upstream: again[upstream] for upstream in upstreams if upstream in again}
            await asyncio.sleep(INTERVAL)

    async def _test(self, upstream: Upstream) -> bool:
        """Ask an upstream once, and tell whether it is now known not to loop."""
        name = join((secrets.token_hex(_RANDOM_OCTETS).encode(),), self._names)
        self._asked[name] = False
        try:
            response = await ask(upstream, Query(name, Rtype.HINFO), PATIENCE)
            answered, proven = True, any(self._proof in rrset.rdatas for rrset in response.answer)
        except UpstreamError:
            answered = proven = False
        looping = self._asked.pop(name) or proven
        if looping:
            self._detected.labels(upstream.label).value += 1
        if looping and not upstream.looping:
            log.error("upstream %s leads back to this server; it is left alone until it does not", upstream.label)
        if answered and not looping and upstream.looping:
            log.info("upstream %s no longer leads back to this server", upstream.label)
        upstream.looping = looping or (upstream.looping and not answered)
        return answered and not looping
