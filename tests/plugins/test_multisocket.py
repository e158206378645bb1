"""How many processes a Corefile asks for; what they do is in tests/workers."""

import pytest

from svcdns.errors import ConfigError
from svcdns.processors import count_processors
from tests.fakes import environment, set_up


@pytest.mark.parametrize(
    ("text", "expected"),
    [("multisocket", count_processors()), ("multisocket 1", 1), ("multisocket 2", 2), ("multisocket 1024", 1024)],
)
def test_the_number_is_what_is_written_or_that_of_the_processors(text: str, expected: int) -> None:
    (plugin,) = set_up(text, "multisocket", environment())
    assert plugin.workers == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("multisocket 0", "Corefile:2: .*found '0', expected a number from 1 to 1024"),
        ("multisocket 1025", "Corefile:2: .*found '1025', expected a number from 1 to 1024"),
        ("multisocket two", "Corefile:2: .*found 'two', expected a number from 1 to 1024"),
        ("multisocket 1 2", "Corefile:2: .*expected .*NUMBER"),
        ("multisocket {\n    x\n}", "Corefile:3: .*x"),
        ("multisocket\nmultisocket", "Corefile:3: .*expected only once"),
    ],
)
def test_anything_else_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        set_up(text, "multisocket", environment())


@pytest.mark.parametrize(("more", "expected"), [(0, ""), (1, "processes answer where there are processors for")])
def test_the_log_tells_of_more_processes_than_processors(
    more: int, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(f"multisocket {count_processors() + more}", "multisocket", environment())
    assert expected in caplog.text
    assert bool(caplog.records) == bool(more)
