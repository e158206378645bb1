"""The whole process: start, reload and stop, asked from outside."""

import asyncio
import gc
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from svcdns.errors import ConfigError
from svcdns.plugins import reload as reload_plugin
from tests import octets
from tests.fake_upstream import FakeUpstream, fake_upstream
from tests.fakes import environment
from tests.ports import free_port
from tests.serving import ADDRESS, PATIENCE, Page, Serving, serving

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.20
"""
WEB_NAME = "web.default.svc.cluster.local"
COREFILE = """
. {{
    ready 127.0.0.1:0
    prometheus 127.0.0.1:0
    health 127.0.0.1:0 {{
        lameduck {lameduck}
    }}
    kubernetes cluster.local {{
        manifests manifests
    }}
    forward . 127.0.0.1:{upstream}
    cache 30
}}
"""
FORWARDING = ". {{\n    forward . 127.0.0.1:{upstream} {{\n        {option}\n    }}\n}}\n"
MARK = "mark.test {\n}\n"
"""A block whose zone is REFUSED; without it, the upstream has an answer."""

BOUND = ".:0 {{\n    bind {}\n    errors\n}}\n"

RELOADS = 50
LOOK = 0.01
"""How often a Corefile is looked at where that is all that a test waits for, in seconds."""

BACK = "the Corefile is again the one in force"
REFUSED = "the Corefile changed but cannot be put in force"


@asynccontextmanager
async def cluster(lameduck: str = "0s") -> AsyncIterator[tuple[Serving, FakeUpstream, str]]:
    """Serve one Service, and all other names from an upstream; the last value is the Corefile."""
    async with fake_upstream() as upstream:
        corefile = COREFILE.format(upstream=upstream.port, lameduck=lameduck)
        async with serving(corefile, {"manifests/web.yaml": WEB}) as server:
            yield server, upstream, corefile


@contextmanager
def taken_port() -> Iterator[int]:
    """Listen at a port over TCP."""
    with socket.socket() as other:
        other.bind((ADDRESS, 0))
        other.listen()
        yield other.getsockname()[1]


async def rcode(name: str, port: int, address: str = ADDRESS, *, tcp: bool = False) -> str:
    """Ask for addresses; return the response code, or ``closed`` where nobody listens."""
    exchange = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    try:
        response = await exchange(dns.message.make_query(name, "A"), address, timeout=PATIENCE, port=port)
    except ConnectionRefusedError:
        return "closed"
    return dns.rcode.to_text(response.rcode())


async def reload(server: Serving, corefile: str, name: str, expected: str, port: int | None = None) -> None:
    """Have *corefile* put in force, which *name* shows when its response code is the expected one."""
    server.write("Corefile", corefile)
    server.app.reload()

    async def is_in_force() -> bool:
        try:
            return await rcode(name, port or server.port, tcp=True) == expected
        except EOFError:  # the listener went before the question came
            return False

    await server.until(is_in_force)


async def refusals(server: Serving) -> float:
    """Return how many Corefiles could not be put in force."""
    metrics = (await server.http("/metrics")).text
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("coredns_reload_failed"))


async def reload_in_vain(server: Serving, corefile: str) -> None:
    """Have *corefile* refused."""
    before = await refusals(server)
    server.write("Corefile", corefile)
    server.app.reload()

    async def is_refused() -> bool:
        return await refusals(server) > before

    await server.until(is_refused)


async def ask_on(server: Serving, stop: asyncio.Event, *, tcp: bool) -> int:
    """Ask over and over until told to stop, one packet a question; return how often there was an answer."""
    count = 0
    while not stop.is_set():
        for name in (WEB_NAME, f"{count}.example.com"):
            assert await rcode(name, server.port, tcp=tcp) == "NOERROR"
            count += 1
    return count


async def ask_until_refused(server: Serving, counts: Counter[str], *, tcp: bool) -> None:
    """Ask over and over, with a connection for each question over TCP, until there is nobody to ask.

    Every query that could be sent is answered, unless the kernel says that nobody has its port.
    """
    loop = asyncio.get_running_loop()
    query = octets.query(octets.question(WEB_NAME))
    framed = len(query).to_bytes(2) + query
    with suppress(ConnectionRefusedError):
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
                client.setblocking(False)  # noqa: FBT003 - its only argument
                await loop.sock_connect(client, (ADDRESS, server.port))
                await loop.sock_sendall(client, framed if tcp else query)
                answer = await loop.sock_recv(client, 512)
                assert octets.read_header(answer[2:] if tcp else answer).id == octets.ID
                counts["tcp" if tcp else "udp"] += 1


async def test_fifty_reloads_under_load_lose_no_query() -> None:
    async with cluster() as (server, _, corefile):
        stop = asyncio.Event()
        asking = [asyncio.create_task(ask_on(server, stop, tcp=tcp)) for tcp in (False, True) * 2]
        for turn in range(0, RELOADS, 5):
            port = free_port()
            other = f"other.test:{port} {{\n    health 127.0.0.1:0\n}}\n"
            await reload(server, corefile + MARK, "mark.test", "REFUSED")
            await reload_in_vain(server, corefile + "broken {\n")
            await reload(
                server, corefile.replace("cache 30", f"cache {turn + 2}") + other, "other.test", "REFUSED", port
            )
            await reload_in_vain(server, corefile + other + other)
            await reload(server, corefile, "other.test", "closed", port)
        stop.set()
        assert min(await asyncio.gather(*asking)) > RELOADS


async def test_a_corefile_that_is_wrong_changes_nothing_and_the_log_names_file_and_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with cluster() as (server, _, corefile):
        await reload_in_vain(server, f"{corefile}{MARK}. {{\n    cach {{$NOT_SET_ANYWHERE}}\n}}\n")
        assert await rcode(WEB_NAME, server.port) == "NOERROR"
        assert await rcode("mark.test", server.port) == "NOERROR"
        line = corefile.count("\n") + MARK.count("\n") + 2
        assert f"Corefile:{line}: unknown directive 'cach', did you mean 'cache'?" in caplog.text
        assert f"Corefile:{line}: the environment has no 'NOT_SET_ANYWHERE': it is left empty" in caplog.text


async def test_a_corefile_that_stays_wrong_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    looking = "mark.test {\n    reload 2s 0s\n}\n"
    async with cluster() as (server, _, corefile):
        await reload(server, corefile + looking, "mark.test", "REFUSED")
        server.write("Corefile", f"{corefile}{looking}. {{\n    cach {{$NOT_SET_ANYWHERE}}\n}}\n")

        async def is_refused_twice() -> bool:
            return await refusals(server) == 2

        await server.until(is_refused_twice)
        assert caplog.text.count("'cach'") == 1
        assert caplog.text.count("'NOT_SET_ANYWHERE': it is left empty") == 1


def often_looked_at(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> str:
    """Have `info` lines in *caplog*, and return a server block that has the Corefile looked at all the time."""
    caplog.set_level("INFO")
    monkeypatch.setattr(reload_plugin, "_SHORTEST_INTERVAL", LOOK)
    return f"mark.test {{\n    reload {LOOK * 1000:g}ms 0s\n}}\n"


async def write_until_told(server: Serving, corefile: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """Have *corefile* looked at until a new line of the log holds *told*."""
    caplog.clear()
    server.write("Corefile", corefile)

    async def is_told() -> bool:
        return any(told in message for message in caplog.messages)

    await server.until(is_told)


@pytest.mark.parametrize(
    "turn",
    [("cach", ""), ("cache 0", ""), ("cache 0", "cach"), ("cache 0", "cach", "")],
    ids=["unread", "unusable", "unusable and unread", "all"],
)
async def test_a_corefile_that_comes_back_is_told_of_anew_be_it_refused_or_in_force(
    turn: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looking = often_looked_at(monkeypatch, caplog)
    async with cluster() as (server, _, corefile):
        await reload(server, corefile + looking, "mark.test", "REFUSED")
        for wrong in turn * 2:
            added = f". {{\n    {wrong}\n}}\n" if wrong else ""
            await write_until_told(server, corefile + looking + added, REFUSED if wrong else BACK, caplog)


async def test_a_corefile_that_could_not_be_put_in_force_anew_is_told_of_where_it_is_put_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looking = often_looked_at(monkeypatch, caplog)
    corefile = f". {{\n    loadbalance weighted weights {{\n        reload 0s\n    }}\n}}\n{looking}"
    async with serving(corefile, {"weights": ""}) as server:
        (server.folder / "weights").unlink()
        server.app.reload()
        await write_until_told(server, corefile, REFUSED, caplog)
        await write_until_told(server, corefile + "broken {\n", REFUSED, caplog)
        await write_until_told(server, corefile, BACK, caplog)


async def test_a_corefile_that_is_put_back_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looking = often_looked_at(monkeypatch, caplog)
    looks = asyncio.Semaphore(0)
    async with cluster() as (server, _, corefile):
        await reload(server, corefile + looking, "mark.test", "REFUSED")
        await write_until_told(server, corefile + "broken {\n", REFUSED, caplog)
        await write_until_told(server, corefile + looking, BACK, caplog)
        clock = asyncio.create_task(reload_plugin.Reload(environment(look_again=looks.release), LOOK, 0).run())
        for _ in range(5):  # that many times and more it has looked by then
            await looks.acquire()
        clock.cancel()
        assert [message for message in caplog.messages if BACK in message] == [BACK]


async def test_a_corefile_that_names_a_taken_port_opens_none_of_its_ports() -> None:
    async with cluster() as (server, _, corefile):
        port = free_port()
        with taken_port() as taken:
            more = f"other.test:{port} {{\n    health 127.0.0.1:{taken}\n}}\n"
            await reload_in_vain(server, corefile + MARK + more)
            await reload_in_vain(server, f"{corefile}{MARK}other.test:{port} {{\n}}\nlast.test:{taken} {{\n}}\n")
        assert await rcode("other.test", port, tcp=True) == "closed"
        assert await rcode("mark.test", server.port) == "NOERROR"
        await reload(server, f"{corefile}other.test:{port} {{\n}}\n", "other.test", "REFUSED", port)


async def test_side_ports_are_opened_and_closed_and_those_that_stay_are_the_same() -> None:
    async with cluster() as (server, _, corefile):
        before = server.app.site_ports()
        extra = f"127.0.0.2:{free_port()}"
        await reload(server, f"{corefile}{MARK}other.test {{\n    ready {extra}\n}}\n", "mark.test", "REFUSED")
        assert server.app.site_ports().items() - before.items() == {(extra, int(extra.rpartition(":")[2]))}
        await reload(server, corefile, "mark.test", "NOERROR")

        async def is_as_before() -> bool:
            return server.app.site_ports() == before

        await server.until(is_as_before)


@pytest.mark.parametrize("first", ["", "    bind 127.0.0.1\n"], ids=["bound", "unbound"])
async def test_a_block_can_be_bound_and_unbound_while_it_serves(first: str) -> None:
    port = free_port()
    corefile = ".:%d {\n%s    health %s:%d\n}\n"
    side = free_port()
    async with serving(corefile % (port, first, "" if first else ADDRESS, side)) as server:
        second = "" if first else "    bind 127.0.0.1\n"
        after = corefile % (port, second, ADDRESS if first else "", side)
        await reload(server, after + f"mark.test:{free_port()} {{\n}}\n", WEB_NAME, "REFUSED")
        wanted = {ADDRESS} if second else {"0.0.0.0", "::"}

        async def is_bound() -> bool:
            return {address for address, each in server.app.addresses() if each == port} == wanted

        await server.until(is_bound)
        assert await rcode(WEB_NAME, port) == "REFUSED"
        assert (await server.http("/health")).status == 200


async def test_addresses_that_are_given_up_are_none_of_its_own_from_the_swap_on() -> None:
    async with serving(BOUND.format("127.0.0.1")) as server:
        seen: list[set[str]] = []

        async def look() -> None:
            while True:
                seen.append({address for address, _ in server.app.addresses()})
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        server.write("Corefile", BOUND.format("127.0.0.2"))
        server.app.reload()
        await server.until(lambda: asyncio.sleep(0, {"127.0.0.2"} in seen))
        looking.cancel()
    assert {frozenset(each) for each in seen} == {frozenset({"127.0.0.1"}), frozenset({"127.0.0.2"})}


async def test_a_stop_amid_a_reload_closes_what_the_reload_was_closing() -> None:
    async with serving(BOUND.format("127.0.0.1")) as server:
        server.write("Corefile", BOUND.format("127.0.0.2"))
        server.app.reload()
        await server.until(lambda: asyncio.sleep(0, server.app.addresses()[0][0] == "127.0.0.2"))
    gc.collect()  # tells of a socket that nobody closed


@pytest.mark.parametrize("option", ["prefer_udp", "force_tcp"])
@pytest.mark.parametrize("tcp", [False, True])
async def test_what_waits_for_an_upstream_is_answered_when_no_forward_is_left(option: str, *, tcp: bool) -> None:
    async with fake_upstream() as upstream, serving(FORWARDING.format(upstream=upstream.port, option=option)) as server:
        waiting = asyncio.create_task(rcode("blackhole.example.com", server.port, tcp=tcp))
        await asyncio.wait_for(upstream.wait_for(1), PATIENCE)
        server.write("Corefile", ". {\n errors\n}\n")
        server.app.reload()
        assert await waiting == "SERVFAIL"


async def test_what_was_cached_and_read_lives_on() -> None:
    async with cluster() as (server, upstream, corefile):
        assert await rcode("once.example.com", server.port) == "NOERROR"
        server.write("manifests/web.yaml", "kind: [")  # a source that began anew would not get over this
        await reload(server, corefile + MARK, "mark.test", "REFUSED")
        assert await rcode("once.example.com", server.port) == "NOERROR"
        assert await rcode(WEB_NAME, server.port) == "NOERROR"
        assert len(upstream.named("once")) == 1


async def test_a_source_that_only_the_old_corefile_asked_for_is_read_anew() -> None:
    async with cluster() as (server, _, corefile):
        without = corefile.replace("kubernetes cluster.local {\n        manifests manifests\n    }", "")
        await reload(server, without + MARK, "mark.test", "REFUSED")
        server.write("manifests/web.yaml", WEB.replace("web", "db"))
        await reload(server, corefile, "db.default.svc.cluster.local", "NOERROR")
        assert await rcode(WEB_NAME, server.port) == "NXDOMAIN"


async def test_a_corefile_that_says_the_same_is_put_in_force_only_when_told_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with cluster() as (server, _, corefile):
        server.write("Corefile", f"# another comment\n{corefile}")
        server.app.reload()

        async def is_complete() -> bool:
            return "reloading complete" in caplog.text

        await server.until(is_complete)
        assert await refusals(server) == 0


async def test_a_stop_answers_what_waits_for_an_upstream() -> None:
    async with cluster() as (server, upstream, _):
        asking = [
            asyncio.create_task(rcode(f"slow-300.{number}.example.com", server.port, tcp=tcp))
            for number, tcp in enumerate((False, True) * 10)
        ]
        await upstream.wait_for(len(asking))
        server.app.stop()
        assert await asyncio.gather(*asking) == ["NOERROR"] * len(asking)


async def test_a_stop_under_load_answers_or_refuses_every_query() -> None:
    counts: Counter[str] = Counter()
    async with cluster(lameduck="100ms") as (server, _, _):
        asking = [asyncio.create_task(ask_until_refused(server, counts, tcp=tcp)) for tcp in (False, True) * 4]

        async def are_busy() -> bool:
            return min(counts["udp"], counts["tcp"]) > 100

        await server.until(are_busy)
        server.app.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*asking)


async def test_while_it_stops_it_is_unready_and_alive_and_answers() -> None:
    async with cluster(lameduck="500ms") as (server, _, _):
        assert (await server.http("/ready")).status == 200
        server.app.stop()

        async def is_stopping() -> bool:
            return await server.http("/ready") == Page(503, "Shutting down")

        await server.until(is_stopping)
        assert await server.http("/health") == Page(200, "OK")
        assert await rcode(WEB_NAME, server.port) == "NOERROR"
        assert await rcode("www.example.com", server.port, tcp=True) == "NOERROR"


async def test_a_start_that_fails_leaves_no_port_open() -> None:
    port = free_port()
    with taken_port() as taken, pytest.raises(ConfigError, match=f"cannot listen on 0.0.0.0:{taken} over TCP"):
        async with serving(f".:{port} {{\n}}\n.:{taken} {{\n}}\n"):
            pass
    assert await rcode(WEB_NAME, port, tcp=True) == "closed"


@pytest.mark.parametrize(
    ("corefile", "line", "reason"),
    [
        (". {\n}\n.:PORT {\n}\n", 3, "cannot listen on 0.0.0.0:PORT over TCP: "),
        ("a.test,\nb.test:PORT {\n}\n", 2, "cannot listen on 0.0.0.0:PORT over TCP: "),
        (".:PORT {\n    errors\n    bind 127.0.0.1\n}\n", 3, "bind: cannot listen on 127.0.0.1:PORT over TCP: "),
        (". {\n    bind 127.0.0.1\n    bind 192.0.2.1\n}\n", 3, "bind: cannot listen on 192.0.2.1:0 over UDP: "),
        (". {\n    health 127.0.0.1:PORT\n}\n", 2, "health: cannot listen for HTTP on 127.0.0.1:PORT: "),
        (". {\n    errors\n    ready :PORT\n}\n", 3, "ready: cannot listen for HTTP on :PORT: "),
        (". {\n    prometheus 127.0.0.1:PORT\n}\n", 2, "prometheus: cannot listen for HTTP on 127.0.0.1:PORT: "),
    ],
)
async def test_who_asks_for_an_address_that_cannot_be_had_is_named(corefile: str, line: int, reason: str) -> None:
    with taken_port() as taken:
        with pytest.raises(ConfigError) as caught:
            async with serving(corefile.replace("PORT", str(taken))):
                pass
        assert Path(caught.value.path).name == "Corefile"
        assert caught.value.line == line
        assert caught.value.reason.startswith(reason.replace("PORT", str(taken)))


async def test_an_address_that_is_named_twice_is_listened_on_once() -> None:
    async with serving(". {\n    bind 127.0.0.1\n    bind 127.0.0.2 127.0.0.1\n}\n") as server:
        assert [address for address, _ in server.app.addresses()] == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("bound_first", [True, False])
async def test_blocks_may_share_a_port_at_one_address_and_at_all(*, bound_first: bool) -> None:
    port = free_port()
    block = "%s:%d {\n    %s\n    kubernetes {\n        manifests manifests\n    }\n}\n"
    blocks = [block % ("bound.test", port, f"bind {ADDRESS}"), block % ("other.test", port, "errors")]
    async with serving("".join(blocks if bound_first else blocks[::-1]), {"manifests/web.yaml": WEB}):
        for tcp in (False, True):
            assert await rcode("web.default.svc.bound.test", port, tcp=tcp) == "NOERROR"
            assert await rcode("web.default.svc.other.test", port, tcp=tcp) == "REFUSED"
            for address in ("127.0.0.2", "::1"):
                assert await rcode("web.default.svc.other.test", port, address, tcp=tcp) == "NOERROR"
                assert await rcode("web.default.svc.bound.test", port, address, tcp=tcp) == "REFUSED"


async def test_side_ports_may_share_a_port_at_one_address_and_at_all() -> None:
    port = free_port()
    pages = (
        f"s.test {{\n    health :{port}\n}}\nt.test {{\n    health {ADDRESS}:{port}\n    ready 127.0.0.2:{port}\n}}\n"
    )
    async with serving(pages) as server:
        assert await server.http("/health") == Page(200, "OK")
        assert set(server.app.site_ports()) == {f":{port}", f"{ADDRESS}:{port}", f"127.0.0.2:{port}"}


@pytest.mark.parametrize("first", ["bind 127.0.0.1", "bind 0.0.0.0"])
async def test_a_zone_is_not_served_at_one_address_and_at_all(first: str) -> None:
    zone = "a.test" if first == "bind 127.0.0.1" else "b.test"
    port = free_port()
    with pytest.raises(ConfigError) as caught:
        async with serving(f"a.test:{port} {{\n    {first}\n}}\n{zone}:{port} {{\n}}\n"):
            pass
    assert caught.value.line == 4
    assert "bind" in caught.value.reason
