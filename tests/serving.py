"""A whole server in this process, from a Corefile's text to sockets on free ports of loopback.

    async with serving(COREFILE, {"manifests/web.yaml": WEB}) as server:
        assert await server.answers("web.default.svc.cluster.local") == ["10.96.0.1"]
        assert "status: NOERROR" in await server.dig("web.default.svc.cluster.local", "A")
        assert (await server.http("/ready")).status == 200

Keys of server blocks should name no port: then it is a free one. Side ports are written as ``127.0.0.1:0``.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import dns.asyncquery
import dns.message
from aiohttp import ClientSession, ClientTimeout

from svcdns.app import App, Settings
from tests.frontend import run_dig

ADDRESS = "127.0.0.1"
PATIENCE = 10.0
"""How long a test waits for what must come, in seconds."""

_PAUSE = 0.002


class Page(NamedTuple):
    """What an HTTP side port answered."""

    status: int
    text: str


@dataclass
class Serving:
    """A server that answers.

    Attributes:
        app: The application.
        folder: Where its Corefile and the test's files are.
        port: The port of its first listener, UDP and TCP.
    """

    app: App
    folder: Path
    port: int

    async def ask(
        self, name: str, rtype: str = "A", *, tcp: bool = False, payload: int | None = 1232, do: bool = False
    ) -> dns.message.Message:
        """Return the answer to a question; no *payload* means no EDNS, and *do* asks for DNSSEC records."""
        query = dns.message.make_query(name, rtype, use_edns=payload is not None or do, want_dnssec=do, payload=payload)
        return await self.send(query, tcp=tcp)

    async def send(self, query: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
        """Return the answer to a message."""
        exchange = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await exchange(query, ADDRESS, timeout=PATIENCE, port=self.port)

    async def answers(self, name: str, rtype: str = "A", *, tcp: bool = False) -> list[str]:
        """Return the record data of the answer section as text, sorted; CNAMEs on the way are among them."""
        response = await self.ask(name, rtype, tcp=tcp)
        return sorted(rdata.to_text() for rrset in response.answer for rdata in rrset)

    async def dig(self, *arguments: str) -> str:
        """Return what dig prints."""
        return await run_dig(ADDRESS, self.port, *arguments)

    async def http(self, path: str) -> Page:
        """Return what the side port that serves *path* answers; 404 where none does."""
        page = Page(404, "")
        async with ClientSession(timeout=ClientTimeout(total=PATIENCE)) as session:
            for port in self.app.site_ports().values():
                async with session.get(f"http://{ADDRESS}:{port}{path}") as response:
                    page = Page(response.status, await response.text())
                if page.status != 404:
                    break
        return page

    def write(self, name: str, text: str) -> None:
        """Write a file of the server's folder, all at once, as `mv` does; ``Corefile`` is one of them."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until *holds* says so, for what the server does in its own time."""
        async with asyncio.timeout(PATIENCE):
            while not await holds():  # noqa: ASYNC110 - what tests ask about has no event
                await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def serving(
    corefile: str, files: Mapping[str, str] = MappingProxyType({}), *, ready: bool = True
) -> AsyncIterator[Serving]:
    """Serve *corefile*, and stop at the end.

    Args:
        corefile: The Corefile's text.
        files: What else stands in its folder, such as manifests, by path.
        ready: Whether to wait until every plugin can answer.
    """
    with tempfile.TemporaryDirectory(prefix="svcdns-") as folder:
        app = App(Settings(str(Path(folder, "Corefile")), port=0))
        server = Serving(app, Path(folder), 0)
        for name, text in {**files, "Corefile": corefile}.items():
            server.write(name, text)
        await app.start()
        server.port = app.addresses()[0][1]
        work = asyncio.create_task(app.serve())
        try:
            if ready:
                await server.until(lambda: _is_ready(app))
            yield server
        finally:
            app.stop()
            await asyncio.wait_for(work, PATIENCE)


async def _is_ready(app: App) -> bool:
    return app.is_ready()
