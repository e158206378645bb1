"""guard - makes a SERVFAIL of a failure, so that no query can end the process.

Syntax:
    None: it stands in every server block, below `log`, and no Corefile names it.

A plugin that raises an error answers SERVFAIL with it, which `prometheus`, `errors` and `log` then see as any other
answer. An error that svcdns does not know is a bug: it is counted, and logged with its traceback, at most once a
second.

Metrics:
    - coredns_panics_total: errors that svcdns does not know.
"""

import logging
from collections.abc import Callable, Sequence

from svcdns.chain import Environment, Handler, Plugin
from svcdns.corefile import Directive
from svcdns.dns.message import Ede, ExtendedError, Query, Rcode, Response
from svcdns.dns.name import to_text
from svcdns.dns.records import type_to_text
from svcdns.errors import SvcdnsError
from svcdns.metrics import Counter

_PAUSE = 1.0
_FAILED = ExtendedError(Ede.OTHER)

log = logging.getLogger(__name__)


class Guard(Plugin):
    """Turns errors into answers.

    Args:
        clock: Monotonic time in seconds.
        panics: Counts errors outside of our tree.
    """

    skippable = True

    def __init__(self, clock: Callable[[], float], panics: Counter) -> None:
        self._clock = clock
        self._panics = panics
        self._next_line = clock()

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Answer what the rest of the chain does, or SERVFAIL where it fails."""
        try:
            return await rest(query)
        except SvcdnsError as error:
            return Response(Rcode.SERVFAIL, ede=_FAILED, error=error)
        except Exception as error:  # noqa: BLE001 - the one place where a query's failure ends, whatever it is
            self._panics.value += 1
            self._tell(query, error)
            return Response(Rcode.SERVFAIL, ede=_FAILED, error=error)

    def _tell(self, query: Query, error: Exception) -> None:
        if self._clock() >= self._next_line:
            self._next_line = self._clock() + _PAUSE
            log.error("%s %s failed: %r", to_text(query.name), type_to_text(query.rtype), error, exc_info=error)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:  # noqa: ARG001 - nothing can be set
    """Put the guard up; no directive is ever given."""
    panics = environment.metrics.counter("coredns_panics_total", "Errors in answering that are bugs.")
    return Guard(environment.clock, panics.labels())
