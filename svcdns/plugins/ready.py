"""ready - says over HTTP whether all plugins can answer.

Syntax:
    ```
    ready [ADDRESS] {
        monitor until-ready|continuously
    }
    ```

`/ready` at ADDRESS (`:8181`) answers 200 and `OK` once every plugin of every server block is ready. Before that it
answers 503 with the names of those that are not, and below them the reason of each; while the server shuts down, 503
and `Shutting down`.

- `monitor`: whether a plugin that was ready once is asked again (`continuously`) or not (`until-ready`, the default).

Examples:
    ```
    . {
        ready
    }
    ```
    ```
    . {
        ready localhost:8091 {
            monitor continuously
        }
    }
    ```
"""

import logging
from collections.abc import Callable, Sequence

from svcdns.admin import PLAIN
from svcdns.chain import Environment, Plugin, only, read_address
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_choice

PATH = "/ready"
_ADDRESS = ":8181"
_MONITORS = ("until-ready", "continuously")

log = logging.getLogger(__name__)


class Ready(Plugin):
    """Knows which plugins have still to become ready.

    Args:
        unready: Asks all plugins; names and reasons of those that are not ready.
        stopping: Whether the server shuts down.
        continuous: Whether a plugin that was ready once is asked again.
    """

    def __init__(
        self, unready: Callable[[], dict[str, str]], stopping: Callable[[], bool], *, continuous: bool
    ) -> None:
        self._unready = unready
        self._stopping = stopping
        self._continuous = continuous
        self._awaited: set[str] | None = None

    async def page(self) -> tuple[int, str, str]:
        """Answer ``/ready``."""
        if self._stopping():
            return 503, PLAIN, "Shutting down"
        waiting = self._ask()
        if not waiting:
            return 200, PLAIN, "OK"
        names = ",".join(sorted(waiting))
        log.info('Plugins not ready: "%s"', names)
        reasons = (f"\n{name}: {reason}" for name, reason in sorted(waiting.items()))
        return 503, PLAIN, names + "".join(reasons)

    def _ask(self) -> dict[str, str]:
        if self._awaited is not None and not self._awaited and not self._continuous:
            return {}
        unready = self._unready()
        if self._continuous or self._awaited is None:
            self._awaited = set(unready)
        self._awaited &= unready.keys()
        return {name: unready[name] for name in self._awaited}


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``ready`` and open its page."""
    directive = only(directives)
    address = read_address(directive, _ADDRESS)
    monitor = "until-ready"
    for option in directive.options:
        match option.name, option.words:
            case "monitor", (word,):
                monitor = option.value(parse_choice, word, _MONITORS)
            case "monitor", _:
                raise option.expected("until-ready|continuously")
            case _:
                raise option.unknown(("monitor",))
    plugin = Ready(environment.unready, environment.stopping, continuous=monitor == "continuously")
    environment.serve(directive, address, PATH, plugin.page)
    return plugin
