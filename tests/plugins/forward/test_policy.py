"""In which order upstreams are asked."""

from svcdns.plugins.forward.config import parse
from tests.fake_upstream import FakeUpstream, fake_upstream
from tests.fakes import directives
from tests.plugins.forward.forwarding import forwarding


async def first_asked(policy: str, count: int) -> list[int]:
    """Ask *count* questions of three upstreams and return who was asked each."""
    async with fake_upstream() as one, fake_upstream() as two, fake_upstream() as three:
        fakes: list[FakeUpstream] = [one, two, three]
        words = " ".join(f"127.0.0.1:{fake.port}" for fake in fakes)
        async with forwarding(f"forward . {words} {{\n policy {policy}\n}}") as forward:
            asked = []
            for number in range(count):
                await forward.ask(f"n{number}.example.")
                asked += [index for index, fake in enumerate(fakes) if fake.named(f"n{number}")]
            return asked


async def test_sequential_asks_the_first() -> None:
    assert await first_asked("sequential", 5) == [0] * 5


async def test_round_robin_takes_turns() -> None:
    assert await first_asked("round_robin", 6) == [0, 1, 2, 0, 1, 2]


async def test_random_asks_each_some_time() -> None:
    asked = await first_asked("random", 90)
    assert {asked.count(index) > 10 for index in range(3)} == {True}


def test_random_is_the_default() -> None:
    (directive,) = directives("forward . 192.0.2.1", "forward")
    assert parse(directive, {}).policy == "random"
