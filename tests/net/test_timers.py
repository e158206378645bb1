"""Timers that share the loop's."""

import asyncio
import time
from collections import Counter
from functools import partial
from weakref import ref

from svcdns.net.timers import AT_ONCE, RESOLUTION, Timers


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


async def test_one_is_looked_at_when_it_is_due_and_hardly_before() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic()

    timers = Timers(clock)
    for number in range(50):
        called = asyncio.Event()
        timers.at(time.monotonic() + RESOLUTION + number * 1e-4, called.set)
        await asyncio.wait_for(called.wait(), 5)
    assert looks <= 4 * 50  # once to set each, once to call it; and the same again where the loop was early


async def test_many_are_called_in_several_turns_of_the_loop() -> None:
    timers = Timers(time.monotonic)
    turn = 0
    called: Counter[int] = Counter()

    def call() -> None:
        called[turn] += 1

    when = time.monotonic() - 1
    for number in range(2 * AT_ONCE + 1):
        timers.at(when - RESOLUTION * (number % 3), call)
    while called.total() < 2 * AT_ONCE + 1:
        await asyncio.sleep(0)
        turn += 1
    assert sorted(called.values()) == [1, AT_ONCE, AT_ONCE]


async def test_one_that_fails_takes_no_other_along() -> None:
    timers = Timers(time.monotonic)
    called = asyncio.Event()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    error = LookupError()

    def fail() -> None:
        raise error

    when = time.monotonic() + RESOLUTION
    timers.at(when, fail)
    timers.at(when, called.set)
    await asyncio.wait_for(called.wait(), 5)
    assert failures == [error]


async def test_one_may_clear_them_all() -> None:
    timers = Timers(time.monotonic)
    when = time.monotonic() + RESOLUTION
    timers.at(when, timers.clear)
    timers.at(when, asyncio.get_running_loop().stop)
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(3 * RESOLUTION, done.set)
    await asyncio.wait_for(done.wait(), 5)


async def test_what_is_cleared_is_not_called() -> None:
    timers = Timers(time.monotonic)
    called: list[str] = []
    timers.at(time.monotonic(), lambda: called.append("cleared"))
    timers.clear()
    done = asyncio.Event()
    timers.at(time.monotonic() + 2 * RESOLUTION, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert called == []


async def test_what_is_cleared_is_not_called_and_let_go_of() -> None:
    timers = Timers(time.monotonic)
    called: list[int] = []
    done = asyncio.Event()
    when = (time.monotonic() // RESOLUTION + 2) * RESOLUTION
    callback = partial(called.append, 1)
    gone = ref(callback)
    timers.at(when, callback).clear()
    del callback
    assert gone() is None
    timers.at(when, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert called == []
