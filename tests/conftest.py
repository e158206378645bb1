"""What all tests share: how Hypothesis looks for counterexamples, the event loop, Ctrl-C, what is tested."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from svcdns import responder

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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to test the sources in the place of what is compiled of them."""
    found = responder.__file__
    if session.config.getoption("--expect-compiled") and not found.endswith(".so"):
        raise pytest.UsageError(f"found {found}, expected an extension: set PYTHONPATH as `make test` does")


def pytest_report_header() -> str:
    """Say which package is tested."""
    return f"svcdns: {Path(responder.__file__).parent}"
