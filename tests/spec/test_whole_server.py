"""A whole server over a folder of manifests, with an upstream that tells what it was asked.

Source: the rules A3, A14, A17, A19, C1 and T2 of the frontend, and the DNS specification of Kubernetes.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from tests.fake_upstream import FakeUpstream, fake_upstream
from tests.serving import Page, Serving, serving
from tests.spec.table import cases

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.20
  ports: [{name: http, port: 80}]
"""
DB = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: 10.96.0.21
  ports: [{port: 5432}]
"""
OWN = """
. {{
    errors
    health 127.0.0.1:0
    ready 127.0.0.1:0
    prometheus 127.0.0.1:0
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        manifests manifests
        fallthrough in-addr.arpa ip6.arpa
    }}
    forward . 127.0.0.1:{upstream}
    cache 30
    loop
    loadbalance
}}
"""
NAME = "web.default.svc.cluster.local"


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[Serving, FakeUpstream]]:
    """Serve one Service."""
    async with (
        fake_upstream() as upstream,
        serving(OWN.format(upstream=upstream.port), {"manifests/web.yaml": WEB}) as server,
    ):
        yield server, upstream


def rcode(response: dns.message.Message) -> str:
    return dns.rcode.to_text(response.rcode())


@cases(
    "name rtype expected",
    [
        ("A", NAME, "A", ["10.96.0.20"]),
        ("A in capitals", NAME.upper(), "A", ["10.96.0.20"]),
        ("SRV", f"_http._tcp.{NAME}", "SRV", [f"0 100 80 {NAME}."]),
        ("PTR", "20.0.96.10.in-addr.arpa", "PTR", [f"{NAME}."]),
        ("T2 ANY", NAME, "ANY", ["10.96.0.20"]),
        ("version", "dns-version.cluster.local", "TXT", ['"1.1.0"']),
        ("another name", "www.example.com", "A", ["192.0.2.1"]),
        ("another reverse name", "1.2.0.192.in-addr.arpa", "A", ["192.0.2.1"]),
    ],
)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_what_is_there_is_answered_over_udp_and_tcp_at_one_port(
    name: str,
    rtype: str,
    expected: list[str],
    tcp: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async with cluster() as (server, _):
        assert await server.answers(name, rtype, tcp=tcp) == expected


@cases(
    "name expected",
    [
        ("A3 the zone", "cluster.local", "NOERROR"),
        ("A3 svc", "svc.cluster.local", "NOERROR"),
        ("A3 a namespace", "default.svc.cluster.local", "NOERROR"),
        ("A3 _tcp", f"_tcp.{NAME}", "NOERROR"),
        ("A19 absent", "absent.default.svc.cluster.local", "NXDOMAIN"),
        ("A19 a search path's double", "www.example.com.default.svc.cluster.local", "NXDOMAIN"),
        ("A5 A19 below a service", f"x.{NAME}", "NXDOMAIN"),
    ],
)
async def test_a19_names_of_the_cluster_never_leave_it(name: str, expected: str) -> None:
    async with cluster() as (server, upstream):
        for rtype in ("A", "AAAA", "MX", "TYPE65280", "ANY"):
            response = await server.ask(name, rtype)
            assert rcode(response) == expected
            assert response.flags & dns.flags.AA
            assert response.flags & dns.flags.RA
        assert [seen.name for seen in upstream.seen if seen.name.lower().endswith("cluster.local.")] == []


@pytest.mark.parametrize(
    "name",
    [
        "db",
        "localhost",
        "x.invalid",
        "x.test",
        "printer.local",
        "x.onion",
        "x.alt",
        "x.home.arpa",
        "resolver.arpa",
        ".",
    ],
)
async def test_t19_and_names_that_are_special_elsewhere_go_where_all_others_go(name: str) -> None:
    async with cluster() as (server, upstream):
        assert await server.answers(name) == ["192.0.2.1"]
        assert dns.name.from_text(name) in [dns.name.from_text(seen.name) for seen in upstream.seen]


async def test_a17_before_the_cluster_is_known_its_names_are_servfail_and_others_are_not() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        api = f"endpoint http://127.0.0.1:{closed.getsockname()[1]}"
        async with (
            fake_upstream() as upstream,
            serving(OWN.format(upstream=upstream.port).replace("manifests manifests", api), ready=False) as server,
        ):
            for name, rtype in [(NAME, "A"), ("cluster.local", "SOA"), ("absent.default.svc.cluster.local", "AAAA")]:
                response = await server.ask(name, rtype)
                assert rcode(response) == "SERVFAIL"
                assert [int(error.code) for error in response.extended_errors()] == [14]
            assert await server.answers("www.example.com") == ["192.0.2.1"]
            assert (await server.http("/ready")).status == 503
            assert (await server.http("/health")).status == 200


async def test_n12_no_word_of_a_client_becomes_a_metric() -> None:
    async with cluster() as (server, _):
        for name in (NAME, "x.cluster.local"):
            await server.ask(name, "TYPE65280")
        await server.ask("first.example.com", "TYPE65280")
        before = series(await server.http("/metrics"))
        for number in range(200):
            name = f"x{number}{chr(92)}010{chr(92)}034.cluster.local" if number % 2 else f"{number}.example.com"
            await server.ask(name, f"TYPE{65280 + number}")
        assert series(await server.http("/metrics")) - before == set()


def series(page: Page) -> set[str]:
    """Return the names and labels of all samples but the process's own."""
    return {line.rpartition(" ")[0] for line in page.text.splitlines() if line.startswith(("coredns_dns", "svcdns_"))}


async def test_a_change_of_a_manifest_is_a_change_of_the_answers() -> None:
    async with cluster() as (server, _):
        assert rcode(await server.ask("db.default.svc.cluster.local")) == "NXDOMAIN"
        serial = (await server.answers("cluster.local", "SOA"))[0].split()[2]
        server.write("manifests/db.yaml", DB)

        async def appeared() -> bool:
            return await server.answers("db.default.svc.cluster.local") == ["10.96.0.21"]

        await server.until(appeared)
        assert int((await server.answers("cluster.local", "SOA"))[0].split()[2]) > int(serial)  # A14
        (server.folder / "manifests/db.yaml").unlink()

        async def vanished() -> bool:
            return rcode(await server.ask("db.default.svc.cluster.local")) == "NXDOMAIN"

        await server.until(vanished)


async def test_the_side_ports_tell_how_it_is() -> None:
    async with cluster() as (server, _):
        await server.ask(NAME)
        assert (await server.http("/health")).text == "OK"
        assert (await server.http("/ready")).text == "OK"
        metrics = (await server.http("/metrics")).text
        assert "coredns_dns_requests_total{" in metrics
        assert (await server.http("/else")).status == 404


@pytest.mark.programs
async def test_dig_is_answered() -> None:
    async with cluster() as (server, _):
        output = await server.dig(NAME, "A")
        assert "status: NOERROR" in output
        assert "flags: qr aa rd ra;" in output
        assert await server.dig("+short", "+tcp", f"_http._tcp.{NAME}", "SRV") == f"0 100 80 {NAME}.\n"


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_a_stop_under_load_loses_no_query(tcp: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async with cluster() as (server, _):
        asked = [
            asyncio.create_task(server.ask(f"{number}.example.com" if number % 2 else NAME, tcp=tcp))
            for number in range(100)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        server.app.stop()
        assert [rcode(await each) for each in asked] == ["NOERROR"] * 100


async def test_a_reload_under_load_loses_no_query() -> None:
    async with cluster() as (server, _):
        corefile = (server.folder / "Corefile").read_text()
        stop = asyncio.Event()
        asking = asyncio.create_task(ask_on(server, stop))
        for text in (corefile.replace("cache 30", "cache 10"), "broken {", corefile):
            server.write("Corefile", text)
            server.app.reload()
            for _ in range(20):
                await server.ask(NAME)
        stop.set()
        assert await asking == {"NOERROR"}


async def ask_on(server: Serving, stop: asyncio.Event) -> set[str]:
    """Ask over and over until told to stop; return the rcodes."""
    rcodes = set()
    while not stop.is_set():
        rcodes |= {rcode(await server.ask(NAME)), rcode(await server.ask("www.example.com", tcp=True))}
    return rcodes
