"""What becomes of a question, by what upstreams do."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import pytest

from svcdns.dns.message import Ede, Rcode
from svcdns.dns.name import from_text
from svcdns.errors import UpstreamError
from svcdns.net.client import TRIES, Exchange
from svcdns.plugins.forward import question, stanza
from svcdns.plugins.forward.question import Question
from tests.fake_upstream import GOOD, FakeUpstream, answer, fake_upstream
from tests.plugins.forward.forwarding import addresses, forwarding, to, until

NAME = "example.org."


@pytest.mark.parametrize(("label", "option"), [("www", ""), ("www", "force_tcp"), ("truncated", "")])
async def test_a_question_is_answered(label: str, option: str) -> None:
    async with fake_upstream() as fake, forwarding(to(fake, option)) as forward:
        response = await forward.ask(f"{label}.{NAME}")
        assert (response.rcode, addresses(response), response.aa, response.plugin) == (0, [GOOD], False, "forward")
        assert response.answer[0].owner == from_text(f"{label}.{NAME}")
        assert fake.seen[-1].transport == ("udp" if label == "www" and not option else "tcp")


@pytest.mark.parametrize("label", ["blackhole", "slow-10000", "truncated-hang"])
async def test_silence_is_a_servfail_with_its_reason_in_time(label: str) -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        begun = time.monotonic()
        response = await forward.ask(f"{label}.{NAME}")
        assert 1.7 < time.monotonic() - begun < 4
        assert response.rcode == Rcode.SERVFAIL
        assert response.ede is not None
        assert (response.ede.code, response.ede.text) == (
            Ede.NO_REACHABLE_AUTHORITY,
            f"127.0.0.1:{fake.port}: no answer within 1.8 s: i/o timeout",
        )
        assert isinstance(response.error, UpstreamError)
        assert len(fake.seen) <= 6


async def test_a_closed_port_is_a_network_error_at_once() -> None:
    async with fake_upstream() as fake:
        port = fake.port
    async with forwarding(f"forward . 127.0.0.1:{port}") as forward:
        begun = time.monotonic()
        response = await forward.ask(f"www.{NAME}")
        assert response.rcode == Rcode.SERVFAIL
        assert response.ede is not None
        assert response.ede.code == Ede.NETWORK_ERROR
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTIMP, Rcode.FORMERR])
async def test_a_refusal_is_handed_on_with_who_refused(rcode: Rcode) -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        response = await forward.ask(f"rcode-{rcode.name}.{NAME}")
        assert response.rcode == rcode
        assert response.ede is not None
        assert response.ede.code == Ede.NO_REACHABLE_AUTHORITY
        assert response.ede.text == f"127.0.0.1:{fake.port} answered {rcode.name}"
        assert response.error is None


@pytest.mark.parametrize(
    "label",
    ["rcode-SERVFAIL", "rcode-REFUSED", "rcode-NOTIMP", "rcode-FORMERR", "lying", "circle", "blackhole",
     "truncated-closed"],
)  # fmt: skip
async def test_the_next_upstream_is_asked_where_one_does_not_answer(label: str) -> None:
    text = "forward . 127.0.0.1:{} 127.0.0.1:{} {{\n policy sequential\n}}"
    good = FakeUpstream(helpful=True)
    async with fake_upstream() as bad, fake_upstream(good), forwarding(text.format(bad.port, good.port)) as forward:
        begun = time.monotonic()
        assert addresses(await forward.ask(f"{label}.{NAME}")) == [GOOD]
        assert time.monotonic() - begun < 1.5
        assert (bool(bad.seen), bool(good.seen)) == (True, True)


async def test_a_closed_port_is_followed_by_the_next_upstream_at_once() -> None:
    async with fake_upstream() as closed:
        port = closed.port
    async with fake_upstream() as fake:
        text = f"forward . 127.0.0.1:{port} 127.0.0.1:{fake.port} {{\n policy sequential\n}}"
        async with forwarding(text) as forward:
            begun = time.monotonic()
            assert addresses(await forward.ask(f"www.{NAME}")) == [GOOD]
            assert time.monotonic() - begun < 1


async def test_where_all_refuse_the_last_one_counts() -> None:
    async with fake_upstream() as first, fake_upstream(FakeUpstream(delay=0.05)) as second:
        text = f"forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{\n policy sequential\n}}"
        async with forwarding(text) as forward:
            response = await forward.ask(f"rcode-REFUSED.{NAME}")
            assert response.rcode == Rcode.REFUSED
            assert response.ede is not None
            assert str(second.port) in response.ede.text


async def test_an_answer_that_comes_late_is_kept() -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        response = await forward.ask(f"slow-2000.{NAME}")
        assert (response.rcode, forward.kept) == (Rcode.SERVFAIL, [])
        await asyncio.wait_for(forward.late.wait(), 5)
        ((query, late),) = forward.kept
        assert (query.name, addresses(late)) == (from_text(f"slow-2000.{NAME}"), [GOOD])


async def test_an_answer_to_a_client_that_has_gone_is_kept() -> None:
    fake = FakeUpstream(delay=0.05)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        gone = asyncio.ensure_future(forward.ask(f"www.{NAME}"))
        await fake.wait_for(1)
        gone.cancel()
        await asyncio.wait_for(forward.late.wait(), 5)
        ((query, late),) = forward.kept
        assert (query.name, addresses(late)) == (from_text(f"www.{NAME}"), [GOOD])


async def test_an_answer_in_time_is_given_and_not_kept() -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        assert addresses(await forward.ask(f"slow-600.{NAME}")) == [GOOD]
        assert forward.kept == []


@pytest.mark.parametrize("share", [0.01, 1.0])
async def test_equal_questions_at_once_are_one_to_the_upstream(share: float) -> None:
    fake = FakeUpstream(delay=0.015)
    async with fake_upstream(fake), forwarding(to(fake, "read_timeout 60s")) as forward:
        count = int(share * forward.plugin.upstreams()[0].poller.limit)
        responses = await asyncio.gather(*(forward.ask(f"www.{NAME}") for _ in range(count)))
        assert {tuple(addresses(response)) for response in responses} == {(GOOD,)}
        assert len({seen.message.id for seen in fake.named("www")}) == 1


async def turns(awaitables: Iterable[Awaitable[object]]) -> set[int]:
    """Await all, and return in which of the event loop's turns they ended."""
    turn = 0

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def note(awaitable: Awaitable[object]) -> int:
        await awaitable
        return turn

    counting = asyncio.ensure_future(count())
    try:
        return set(await asyncio.gather(*map(note, awaitables)))
    finally:
        counting.cancel()


async def test_an_answer_for_many_does_not_hold_the_loop() -> None:
    fake = FakeUpstream(delay=0.015)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        assert len(await turns(forward.ask(f"www.{NAME}") for _ in range(1000))) >= 10


async def test_questions_that_differ_in_what_upstreams_see_are_not_equal() -> None:
    fake = FakeUpstream(delay=0.01)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        parts = [{}, {"do": True}, {"cd": True}, {"do": True, "cd": True}]
        await asyncio.gather(*(forward.ask(f"www.{NAME}", **part) for part in parts))
        await forward.ask(f"www.{NAME}", 28)
        assert len({(seen.port, seen.message.id) for seen in fake.seen}) == 5


async def test_each_asker_has_a_deadline_of_its_own() -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        first = asyncio.ensure_future(forward.ask(f"slow-2200.{NAME}"))
        await until(lambda: any(seen.transport == "tcp" for seen in fake.seen))
        second = await forward.ask(f"slow-2200.{NAME}")
        assert (await first).rcode == Rcode.SERVFAIL
        assert addresses(second) == [GOOD]


@pytest.mark.parametrize("force", ["", "force_tcp"], ids=["udp", "tcp"])
async def test_whoever_asks_after_an_outage_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch, force: str) -> None:
    monkeypatch.setattr(stanza, "BUDGET", 0.3)
    monkeypatch.setattr(question, "LATE", 0.5)
    fake = FakeUpstream(loss=1.0, tcp=bool(force))
    async with fake_upstream(fake), forwarding(to(fake, "max_fails 0", force)) as forward:
        (upstream,) = forward.plugin.upstreams()
        for _ in range(5):
            assert (await forward.ask("blackhole." + NAME)).rcode == Rcode.SERVFAIL
            assert upstream.poller.asking == 1
        fake.loss, fake.helpful = 0.0, True
        assert addresses(await forward.ask("blackhole." + NAME)) == [GOOD]


async def test_whoever_joins_a_question_has_a_packet_of_its_own() -> None:
    fake = FakeUpstream(loss=1.0, tcp=False)
    async with fake_upstream(fake), forwarding(to(fake, "max_fails 0")) as forward:
        first = asyncio.ensure_future(forward.ask(f"www.{NAME}"))
        await fake.wait_for(TRIES)
        others = [asyncio.ensure_future(forward.ask(f"www.{NAME}")) for _ in range(100)]
        await asyncio.sleep(0)
        fake.loss = 0.0
        assert {tuple(addresses(response)) for response in await asyncio.gather(first, *others)} == {(GOOD,)}
        assert len(fake.seen) == TRIES + 1
        assert len({(seen.port, seen.message.id, seen.name) for seen in fake.seen}) == 1


async def test_whoever_joins_a_question_has_it_put_to_all_upstreams() -> None:
    text = "forward . 127.0.0.1:{} 127.0.0.1:{} {{\n policy sequential\n}}"
    bad, mute = FakeUpstream(), FakeUpstream(loss=1.0, tcp=False)
    async with fake_upstream(bad), fake_upstream(mute), forwarding(text.format(bad.port, mute.port)) as forward:
        first = asyncio.ensure_future(forward.ask(f"rcode-REFUSED.{NAME}"))
        await mute.wait_for(TRIES)
        assert len(bad.seen) == 1
        bad.helpful = True
        second = await forward.ask(f"rcode-REFUSED.{NAME}")
        assert [addresses(response) for response in (await first, second)] == [[GOOD], [GOOD]]


@pytest.mark.parametrize(("tcp", "label"), [(False, "www"), (True, "rcode-REFUSED"), (True, "truncated-closed")])
async def test_a_question_that_failed_leaves_nothing_in_memory(tcp: bool, label: str) -> None:  # noqa: FBT001 - a row
    fake = FakeUpstream(tcp=tcp)
    async with fake_upstream(fake), forwarding(to(fake, "max_fails 0", "" if tcp else "force_tcp")) as forward:
        gc.collect()
        gc.disable()
        try:
            for number in range(20):
                assert (await forward.ask(f"{label}.n{number}.{NAME}")).rcode != Rcode.NOERROR
            assert [each for each in gc.get_objects() if isinstance(each, (Question, Exchange))] == []
        finally:
            gc.enable()


async def test_an_asker_that_leaves_takes_no_other_along() -> None:
    fake = FakeUpstream(delay=0.05)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        first = asyncio.ensure_future(forward.ask(f"www.{NAME}"))
        second = asyncio.ensure_future(forward.ask(f"www.{NAME}"))
        await fake.wait_for(1)
        first.cancel()
        assert addresses(await second) == [GOOD]


async def test_an_upstream_is_always_asked_for_recursion() -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        await forward.ask(f"www.{NAME}", rd=False)
        assert fake.seen[0].message.flags & 0x0100


@pytest.mark.parametrize("loss", [0.01, 0.1, 0.3, 0.5])
async def test_under_random_loss_nothing_is_lost_to_the_client(loss: float) -> None:
    fake = FakeUpstream(loss=loss)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        responses = await asyncio.gather(*(forward.ask(f"n{number}.{NAME}") for number in range(300)))
        assert [response.rcode for response in responses] == [0] * 300
        sent = Counter((seen.name.lower(), seen.transport) for seen in fake.seen)
        assert max(count for (_, transport), count in sent.items() if transport == "udp") <= 3
        assert max([count for (_, transport), count in sent.items() if transport == "tcp"], default=0) <= 1


async def test_under_loss_at_every_upstream_nothing_is_lost_to_the_client() -> None:
    text = "forward . 127.0.0.1:{} 127.0.0.1:{}"
    one, two = FakeUpstream(loss=0.5), FakeUpstream(loss=0.5, tcp=False)
    async with fake_upstream(one), fake_upstream(two), forwarding(text.format(one.port, two.port)) as forward:
        responses = await asyncio.gather(*(forward.ask(f"n{number}.{NAME}") for number in range(100)))
        assert [response.rcode for response in responses] == [0] * 100
        sent = Counter(seen.name.lower() for seen in one.seen + two.seen if seen.label)
        assert max(sent.values()) <= 7


class Reordering(FakeUpstream):
    """An upstream that answers the first questions, as many as *held*, from the last to the first."""

    def __init__(self, held: int) -> None:
        super().__init__(answers=lambda query: answer(query, f"@ A 10.0.0.{query.question[0].name[0].decode()[1:]}"))
        self.order: list[str] = []
        self._held: dict[str, tuple[Any, ...]] = {}
        self._most = held

    def _respond(self, *taken: Any) -> None:
        label = self.seen[-1].label
        if len(self.order) == self._most:
            super()._respond(*taken)
            return
        self._held[label] = taken  # a repeated packet takes the place of the first
        if len(self._held) == self._most:
            self.order = list(reversed(self._held))
            for each in self.order:
                super()._respond(*self._held[each])


async def test_answers_out_of_order_reach_whoever_asked() -> None:
    fake = Reordering(50)
    async with fake_upstream(fake), forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        responses = await asyncio.gather(*(forward.ask(f"n{number}.{NAME}") for number in range(50)))
        assert len(fake.order) == 50
        assert [addresses(response) for response in responses] == [[f"10.0.0.{number}"] for number in range(50)]


async def test_an_answer_that_comes_twice_is_taken_once() -> None:
    async with fake_upstream() as fake, forwarding(f"forward . 127.0.0.1:{fake.port}") as forward:
        for part in ("a", "b", "c"):
            assert addresses(await forward.ask(f"twice.{part}.{NAME}")) == [GOOD]
            assert addresses(await forward.ask(f"www.{part}.{NAME}")) == [GOOD]


async def test_an_upstream_that_comes_and_goes_costs_its_neighbour_s_clients_little() -> None:
    first, second = FakeUpstream(), FakeUpstream()
    async with fake_upstream(first), fake_upstream(second):
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            health_check 10ms domain probe.example
        }}"""
        async with forwarding(text) as forward:
            health = forward.plugin.upstreams()[0].datagrams
            for turn in range(5):
                first.loss = 1.0
                for number in range(20):
                    assert addresses(await forward.ask(f"away-{turn}-{number}.example.")) == [GOOD]
                assert {seen.name.lower() for seen in first.seen if seen.label != "probe"} == {
                    f"away-{turn}-0.example."
                }
                first.loss = 0.0
                await until(lambda: not health.suspect)
                first.seen.clear()
                assert addresses(await forward.ask(f"back-{turn}.example.")) == [GOOD]
                assert {seen.label for seen in first.seen} == {f"back-{turn}"}
                first.seen.clear()
