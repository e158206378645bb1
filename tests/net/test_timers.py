"""Timers that share the loop's."""

import asyncio
import time

from svcdns.net.timers import RESOLUTION, Timers


async def test_each_is_called_in_order_and_never_early() -> None:
    timers = Timers(time.monotonic)
    called: list[tuple[int, float]] = []
    done = asyncio.Event()
    begun = time.monotonic()

    def call(number: int, when: float) -> None:
        called.append((number, time.monotonic() - when))
        if len(called) == 50:
            done.set()

    for number in reversed(range(50)):
        when = begun + 2 * RESOLUTION * number
        timers.at(when, lambda number=number, when=when: call(number, when))  # type: ignore[misc]
    await done.wait()
    assert [number for number, _ in called] == list(range(50))
    assert min(late for _, late in called) >= 0


async def test_what_is_past_is_called_at_once() -> None:
    timers = Timers(time.monotonic)
    called = asyncio.Event()
    timers.at(time.monotonic() - 10, called.set)
    await asyncio.wait_for(called.wait(), 5)


async def test_a_callback_may_ask_for_another() -> None:
    timers = Timers(time.monotonic)
    called = asyncio.Event()
    timers.at(time.monotonic(), lambda: timers.at(time.monotonic(), called.set))
    await asyncio.wait_for(called.wait(), 5)


async def test_an_earlier_one_does_not_wait_for_a_later_one() -> None:
    timers = Timers(time.monotonic)
    called = asyncio.Event()
    timers.at(time.monotonic() + 3600, asyncio.get_running_loop().stop)
    timers.at(time.monotonic() + 0.01, called.set)
    await asyncio.wait_for(called.wait(), 5)
    timers.clear()


async def test_a_thousand_at_about_the_same_time_cost_one_timer_of_the_loop() -> None:
    timers = Timers(time.monotonic)
    called: list[int] = []
    when = (time.monotonic() // RESOLUTION + 2) * RESOLUTION
    for number in range(1000):
        timers.at(when, lambda number=number: called.append(number))  # type: ignore[misc]
    done = asyncio.Event()
    timers.at(when, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert called == list(range(1000))


async def test_what_is_cleared_is_not_called() -> None:
    timers = Timers(time.monotonic)
    called: list[str] = []
    timers.at(time.monotonic(), lambda: called.append("cleared"))
    timers.clear()
    done = asyncio.Event()
    timers.at(time.monotonic() + 2 * RESOLUTION, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert called == []
