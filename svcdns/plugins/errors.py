"""errors - logs why queries failed.

Syntax:
    ```
    errors [stdout] {
        stacktrace
        consolidate DURATION REGEX [warning|error|info|debug] [show_first]
    }
    ```

Each answer that has an error behind it gives a line with the response code, the question and the error. What upstreams
answer, SERVFAIL too, is no error, nor is what comes from the cache. Where the text goes is the log's own affair:
`stdout` says nothing new.

- `stacktrace`: adds the traceback where the error is a bug.
- `consolidate`: counts the errors that REGEX (in Go's syntax) is found in, instead of logging each, and logs the count
  DURATION after the first one, at the level named (`error`). The first `consolidate` that fits counts. With
  `show_first` the first one is logged, too, and the count only if there were others.

Examples:
    ```
    . {
        errors
    }
    ```
    ```
    . {
        errors {
            consolidate 5m ".* i/o timeout$" warning
            consolidate 30s "^no upstream" error show_first
        }
    }
    ```
"""

import asyncio
import logging
import re
from collections.abc import Sequence

from svcdns.chain import Environment, Handler, Plugin, only
from svcdns.corefile import Directive, Option
from svcdns.corefile.regex import parse_regex
from svcdns.corefile.values import parse_choice, parse_duration
from svcdns.dns.message import Query, Response
from svcdns.dns.name import to_text
from svcdns.dns.records import type_to_text
from svcdns.errors import SvcdnsError

_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR, "info": logging.INFO, "debug": logging.DEBUG}
_CONSOLIDATE = "DURATION REGEX [warning|error|info|debug] [show_first]"
_SHORTEST_PERIOD = 1e-9

log = logging.getLogger(__name__)


class Consolidation:
    """Counts errors that are alike.

    Args:
        pattern: What their text has in common.
        shown_pattern: The same as it was written.
        period: How long to count before the count is logged, in seconds.
        shown_period: The same as it was written.
        level: The level to log at.
        show_first: Whether the first error of a period is logged whole.
    """

    def __init__(
        self,
        pattern: re.Pattern[str],
        shown_pattern: str,
        period: float,
        shown_period: str,
        level: int,
        *,
        show_first: bool,
    ) -> None:
        self.pattern = pattern
        self.level = level
        self.show_first = show_first
        self.count = 0
        self._shown_pattern = shown_pattern
        self._period = period
        self._shown_period = shown_period

    async def report(self) -> None:
        """Log the count after the period, or when cancelled before."""
        try:
            await asyncio.sleep(self._period)
        finally:
            count, self.count = self.count, 0
            if count > self.show_first:
                log.log(
                    self.level,
                    "%d errors like '%s' occurred in last %s",
                    count,
                    self._shown_pattern,
                    self._shown_period,
                )


class Errors(Plugin):
    """Logs the errors behind answers.

    Args:
        environment: What the application lends.
        consolidations: What is counted instead; the first that fits.
        stacktrace: Whether bugs are logged with their traceback.
    """

    skippable = True

    def __init__(
        self, environment: Environment, consolidations: Sequence[Consolidation], *, stacktrace: bool = False
    ) -> None:
        self._spawn = environment.spawn
        self._consolidations = consolidations
        self._stacktrace = stacktrace

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Return the answer of the rest of the chain."""
        response = await rest(query)
        if response.error is not None:
            self._tell(query, response, response.error)
        return response

    def _tell(self, query: Query, response: Response, error: Exception) -> None:
        text = str(error) or repr(error)
        for each in self._consolidations:
            if each.pattern.search(text):
                each.count += 1
                if each.count == 1:
                    self._spawn(each.report())
                    if each.show_first:
                        self._log(each.level, query, response, error)
                return
        self._log(logging.ERROR, query, response, error)

    def _log(self, level: int, query: Query, response: Response, error: Exception) -> None:
        trace = error if self._stacktrace and not isinstance(error, SvcdnsError) else None
        name, rtype = to_text(query.name), type_to_text(query.rtype)
        log.log(level, "%d %s %s: %s", response.rcode, name, rtype, str(error) or repr(error), exc_info=trace)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``errors``."""
    directive = only(directives)
    if directive.words not in {(), ("stdout",)}:
        raise directive.expected("nothing or 'stdout'")
    consolidations = []
    stacktrace = False
    for option in directive.options:
        match option.name:
            case "stacktrace":
                if option.words:
                    raise option.expected("nothing")
                stacktrace = True
            case "consolidate":
                consolidations.append(_read_consolidation(option))
            case _:
                raise option.unknown(("stacktrace", "consolidate"))
    return Errors(environment, consolidations, stacktrace=stacktrace)


def _read_consolidation(option: Option) -> Consolidation:
    match option.words:
        case (period, regex):
            level, show_first = "error", False
        case (period, regex, "show_first"):
            level, show_first = "error", True
        case (period, regex, level):
            show_first = False
        case (period, regex, level, "show_first"):
            show_first = True
        case _:
            raise option.expected(_CONSOLIDATE)
    return Consolidation(
        option.value(parse_regex, regex),
        regex,
        option.value(parse_duration, period, _SHORTEST_PERIOD),
        period,
        _LEVELS[option.value(parse_choice, level, _LEVELS)],
        show_first=show_first,
    )
