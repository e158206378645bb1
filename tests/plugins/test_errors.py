import asyncio
import logging

import pytest

from svcdns.chain import Handler, chain
from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.errors import ConfigError, UpstreamError
from tests.fakes import Script, Spawned, environment, set_up

QUERY = Query(from_text("web.example.org."), 1)
TIMEOUT = Response(Rcode.SERVFAIL, error=UpstreamError("10.0.0.1:53", "no answer within 1.8 s"))
REFUSED = Response(Rcode.REFUSED, error=UpstreamError("10.0.0.1:53", "connection refused"))


@pytest.fixture
def spawned() -> Spawned:
    return Spawned()


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def logging_errors(text: str, spawned: Spawned, *answers: Response) -> Handler:
    return chain(set_up(text, "errors", environment(spawn=spawned)), Script(*answers))


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name != "asyncio"]


async def finish(spawned: Spawned) -> None:
    """Wait until all that was spawned has come to its end."""
    own = asyncio.current_task()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not own))


@pytest.mark.parametrize("text", ["errors", "errors stdout", "errors {\nstacktrace\n}"])
async def test_an_error_gives_a_line(text: str, spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    assert await logging_errors(text, spawned, TIMEOUT)(QUERY) is TIMEOUT
    assert lines(caplog) == [("ERROR", "2 web.example.org. A: 10.0.0.1:53: no answer within 1.8 s")]
    assert caplog.records[0].name == "svcdns.plugins.errors"


async def test_a_servfail_without_an_error_gives_none(spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    await logging_errors("errors", spawned, Response(Rcode.SERVFAIL))(QUERY)
    assert lines(caplog) == []


async def test_an_error_without_text_is_named(spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    await logging_errors("errors", spawned, Response(Rcode.SERVFAIL, error=TimeoutError()))(QUERY)
    assert lines(caplog) == [("ERROR", "2 web.example.org. A: TimeoutError()")]


@pytest.mark.parametrize(("text", "traces"), [("errors", 0), ("errors {\nstacktrace\n}", 1)])
async def test_stacktrace_shows_where_a_bug_is(
    text: str, traces: int, spawned: Spawned, caplog: pytest.LogCaptureFixture
) -> None:
    await logging_errors(text, spawned, Response(Rcode.SERVFAIL, error=KeyError("bug")))(QUERY)
    assert sum(record.exc_info is not None for record in caplog.records) == traces


async def test_errors_that_are_alike_are_counted(spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    text = 'errors {\nconsolidate 20ms "no answer within .* s$" warning\n}'
    handle = logging_errors(text, spawned, TIMEOUT, TIMEOUT, REFUSED, TIMEOUT)
    for _ in range(4):
        await handle(QUERY)
    assert lines(caplog) == [("ERROR", "5 web.example.org. A: 10.0.0.1:53: connection refused")]
    caplog.clear()
    await finish(spawned)
    assert lines(caplog) == [("WARNING", "3 errors like 'no answer within .* s$' occurred in last 20ms")]
    caplog.clear()
    await handle(QUERY)
    await finish(spawned)
    assert lines(caplog) == [("WARNING", "1 errors like 'no answer within .* s$' occurred in last 20ms")]


async def test_the_first_consolidation_that_fits_counts(spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    text = "errors {\nconsolidate 10ms refused info\nconsolidate 10ms .* debug\n}"
    handle = logging_errors(text, spawned, TIMEOUT, REFUSED)
    await handle(QUERY)
    await handle(QUERY)
    await finish(spawned)
    assert sorted(lines(caplog)) == [
        ("DEBUG", "1 errors like '.*' occurred in last 10ms"),
        ("INFO", "1 errors like 'refused' occurred in last 10ms"),
    ]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [("ERROR", "2 web.example.org. A: 10.0.0.1:53: no answer within 1.8 s")]),
        (
            3,
            [
                ("ERROR", "2 web.example.org. A: 10.0.0.1:53: no answer within 1.8 s"),
                ("ERROR", "3 errors like 'no answer' occurred in last 10ms"),
            ],
        ),
    ],
)
async def test_the_first_error_can_be_shown(
    count: int, expected: list[tuple[str, str]], spawned: Spawned, caplog: pytest.LogCaptureFixture
) -> None:
    handle = logging_errors('errors {\nconsolidate 10ms "no answer" show_first\n}', spawned, TIMEOUT)
    for _ in range(count):
        await handle(QUERY)
    await finish(spawned)
    assert lines(caplog) == expected


async def test_counts_are_logged_at_the_end(spawned: Spawned, caplog: pytest.LogCaptureFixture) -> None:
    await logging_errors('errors {\nconsolidate 1h "no answer"\n}', spawned, TIMEOUT)(QUERY)
    await asyncio.sleep(0)
    await spawned.tasks.cancel()
    assert lines(caplog) == [("ERROR", "1 errors like 'no answer' occurred in last 1h")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("errors stderr", "2: errors: found 'stderr', expected nothing or 'stdout'"),
        ("errors\nerrors", "3: errors: found again"),
        ("errors {\nconsolidat 5m x\n}", "3: unknown option 'consolidat', did you mean 'consolidate'?"),
        ("errors {\nconsolidate 5m\n}", "3: consolidate: found '5m', expected DURATION REGEX"),
        ("errors {\nconsolidate 5 x\n}", "3: consolidate: found '5', expected a duration"),
        ("errors {\nconsolidate 0s x\n}", "3: consolidate: found '0s', expected a duration of at least"),
        (
            "errors {\nconsolidate 5m (x\n}",
            "3: consolidate: found '(x', expected a regular expression as Go writes it (a ')' is missing",
        ),
        ("errors {\nconsolidate 5m x fatal\n}", "3: consolidate: found 'fatal', expected 'warning', 'error'"),
        (
            "errors {\nconsolidate 5m x show_first error\n}",
            "3: consolidate: found '5m x show_first error', expected DURATION REGEX",
        ),
        (f"errors {{\nconsolidate 5m {'x' * 10_001}\n}}", "expected a regular expression of at most 10000 characters"),
        ("errors {\nstacktrace yes\n}", "3: stacktrace: found 'yes', expected nothing"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str, spawned: Spawned) -> None:
    with pytest.raises(ConfigError) as caught:
        set_up(text, "errors", environment(spawn=spawned))
    assert reason in str(caught.value)
