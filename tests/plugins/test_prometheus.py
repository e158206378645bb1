from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from svcdns.chain import Handler, chain
from svcdns.dns.message import Listener, Query, Rcode, Response
from svcdns.dns.name import ROOT, from_text
from svcdns.dns.records import RRset
from svcdns.errors import ConfigError
from svcdns.metrics import Metrics
from tests.fakes import Clock, Pages, Script, environment, set_up

UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
TCP_6 = Listener("dns://:53", "tcp", 2, "::", 53)
ZONE = from_text("cluster.local.")
NAME = from_text("web.default.svc.cluster.local.")
QUERY = Query(NAME, 1, edns=True, size=59, listener=UDP, zone=ZONE)
ANSWER = Response(answer=(RRset(NAME, 1, 5, [b"\x0a\0\0\1"]),), aa=True, plugin="kubernetes")


class Server:
    """A server block whose answers take a while."""

    def __init__(self, text: str = "prometheus", answer: Response = ANSWER, seconds: float = 0.0003) -> None:
        self.metrics = Metrics()
        self.pages = Pages()
        clock = Clock()
        script = Script(answer)

        async def end(query: Query) -> Response:
            clock.now += seconds
            return await script(query)

        lent = environment(metrics=self.metrics, serve=self.pages, clock=clock)
        self.handle: Handler = chain(set_up(text, "prometheus", lent), end)

    async def text(self) -> str:
        (page,) = self.pages.pages.values()
        status, content_type, text = await page()
        assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return text


def series(text: str, beginning: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(beginning)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("prometheus", "localhost:9153"),
        ("prometheus :9153", ":9153"),
        ("prometheus 127.0.0.1:9253 {\nruntime_metrics\n}", "127.0.0.1:9253"),
    ],
)
def test_the_page_is_at_the_address(text: str, address: str) -> None:
    assert list(Server(text).pages.pages) == [(address, "/metrics")]


def histogram(name: str, labels: str, bounds: str, first: str, value: float) -> Iterable[str]:
    """Write a histogram of one observation, which falls into the bucket *first*, as Go does."""
    count = 0
    for bound in (*bounds.split(), "+Inf"):
        count += bound == first
        yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
    yield f"{name}_sum{{{labels}}} {value}"
    yield f"{name}_count{{{labels}}} 1"


async def test_a_query_is_counted_as_coredns_counts_it() -> None:
    server = Server(seconds=0.5)
    assert await server.handle(QUERY) is ANSWER
    place = 'server="dns://:53",view="",zone="cluster.local."'
    times = "0.00025 0.0005 0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192"
    sizes = "0 100 200 300 400 511 1023 2047 4095 8291 16000 32000 48000 64000"
    assert series(await server.text(), "coredns_dns") == [
        f"coredns_dns_do_requests_total{{{place}}} 0",
        *histogram("coredns_dns_request_duration_seconds", place, times, "0.512", 0.5),
        *histogram("coredns_dns_request_size_bytes", f'proto="udp",{place}', sizes, "100", 59),
        f'coredns_dns_requests_total{{family="1",proto="udp",server="dns://:53",type="A",{place[19:]}}} 1',
        *histogram("coredns_dns_response_size_bytes", f'proto="udp",{place}', sizes, "100", 92),
        f'coredns_dns_responses_total{{plugin="kubernetes",rcode="NOERROR",{place}}} 1',
    ]


async def test_equal_queries_add_up() -> None:
    server = Server()
    for _ in range(3):
        await server.handle(QUERY.replace(do=True))
    await server.handle(QUERY.replace(listener=TCP_6, rtype=28))
    text, rest = await server.text(), 'view="",zone="cluster.local."'
    assert series(text, "coredns_dns_requests_total") == [
        f'coredns_dns_requests_total{{family="1",proto="udp",server="dns://:53",type="A",{rest}}} 3',
        f'coredns_dns_requests_total{{family="2",proto="tcp",server="dns://:53",type="AAAA",{rest}}} 1',
    ]
    assert series(text, "coredns_dns_do_requests_total") == [
        'coredns_dns_do_requests_total{server="dns://:53",view="",zone="cluster.local."} 3'
    ]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        (Response(Rcode.NXDOMAIN, plugin="cache"), 'plugin="cache",rcode="NXDOMAIN"'),
        (Response(Rcode.SERVFAIL), 'plugin="",rcode="SERVFAIL"'),
        (Response(3000, plugin="forward"), 'plugin="forward",rcode="other"'),
    ],
)
async def test_an_answer_is_counted_with_its_maker(answer: Response, labels: str) -> None:
    server = Server(answer=answer)
    await server.handle(QUERY.replace(zone=ROOT))
    place = 'server="dns://:53",view="",zone="."'
    assert series(await server.text(), "coredns_dns_responses_total") == [
        f"coredns_dns_responses_total{{{labels},{place}}} 1"
    ]


async def test_what_clients_make_up_adds_no_series() -> None:
    server = Server()
    for number in range(3000):
        name = from_text(f"{number}.example.")
        await server.handle(QUERY.replace(name=name, rtype=number + 300, id=number, client=("10.0.0.1", number)))
    shown = series(await server.text(), "coredns_dns")
    assert len(shown) < 60
    assert any('type="other"' in line and line.endswith(" 3000") for line in shown)


async def test_the_page_shows_the_process_and_is_what_prometheus_reads() -> None:
    server = Server()
    await server.handle(QUERY)
    families = {family.name: family for family in text_string_to_metric_families(await server.text())}
    assert families.keys() >= {
        "process_cpu_seconds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "python_info",
        "python_gc_collections",
        "coredns_build_info",
    }
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert families["process_cpu_seconds"].type == "counter"
    assert set(families["coredns_build_info"].samples[0].labels) == {"version", "revision", "goversion"}
    assert [name for name in families if name.endswith("_created")] == []


async def test_the_order_of_families_is_that_of_their_names() -> None:
    server = Server()
    await server.handle(QUERY)
    names = [line.split()[2] for line in series(await server.text(), "# TYPE")]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prometheus 9153", "2: prometheus: found '9153', expected HOST:PORT"),
        ("prometheus :1 :2", "2: prometheus: found ':1 :2', expected [ADDRESS]"),
        ("prometheus\nprometheus", "3: prometheus: found again"),
        ("prometheus {\ntls tls.conf\n}", "3: 'tls' is an option of CoreDNS that svcdns does not have yet"),
        ("prometheus {\nruntime_metrics no\n}", "3: runtime_metrics: found 'no', expected nothing"),
        ("prometheus {\nruntime\n}", "3: unknown option 'runtime'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Server(text)
    assert reason in str(caught.value)
