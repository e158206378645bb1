import asyncio
import logging

import pytest

from svcdns.chain import Handler, chain
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.errors import UpstreamError
from svcdns.metrics import Metrics
from tests.fakes import Clock, Script, environment, set_up

QUERY = Query(from_text("web.example.org."), 1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def guarded(end: Handler, metrics: Metrics, clock: Clock) -> Handler:
    return chain(set_up("", "guard", environment(metrics=metrics, clock=clock)), end)


async def test_an_answer_passes_unchanged(metrics: Metrics, clock: Clock) -> None:
    answer = Response(Rcode.NXDOMAIN)
    assert await guarded(Script(answer), metrics, clock)(QUERY) is answer


async def test_a_known_error_is_a_servfail_that_carries_it(
    metrics: Metrics, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    error = UpstreamError("10.0.0.1:53", "no answer")
    response = await guarded(Script(error), metrics, clock)(QUERY)
    assert (response.rcode, response.error, response.plugin) == (Rcode.SERVFAIL, error, "")
    assert "\ncoredns_panics_total 0\n" in metrics.expose()
    assert caplog.text == ""


async def test_an_unknown_error_is_counted_and_logged_with_its_traceback(
    metrics: Metrics, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    error = ZeroDivisionError("bug")
    response = await guarded(Script(error), metrics, clock)(QUERY)
    assert (response.rcode, response.error) == (Rcode.SERVFAIL, error)
    assert "\ncoredns_panics_total 1\n" in metrics.expose()
    (record,) = caplog.records
    assert record.getMessage() == "web.example.org. A failed: ZeroDivisionError('bug')"
    assert record.exc_info is not None


async def test_one_bug_a_second_is_logged(metrics: Metrics, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    handle = guarded(Script(ZeroDivisionError("bug")), metrics, clock)
    for _ in range(100):
        await handle(QUERY)
        clock.now += 0.05
    assert "\ncoredns_panics_total 100\n" in metrics.expose()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 5


async def test_cancellation_is_no_error(metrics: Metrics, clock: Clock) -> None:
    async def wait(query: Query) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.ensure_future(guarded(wait, metrics, clock)(QUERY))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
