"""The servers of a comparison: CoreDNS, svcdns, and an upstream behind both, each a process of its own."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests import programs
from tests.parity.answers import Question
from tests.parity.asking import ask
from tests.ports import free_port

PATIENCE = 30.0
"""How long a server may take to start, in seconds."""

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_MOST_SHOWN = 4000
_UPSTREAM = """
.:{port} {{
    bind 127.0.0.1
    template ANY ANY refused.example {{
        rcode REFUSED
    }}
    file {zone} .
}}
"""


@asynccontextmanager
async def coredns(corefile: Path, port: int, known: Question, rcode: str = "NOERROR") -> AsyncIterator[None]:
    """Have CoreDNS serve *corefile* at *port*, from the moment that it answers *known* with *rcode*."""
    command = [str(programs.path("coredns")), "-conf", str(corefile), "-dns.port", str(port)]
    async with _serving(command, port, known, rcode):
        yield


@asynccontextmanager
async def svcdns(corefile: Path, port: int, known: Question, rcode: str = "NOERROR") -> AsyncIterator[None]:
    """Have svcdns serve *corefile* at *port*, from the moment that it answers *known* with *rcode*."""
    async with _serving([sys.executable, "-m", "svcdns", "-conf", str(corefile), "-p", str(port)], port, known, rcode):
        yield


@asynccontextmanager
async def upstream(folder: Path) -> AsyncIterator[int]:
    """Have a server answer for other people's names; yield its port."""
    port = free_port()
    corefile = folder / "upstream.Corefile"
    corefile.write_text(_UPSTREAM.format(port=port, zone=_HERE / "upstream.zone"), encoding="utf-8")
    async with coredns(corefile, port, Question("www.example.net.", "A")):
        yield port


@asynccontextmanager
async def _serving(command: Sequence[str], port: int, known: Question, rcode: str) -> AsyncIterator[None]:
    """Run *command* and wait until what it serves answers."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=_ROOT)
        try:
            ended = asyncio.ensure_future(process.wait())
            async with asyncio.timeout(PATIENCE):
                while not await _answers(port, known, rcode):
                    await asyncio.wait([ended], timeout=0.05)
                    assert process.returncode is None
            yield
            assert process.returncode is None
        except BaseException as error:
            log.seek(0)
            error.add_note(f"{' '.join(command)} wrote:\n{log.read()[-_MOST_SHOWN:].decode(errors='replace')}")
            raise
        finally:
            if process.returncode is None:
                process.kill()
            await ended


async def _answers(port: int, known: Question, rcode: str) -> bool:
    """Tell whether a server at *port* answers *known* as it should once it is ready."""
    try:
        replies = await ask(port, [known], patience=1.0)
    except OSError:
        return False
    return replies[known].answer.rcode == rcode
