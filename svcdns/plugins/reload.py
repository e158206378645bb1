"""reload - reads the Corefile again and again, and puts it in force when it says something else.

Syntax:
    ```
    reload [INTERVAL [JITTER]]
    ```

The Corefile with all its imports is read every INTERVAL (30s by default, at least 2s), give or take half of JITTER (15s
by default, at least 1s or 0, at most half of INTERVAL). Comments and white space make no difference. Sockets, watches
and caches that the new file still asks for live on; a file that cannot be used changes nothing. Of several lines, the
last that names INTERVAL or JITTER counts.

Examples:
    ```
    . {
        reload 10s 5s
    }
    ```

Metrics:
    - coredns_reload_failed_total: Corefiles that could not be put in force.
    - coredns_reload_version_info{hash, value}: 1 for the Corefile in force, by the digest of what it says.
"""

import asyncio
import random
from collections.abc import Sequence

from svcdns.chain import Environment, Plugin
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_duration

_INTERVAL = 30.0
_SHORTEST_INTERVAL = 2.0
_JITTER = 15.0
_SHORTEST_JITTER = 1.0


class Reload(Plugin):
    """Has the Corefile looked at again every so often.

    Args:
        environment: What the application lends.
        interval: Seconds between two looks, on average.
        jitter: Seconds by which they differ, so that servers of one cluster do not all reload at once.
    """

    singular = True

    def __init__(self, environment: Environment, interval: float, jitter: float) -> None:
        self._environment = environment
        self._interval = interval
        self._jitter = jitter

    async def run(self) -> None:
        """Look again until cancelled."""
        while True:
            await asyncio.sleep(self._interval + self._jitter * (random.random() - 0.5))  # noqa: S311 - no secret
            self._environment.look_again()


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``reload [INTERVAL [JITTER]]``."""
    interval, jitter = _INTERVAL, _JITTER
    for directive in directives:
        match directive.words:
            case ():
                pass
            case (word,):
                interval = directive.value(parse_duration, word, _SHORTEST_INTERVAL)
            case (word, second):
                interval = directive.value(parse_duration, word, _SHORTEST_INTERVAL)
                jitter = directive.value(parse_duration, second)
                if 0 < jitter < _SHORTEST_JITTER:
                    raise directive.error(f"found a jitter of {second}, expected 0 or at least 1s")
            case _:
                raise directive.expected("[INTERVAL [JITTER]]")
        if directive.options:
            raise directive.options[0].unknown(())
    return Reload(environment, interval, min(jitter, interval / 2))
