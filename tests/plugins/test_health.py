import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from svcdns.admin import Page, Site
from svcdns.errors import ConfigError
from svcdns.metrics import Metrics
from tests.fakes import Clock, Kept, Pages, environment, running, set_up


async def until(metrics: Metrics, line: str) -> None:
    """Wait until *line* is shown."""
    while line not in metrics.expose():  # noqa: ASYNC110 - metrics set no event
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(page: Page) -> AsyncIterator[Site]:
    site = Site("127.0.0.1:0", {"/health": page})
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


@pytest.mark.parametrize(("text", "address"), [("health", ":8080"), ("health localhost:8091", "localhost:8091")])
async def test_the_page_is_at_the_address_and_ok(text: str, address: str) -> None:
    pages = Pages()
    set_up(text, "health", environment(serve=pages, stopping=lambda: True))
    assert await pages.pages[address, "/health"]() == (200, "text/plain; charset=utf-8", "OK")


@pytest.mark.parametrize(("text", "seconds"), [("health", 0), ("health {\nlameduck 5s\n}", 5)])
def test_lameduck_is_how_long_the_server_goes_on(text: str, seconds: float) -> None:
    (plugin,) = set_up(text, "health", environment())
    assert plugin.lameduck == seconds


async def test_the_server_asks_its_own_page() -> None:
    metrics, pages, kept = Metrics(), Pages(), Kept()
    lent = environment(metrics=metrics, serve=pages, keep=kept)

    async def page() -> tuple[int, str, str]:
        return await pages.pages[address, "/health"]()

    async with serving(page) as site:
        address = f"127.0.0.1:{site.port}"
        async with running(lent, set_up(f"health {address}", "health", lent)):
            await until(metrics, "coredns_health_request_duration_seconds_count 1")
    text = metrics.expose()
    assert "coredns_health_request_failures_total 0\n" in text
    assert 'coredns_health_request_duration_seconds_bucket{le="2.5"} 1\n' in text


async def test_a_failure_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    lent = environment(metrics=metrics)
    site = Site("127.0.0.1:0", {})
    await site.start()
    address = f"127.0.0.1:{site.port}"
    await site.stop()
    async with running(lent, set_up(f"health {address}", "health", lent)):
        await until(metrics, "coredns_health_request_failures_total 1")
    assert f'Local health request to "http://{address}/health" failed: ' in caplog.text


async def test_a_slow_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    metrics, clock = Metrics(), Clock()
    lent = environment(metrics=metrics, clock=clock)

    async def slow() -> tuple[int, str, str]:
        clock.now += 1.5
        return 200, "text/plain", "OK"

    async with serving(slow) as site, running(lent, set_up(f"health 127.0.0.1:{site.port}", "health", lent)):
        await until(metrics, "coredns_health_request_duration_seconds_count 1")
    assert "took 1.500s" in caplog.text


async def test_a_port_that_the_system_chooses_is_not_asked() -> None:
    (plugin,) = set_up("health 127.0.0.1:0", "health", environment())
    await asyncio.wait_for(plugin.run(), 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("health 8080", "2: health: found '8080', expected HOST:PORT"),
        ("health :1 :2", "2: health: found ':1 :2', expected [ADDRESS]"),
        ("health\nhealth :1 :2", "3: health: found ':1 :2', expected [ADDRESS]"),
        ("health {\nlameduck\n}", "3: lameduck: found no arguments, expected DURATION"),
        ("health {\nlameduck 5\n}", "3: lameduck: found '5', expected a duration"),
        ("health {\nlamduck 5s\n}", "3: unknown option 'lamduck', did you mean 'lameduck'?"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_up(text, "health", environment())
    assert reason in str(caught.value)


def test_of_several_lines_the_last_that_says_so_counts() -> None:
    pages = Pages()
    (plugin,) = set_up("health :1 {\nlameduck 1s\n}\nhealth :2\nhealth", "health", environment(serve=pages))
    assert plugin.lameduck == 1
    assert list(pages.pages) == [(":2", "/health")]
