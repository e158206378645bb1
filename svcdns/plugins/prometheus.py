"""prometheus - serves metrics over HTTP, with CoreDNS's names, labels and buckets.

Syntax:
    ```
    prometheus [ADDRESS] {
        runtime_metrics
    }
    ```

`/metrics` at ADDRESS (`localhost:9153`) shows all metrics of the process. Queries are counted in the server blocks that
have this directive. Names, types and response codes that clients and upstreams make up add no series.

- `runtime_metrics`: changes nothing; the metrics of Python are always there.

Examples:
    ```
    . {
        prometheus :9153
    }
    ```
    ```
    . {
        prometheus localhost:9253
    }
    ```

Metrics:
    - coredns_build_info{version, revision, goversion}: the version of svcdns and of Python.
    - coredns_dns_requests_total{server, zone, view, proto, family, type}: queries. The zone is that of the server
      block, or `dropped` where none took the query; types without a name of their own are `other`.
    - coredns_dns_request_duration_seconds{server, zone, view}: from the query to its answer.
    - coredns_dns_request_size_bytes{server, zone, view, proto}: octets of queries.
    - coredns_dns_do_requests_total{server, zone, view}: queries that ask for DNSSEC.
    - coredns_dns_response_size_bytes{server, zone, view, proto}: octets of answers before compression.
    - coredns_dns_responses_total{server, zone, view, rcode, plugin}: answers, and which plugin made them.
    - process_*, python_*: the process, and Python in it.
"""

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from svcdns.chain import Environment, Handler, Plugin, only, read_address
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Response
from svcdns.metrics import CONTENT_TYPE, Exposition, label_text, sample
from svcdns.traffic import Traffic

PATH = "/metrics"
_ADDRESS = "localhost:9153"


class Prometheus(Plugin):
    """Counts the queries of a server block, and serves all metrics.

    Args:
        environment: What the application lends.
    """

    skippable = True

    def __init__(self, environment: Environment) -> None:
        self._clock = environment.clock
        self._metrics = environment.metrics
        self._settle = environment.settle
        self._count = Traffic(environment.metrics).count
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Return the answer of the rest of the chain."""
        began = self._clock()
        response = await rest(query)
        return self._count(query, response, self._clock() - began)

    async def page(self) -> tuple[int, str, str]:
        """Answer ``/metrics``."""
        await self._settle()
        return 200, CONTENT_TYPE, self._metrics.expose(self._process())

    def _process(self) -> Iterable[Exposition]:
        for family in self._registry.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            lines = [sample(each.name, label_text(each.labels), each.value) for each in family.samples]
            yield Exposition(name, family.documentation, family.type, lines)


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``prometheus`` and open its page."""
    directive = only(directives)
    address = read_address(directive, _ADDRESS)
    for option in directive.options:
        match option.name, option.words:
            case "runtime_metrics", ():
                pass
            case "runtime_metrics", _:
                raise option.expected("nothing")
            case "tls", _:
                raise option.unsupported()
            case _:
                raise option.unknown(("runtime_metrics",))
    built = environment.metrics.gauge(
        "coredns_build_info", "The version of svcdns, and of Python.", ("version", "revision", "goversion")
    )
    built.labels(version("svcdns"), "", f"python{platform.python_version()}").value = 1
    plugin = Prometheus(environment)
    environment.serve(directive, address, PATH, plugin.page)
    return plugin
