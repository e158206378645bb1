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
    - coredns_plugin_enabled{server, zone, view, name}: 1 for each directive of the block that has the zone.
    - svcdns_unanswerable_total: messages without a header, or that are no queries; nothing is sent back.
    - svcdns_trailing_octets_total: queries with octets behind them.
    - svcdns_tcp_truncated_total: answers that not even TCP has room for.
    - svcdns_unsent_total: answers that the network refused.
    - svcdns_tcp_closed_total: TCP connections closed to keep a limit.
    - process_*, python_*: the process, and Python in it. CPU, memory and files are the sum over all processes
      (`multisocket`), so that memory they share counts several times.
"""

import os
import platform
import resource
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector

from svcdns import __version__
from svcdns.chain import Environment, Handler, Plugin, only, read_address
from svcdns.corefile import Directive
from svcdns.dns.message import Query, Response
from svcdns.metrics import CONTENT_TYPE, Exposition, label_text, sample
from svcdns.traffic import Traffic

PATH = "/metrics"
_ADDRESS = "localhost:9153"
_CPU = "process_cpu_seconds"
_SUMMED = frozenset({_CPU, "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"})
"""What all processes of the server have together."""


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
        self._workers = environment.workers
        self._count = Traffic(environment.metrics).count
        self._registry = CollectorRegistry(auto_describe=False)
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
        return 200, CONTENT_TYPE, self._metrics.expose(map(_show, self._collect()))

    def _collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        elsewhere = defaultdict(float, {_CPU: _sum_times(resource.getrusage(resource.RUSAGE_CHILDREN))})
        for family in chain.from_iterable(map(_describe_process, self._workers())):
            elsewhere[family.name] += family.samples[0].value
        for family in _describe_process(os.getpid()):
            added = elsewhere[family.name] if family.name in _SUMMED else 0
            family.samples[0] = family.samples[0]._replace(value=family.samples[0].value + added)
            yield family


def _describe_process(pid: int) -> Iterable[Metric]:
    """Return what the system tells of a process; nothing of one that is gone."""
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def _sum_times(usage: resource.struct_rusage) -> float:
    """Return the CPU time of workers that are gone, which must not be missing in a counter, in seconds."""
    return usage.ru_utime + usage.ru_stime


def _show(family: Metric) -> Exposition:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    lines = [sample(each.name, label_text(each.labels), each.value) for each in family.samples]
    return Exposition(name, family.documentation, family.type, lines)


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
    built.labels(__version__, "", f"python{platform.python_version()}").value = 1.0
    plugin = Prometheus(environment)
    environment.serve(directive, address, PATH, plugin.page)
    return plugin
