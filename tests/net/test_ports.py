"""The ports that questions are asked from."""

import asyncio
import socket
from collections import Counter

import pytest

from svcdns.dns.message import Query
from svcdns.dns.name import from_text
from svcdns.dns.records import Rtype
from svcdns.net import ports, roundtrip
from svcdns.net.asking import ask
from svcdns.net.ports import MOST_QUESTIONS
from svcdns.net.upstream import Upstream
from tests.fake_upstream import FakeUpstream
from tests.net.asking import KEEPING, asking


async def put(upstream: Upstream, label: str) -> None:
    await ask(upstream, Query(from_text(f"{label}.example.org."), Rtype.A), 5.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no packet repeated nor a port closed because the machine is busy."""
    monkeypatch.setattr(ports, "LIFETIME", 60.0)
    for name in ("FIRST_TIMEOUT", "SHORTEST_TIMEOUT", "LONGEST_TIMEOUT"):
        monkeypatch.setattr(roundtrip, name, 4.0)


@pytest.mark.usefixtures("patient")
async def test_a_port_serves_some_questions_one_after_the_other() -> None:
    async with asking() as (upstream, fake):
        for _ in range(3 * MOST_QUESTIONS):
            await put(upstream, "www")
        served = Counter(seen.port for seen in fake.seen)
        assert list(served.values()) == [MOST_QUESTIONS] * 3
        assert upstream.counters.opened.value == 3
        assert upstream.counters.found.value == 3 * (MOST_QUESTIONS - 1)


async def test_a_port_serves_no_question_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LIFETIME", 0.0)
    async with asking() as (upstream, fake):
        for _ in range(20):
            await put(upstream, "www")
        assert len({seen.port for seen in fake.seen}) > 15  # the kernel draws some twice


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def test_a_port_that_nobody_asks_from_is_closed_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LIFETIME", 0.05)
    async with asking() as (upstream, fake), asyncio.timeout(10):
        await put(upstream, "www")
        while not is_free(fake.seen[0].port):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.005)


async def test_questions_that_are_under_way_together_have_different_ports() -> None:
    count = 150
    async with asking(FakeUpstream(delay=0.01)) as (upstream, fake):
        for turn in range(3):
            labels = [f"turn{turn}-{number}" for number in range(count)]
            await asyncio.gather(*(put(upstream, label) for label in labels))
            assert len({seen.port for seen in fake.seen if seen.label in labels}) == count


@pytest.mark.parametrize("odd", ["lost-1", "forged-id", "forged-case", "twice", "truncated"])
async def test_a_port_is_left_where_something_was_odd(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setattr(ports, "LIFETIME", 60.0)
    async with asking() as (upstream, fake):
        await put(upstream, "www")
        await put(upstream, odd)
        await put(upstream, "next")  # which may find the second answer of two
        await put(upstream, "last")
        (last,) = fake.named("last")
        assert last.port not in {seen.port for seen in fake.seen if seen.label == odd.lower()}


@pytest.mark.usefixtures("patient")
async def test_ports_that_wait_take_no_file_from_questions() -> None:
    async with asking(FakeUpstream(delay=0.01)) as (upstream, _):
        upstream.poller.limit = 10
        await asyncio.gather(*(put(upstream, f"n{number}") for number in range(30)))
        assert len(upstream.poller.idle) == 10


@pytest.mark.usefixtures("patient")
async def test_ports_to_one_upstream_take_no_file_from_questions_to_another() -> None:
    async with asking(FakeUpstream(delay=0.01)) as (upstream, fake):
        other = Upstream(upstream.route, KEEPING, upstream.poller, upstream.counters)
        upstream.poller.limit = 10
        await asyncio.gather(*(put(upstream, f"one{number}") for number in range(10)))
        left = [seen.port for seen in fake.seen]
        asked = asyncio.gather(*(put(other, f"other{number}") for number in range(10)))
        await asyncio.sleep(0)
        assert not asked.done()
        assert sum(not is_free(port) for port in left) < 3  # the kernel may draw one again
        await asked


async def test_no_port_is_left_open() -> None:
    async with asking() as (upstream, fake):
        await put(upstream, "www")
    assert is_free(fake.seen[0].port)
