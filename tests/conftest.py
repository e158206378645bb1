"""What all tests share: how Hypothesis looks for counterexamples, the event loop, Ctrl-C, what is tested."""

import asyncio
import os
import signal
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

import svcdns

_ROOT = Path(__file__).parent.parent

# A busy machine makes no test fail: neither a case nor its making has a time limit of its own.
settings.register_profile("svcdns", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
# What decides about a change asks the same of each; who develops looks further with each run.
settings.register_profile("ci", parent=settings.get_profile("svcdns"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "svcdns")

# Who starts tests in the background of a shell has them ignore SIGINT, and so would every server that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Have tests run in the event loop that the server runs in."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let who tests what is compiled say so."""
    parser.addoption("--expect-compiled", action="store_true", help="fail where the package found is not compiled")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test the sources in the place of what is compiled of them."""
    if config.getoption("--expect-compiled"):
        found = {name: find_spec(name) for name in _compiled_modules()}
        sources = [name for name, spec in found.items() if spec is None or not str(spec.origin).endswith(".so")]
        if sources:
            raise pytest.UsageError(f"expected extensions, as `make test` finds them, but there is none of {sources}")
        # mypyc hands exceptions on in a form that Python warns of from 3.12 on.
        warning = "ignore:the .type, exc, tb. signature of throw:DeprecationWarning"
        config.addinivalue_line("filterwarnings", warning)


def _compiled_modules() -> list[str]:
    """Return the names of the modules that pyproject.toml has compiled."""
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    paths = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return [path.removesuffix(".py").replace("/", ".") for path in paths]


def pytest_report_header() -> str:
    """Say which package is tested."""
    return f"svcdns: {Path(svcdns.__file__).parent}"
