"""health - says over HTTP that the process lives.

Syntax:
    ```
    health [ADDRESS] {
        lameduck DURATION
    }
    ```

`/health` at ADDRESS (`:8080`) answers 200 and `OK` from start to end; 503 only while one of several processes
(`multisocket`) has been silent for seconds, until another has its place. Each second the server asks that page itself,
so that a process which is slow or stuck shows in the metrics.

- `lameduck`: how long, after it was told to stop, the server goes on answering queries (0s), so that clients and load
  balancers have time to leave. `/health` stays at 200 meanwhile, while `/ready` is at 503 from the first moment.

Of several lines, the last that names ADDRESS or DURATION counts.

Examples:
    ```
    . {
        health {
            lameduck 5s
        }
    }
    ```
    ```
    . {
        health localhost:8091
    }
    ```

Metrics:
    - coredns_health_request_duration_seconds: how long the server's own request took.
    - coredns_health_request_failures_total: how often it failed.
"""

import asyncio
import logging
from collections.abc import Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout

from svcdns.admin import PLAIN
from svcdns.chain import Environment, Plugin, read_address
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_address, parse_duration
from svcdns.metrics import SLIM_TIME_BUCKETS

PATH = "/health"
_ADDRESS = ":8080"
_INTERVAL = 1.0
_TIMEOUT = 3.0
_SLOW = 1.0

log = logging.getLogger(__name__)


class Health(Plugin):
    """Answers for the process, and asks itself.

    Args:
        environment: What the application lends.
        url: Where the page is; empty where that is not known, so that nobody asks.
        lameduck: How long the server goes on answering after it was told to stop, in seconds.
    """

    singular = True

    def __init__(self, environment: Environment, url: str, lameduck: float) -> None:
        self.lameduck = lameduck
        self._url = url
        self._clock = environment.clock
        self._unwell = environment.unwell
        metrics = environment.metrics
        self._failures = metrics.counter(
            "coredns_health_request_failures_total", "The server's requests to its own health page that failed."
        ).labels()
        self._durations = metrics.histogram(
            "coredns_health_request_duration_seconds",
            "How long the server's requests to its own health page took.",
            (),
            SLIM_TIME_BUCKETS,
        ).labels()

    async def page(self) -> tuple[int, str, str]:
        """Answer ``/health``."""
        unwell = self._unwell()
        return (503, PLAIN, unwell) if unwell else (200, PLAIN, "OK")

    async def run(self) -> None:
        """Ask the page each second."""
        if not self._url:
            return
        async with ClientSession(timeout=ClientTimeout(total=_TIMEOUT)) as session:
            while True:
                await self._probe(session)
                await asyncio.sleep(_INTERVAL)

    async def _probe(self, session: ClientSession) -> None:
        began = self._clock()
        try:
            async with session.get(self._url) as response:
                await response.read()
        except (ClientError, OSError, TimeoutError) as error:
            self._failures.value += 1
            log.warning('Local health request to "%s" failed: %s', self._url, str(error) or repr(error))
        took = self._clock() - began
        self._durations.observe(took)
        if took > _SLOW:
            log.warning('Local health request to "%s" took %.3fs', self._url, took)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``health`` and open its page."""
    address, lameduck = _ADDRESS, 0.0
    for directive in directives:
        address = read_address(directive, address)
        lameduck = _read_lameduck(directive, lameduck)
    plugin = Health(environment, _url(*parse_address(address)), lameduck)
    environment.serve(directives[-1], address, PATH, plugin.page)
    return plugin


def _read_lameduck(directive: Directive, lameduck: float) -> float:
    for option in directive.options:
        match option.name, option.words:
            case "lameduck", (word,):
                lameduck = option.value(parse_duration, word)
            case "lameduck", _:
                raise option.expected("DURATION")
            case _:
                raise option.unknown(("lameduck",))
    return lameduck


def _url(host: str, port: int) -> str:
    """Return where this machine finds the page, or nothing where the system chooses the port."""
    if not port:
        return ""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not to listen on
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
