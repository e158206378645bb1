import asyncio

import pytest

from svcdns.errors import ConfigError
from svcdns.plugins.reload import Reload
from tests.fakes import environment, set_up


async def test_it_asks_again_and_again() -> None:
    asked = asyncio.Semaphore(0)
    plugin = Reload(environment(look_again=asked.release), interval=0.001, jitter=0.001)
    running = asyncio.ensure_future(plugin.run())
    for _ in range(3):
        await asyncio.wait_for(asked.acquire(), 5)
    running.cancel()


@pytest.mark.parametrize(
    "text", ["reload", "reload 10s", "reload 10s 1s", "reload 2s 0s", "reload 1m 30s", "reload\nreload 5s"]
)
def test_intervals_and_jitters_are_read(text: str) -> None:
    (plugin,) = set_up(text, "reload", environment())
    assert isinstance(plugin, Reload)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("reload 1s", "2s"),
        ("reload 10s 500ms", "at least 1s"),
        ("reload ten", "duration"),
        ("reload 10s 5s 1s", "INTERVAL"),
        ("reload\nreload 1s", "3: reload: found '1s', expected a duration of at least 2s"),
        ("reload {\nfoo\n}", "unknown option"),
    ],
)
def test_other_words_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        set_up(text, "reload", environment())
