"""The side ports over real HTTP."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from svcdns import admin
from svcdns.admin import MAX_CONNECTIONS, Page, Site
from svcdns.errors import SvcdnsError
from tests.frontend import few_files

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


async def health() -> tuple[int, str, str]:
    return 200, "text/plain; charset=utf-8", "OK"


async def broken() -> tuple[int, str, str]:
    raise LookupError("broken page")


@asynccontextmanager
async def serving(
    pages: dict[str, Page] | None = None, ask_time: float = 5.0, answer_time: float = 15.0, pause: float = 1.0
) -> AsyncIterator[Site]:
    site = Site("127.0.0.1:0", pages or {"/health": health}, ask_time=ask_time, answer_time=answer_time, pause=pause)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


async def exchange(site: Site, octets: bytes) -> bytes:
    """Send *octets*, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(octets)
    try:
        return await reader.read()
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def drip(writer: asyncio.StreamWriter, octets: bytes) -> None:
    """Send *octets* every few milliseconds until the server has had enough."""
    while True:
        await writer.drain()
        writer.write(octets)
        await asyncio.sleep(0.005)


async def fetch(site: Site, path: str, method: str = "GET") -> tuple[int, str, str]:
    async with (
        ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{site.port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


@pytest.mark.parametrize("path", ["/health", "/health?verbose=1"])
async def test_a_registered_path_is_answered(path: str) -> None:
    async with serving() as site:
        assert await fetch(site, path) == (200, "text/plain; charset=utf-8", "OK")


@pytest.mark.parametrize("path", ["/", "/health/", "/healthz", "/debug/pprof", "/metrics", "/../health", "/static/x"])
async def test_any_other_path_is_not_found(path: str) -> None:
    async with serving() as site:
        assert b" 404 Not Found\r\n" in await exchange(site, f"GET {path} HTTP/1.0\r\n\r\n".encode())


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as site:
        answer = await exchange(site, b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_any_other_method_is_refused(method: str) -> None:
    async with serving() as site:
        answer = await exchange(site, f"{method} /health HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 405")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
)
async def test_a_body_is_refused(body: bytes) -> None:
    async with serving() as site:
        assert (await exchange(site, b"GET /health HTTP/1.1\r\nHost: x\r\n" + body)).startswith(b"HTTP/1.1 413")


async def test_a_huge_body_is_not_read() -> None:
    async with serving() as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await drip(writer, b"x" * 1_000_000)
        writer.close()


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\r\n\r\nwhat is this\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_refused_without_a_log_line(
    octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as site:
        answer = await exchange(site, octets)
        assert answer == b"cut" or answer.startswith(b"HTTP/1.0 400")
        assert await fetch(site, "/health") == (200, "text/plain; charset=utf-8", "OK")
    assert caplog.text == ""


@pytest.mark.parametrize("beginning", [b"", b"GET /health HTT", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_does_not_come_to_an_end_is_cut(beginning: bytes) -> None:
    async with serving(ask_time=0.05) as site:
        assert await exchange(site, beginning) in {b"", b"cut"}


async def test_a_client_that_drips_is_cut() -> None:
    async with serving(ask_time=0.05) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        with pytest.raises(ConnectionError):
            await drip(writer, b"G")
        writer.close()


async def test_a_client_that_does_not_take_its_answer_is_cut() -> None:
    async def long() -> tuple[int, str, str]:
        return 200, "text/plain", "x" * 50_000_000

    async with serving({"/long": long}, answer_time=0.1) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionError):
            await drip(writer, b"x")
        writer.close()


async def test_a_connection_has_one_answer() -> None:
    async with serving() as site:
        answer = await exchange(site, GET * 5)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"\r\nConnection: close\r\n" in answer


async def test_the_oldest_connection_makes_room_for_the_newest() -> None:
    async with serving() as site:
        idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3 * MAX_CONNECTIONS)]
        assert (await fetch(site, "/health"))[0] == 200
        open_ones = 0
        for reader, writer in idle:
            writer.write(GET)
            try:
                open_ones += (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            except ConnectionError:
                continue
            finally:
                writer.close()
        assert MAX_CONNECTIONS - 1 <= open_ones <= MAX_CONNECTIONS


async def test_without_files_the_oldest_connection_gives_way_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(pause=0.05) as site:
        idle, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert (await fetch(site, "/health"))[0] == 200
        loop = asyncio.get_running_loop()
        with socket.socket() as late:
            late.setblocking(False)  # noqa: FBT003 - its only argument
            with few_files(0):
                await loop.sock_connect(late, ("127.0.0.1", site.port))
                assert await idle.read() == b""
                await loop.sock_sendall(late, GET)
                assert (await loop.sock_recv(late, 512)).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    (record,) = caplog.records
    assert record.getMessage().endswith("can be taken in: Too many open files")


async def test_a_page_that_fails_is_logged_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving({"/broken": broken}) as site:
        status, _, body = await fetch(site, "/broken")
    assert (status, body) == (500, "500 internal server error\n")
    assert "broken page" in caplog.text


async def test_pages_can_be_replaced_while_the_port_stays_open() -> None:
    async def other() -> tuple[int, str, str]:
        return 200, "text/plain", "other"

    async with serving() as site:
        site.pages = {"/ready": other}
        assert (await fetch(site, "/health"))[0] == 404
        assert (await fetch(site, "/ready"))[2] == "other"


async def test_nothing_tells_what_serves() -> None:
    async with serving() as site:
        answer = await exchange(site, GET)
    assert b"\r\nServer: svcdns\r\n" in answer
    assert b"aiohttp" not in answer


async def test_an_address_in_use_is_named() -> None:
    async with serving() as site:
        address = f"127.0.0.1:{site.port}"
        with pytest.raises(SvcdnsError, match=f"^cannot listen for HTTP on {address}: Address already in use$"):
            await Site(address, {}).start()


async def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(SvcdnsError, match=r"^cannot listen for HTTP on 300\.0\.0\.1:0: "):
        await Site("300.0.0.1:0", {}).start()


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "0.0.0.0"])
async def test_a_host_stands_for_its_addresses(host: str) -> None:
    site = Site(f"{host}:0", {"/health": health})
    await site.start()
    assert (await fetch(site, "/health"))[2] == "OK"
    await site.stop()


async def test_a_stop_waits_for_those_who_asked_and_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_STOP_TIME", 3600.0)
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def page() -> tuple[int, str, str]:
        asked.set()
        await stopping.wait()
        return await health()

    site = Site("127.0.0.1:0", {"/health": page}, ask_time=3600)
    async with asyncio.timeout(10):
        await site.start()
        idle, writer = await asyncio.open_connection("127.0.0.1", site.port)
        answer = asyncio.ensure_future(exchange(site, GET))
        await asked.wait()
        stop = asyncio.ensure_future(site.stop())
        assert await idle.read() == b""
        stopping.set()
        assert (await answer).startswith(b"HTTP/1.1 200 OK")
        await stop
        writer.close()


async def test_a_stopped_site_has_closed_its_port() -> None:
    async with serving() as site:
        port = site.port
        idle = await asyncio.open_connection("127.0.0.1", port)
    assert await idle[0].read() == b""
    idle[1].close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_the_module_does_not_import_aiohttp() -> None:
    code = "import sys, svcdns.admin; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
