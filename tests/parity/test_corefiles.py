"""A Corefile that CoreDNS starts with is one that svcdns starts with, but for those that are listed."""

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from svcdns.errors import ConfigError
from tests import programs
from tests.parity.corefiles import ENVIRON, FILES, LAXER, SAME, STRICTER
from tests.parity.servers import PATIENCE
from tests.ports import free_port
from tests.serving import ADDRESS, serving

pytestmark = pytest.mark.programs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the Corefile, with what it may import; the environment has what it may use."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("ADDRESS", ADDRESS), encoding="utf-8")
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def fill_in(text: str, folder: Path) -> str:
    """Put in what the words in capitals stand for."""
    return text.replace("ADDRESS", ADDRESS).replace("FOLDER", str(folder)).replace("PORT", str(free_port()))


async def starts_coredns(text: str, folder: Path) -> bool:
    """Tell whether CoreDNS comes as far as its banner, which it prints last."""
    (folder / "Corefile").write_text(fill_in(text, folder), encoding="utf-8", newline="")
    command = [str(programs.path("coredns")), "-conf", "Corefile", "-dns.port", "0"]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
            while line and not line.startswith(b"CoreDNS-"):
                line = await process.stdout.readline()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    return bool(line)


async def starts_svcdns(text: str, folder: Path) -> bool:
    """Tell whether svcdns opens its ports."""
    files = {name: contents.replace("ADDRESS", ADDRESS) for name, contents in FILES.items()}
    try:
        async with serving(fill_in(text, folder), files, ready=False):
            return True
    except ConfigError:
        return False


@pytest.mark.parametrize("text", SAME)
async def test_svcdns_starts_with_what_coredns_does(text: str, folder: Path) -> None:
    assert await starts_svcdns(text, folder) == await starts_coredns(text, folder)


@pytest.mark.parametrize("text", STRICTER)
async def test_what_cannot_mean_what_it_says_is_refused(text: str, folder: Path) -> None:
    assert await starts_coredns(text, folder)
    assert not await starts_svcdns(text, folder)


@pytest.mark.parametrize("text", LAXER)
async def test_what_is_clear_is_taken(text: str, folder: Path) -> None:
    assert not await starts_coredns(text, folder)
    assert await starts_svcdns(text, folder)


def test_both_verdicts_are_well_tried() -> None:
    assert len(SAME) == len(set(SAME))
    assert len(SAME) > 300
