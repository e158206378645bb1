"""Limits and health."""

import asyncio
import time

import pytest

from svcdns.dns.message import Ede, Rcode
from svcdns.metrics import Metrics
from svcdns.net import poller
from svcdns.plugins.forward import stanza
from tests.fake_upstream import GOOD, FakeUpstream, fake_upstream
from tests.plugins.forward.forwarding import OVER_TCP, Forwarding, addresses, forwarding, to, until


def value(forward: Forwarding, name: str, *labels: str) -> float:
    """Read a counter."""
    for line in forward.lent.metrics.expose().splitlines():
        if line.startswith(name) and all(f'"{label}"' in line for label in labels):
            return float(line.rpartition(" ")[2])
    return 0


async def test_more_than_max_concurrent_are_refused_and_counted() -> None:
    async with fake_upstream() as fake, forwarding(to(fake, "max_concurrent 2")) as forward:
        waiting = [asyncio.ensure_future(forward.ask(f"slow-{300 + number}.example.")) for number in range(2)]
        await fake.wait_for(2)
        refused = await forward.ask("www.example.")
        assert refused.rcode == Rcode.REFUSED
        assert value(forward, "coredns_forward_max_concurrent_rejects_total") == 1
        assert [addresses(response) for response in await asyncio.gather(*waiting)] == [[GOOD], [GOOD]]
        assert addresses(await forward.ask("www.example.")) == [GOOD]


async def test_more_than_may_be_under_way_are_servfail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MOST_QUESTIONS", 3)
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        waiting = [asyncio.ensure_future(forward.ask(f"slow-{300 + number}.example.")) for number in range(3)]
        await fake.wait_for(3)
        response = await forward.ask("www.example.")
        assert response.rcode == Rcode.SERVFAIL
        assert response.ede is not None
        assert response.ede.text == "too many queries wait for upstreams"
        await asyncio.gather(*waiting)
        assert addresses(await forward.ask("www.example.")) == [GOOD]


@pytest.mark.parametrize("option", ["", "force_tcp"])
async def test_equal_queries_are_as_many_as_others(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(poller, "MOST_QUESTIONS", 3)
    async with fake_upstream() as fake, forwarding(to(fake, option)) as forward:
        waiting = [asyncio.ensure_future(forward.ask("slow-300.example.")) for _ in range(3)]
        await fake.wait_for(1)
        response = await forward.ask("slow-300.example.")
        assert response.rcode == Rcode.SERVFAIL
        assert response.ede is not None
        assert response.ede.text == "too many queries wait for upstreams"
        assert [addresses(each) for each in await asyncio.gather(*waiting)] == [[GOOD]] * 3
        assert addresses(await forward.ask("www.example.")) == [GOOD]


@pytest.mark.parametrize("option", ["", "force_tcp"])
async def test_questions_that_nobody_waits_for_make_room(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(poller, "MOST_QUESTIONS", 2)
    async with fake_upstream() as fake, forwarding(to(fake, option)) as forward:
        await asyncio.gather(forward.ask("blackhole.a.example."), forward.ask("blackhole.b.example."))
        (upstream,) = forward.plugin.upstreams()
        assert upstream.poller.asking == 2
        assert addresses(await forward.ask("www.example.")) == [GOOD]
        assert upstream.poller.asking == 1


async def test_a_question_that_somebody_waits_for_again_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MOST_QUESTIONS", 2)
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        first = asyncio.ensure_future(forward.ask("blackhole.example."))
        assert (await forward.ask("slow-2500.example.")).rcode == Rcode.SERVFAIL
        assert (await first).rcode == Rcode.SERVFAIL
        again = asyncio.ensure_future(forward.ask("slow-2500.example."))
        await asyncio.sleep(0)
        assert addresses(await forward.ask("www.example.")) == [GOOD]
        assert (await forward.ask("slow-300.example.")).rcode == Rcode.NOERROR
        assert addresses(await again) == [GOOD]


async def test_silence_is_no_way_around_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MOST_QUESTIONS", 2)
    async with fake_upstream() as first, fake_upstream() as second:
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            read_timeout 30ms
        }}"""
        async with forwarding(text) as forward:
            await asyncio.gather(*(forward.ask(f"blackhole.{zone}.example.") for zone in ("a", "b")))
            assert first.named("blackhole")
            assert not second.named("blackhole")


async def test_read_timeout_gives_more_time_where_it_is_longer() -> None:
    async with fake_upstream() as fake, forwarding(to(fake, "read_timeout 4s")) as forward:
        assert addresses(await forward.ask("slow-2000.example.")) == [GOOD]


async def test_read_timeout_brings_the_next_upstream_sooner_where_it_is_shorter() -> None:
    async with fake_upstream() as slow, fake_upstream(FakeUpstream(helpful=True)) as quick:
        text = f"forward . 127.0.0.1:{slow.port} 127.0.0.1:{quick.port} {{\n policy sequential\n read_timeout 30ms\n}}"
        async with forwarding(text) as forward:
            begun = time.monotonic()
            assert addresses(await forward.ask("slow-1500.example.")) == [GOOD]
            assert time.monotonic() - begun < 1


async def test_an_upstream_that_failed_is_asked_last_until_a_probe_is_answered() -> None:
    first, second = FakeUpstream(), FakeUpstream()
    async with fake_upstream(first), fake_upstream(second):
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            health_check 10ms no_rec domain probe.example
        }}"""
        async with forwarding(text) as forward:
            first.loss = 1.0
            assert addresses(await forward.ask("www.example.")) == [GOOD]
            first.seen.clear()
            for number in range(20):
                assert addresses(await forward.ask(f"n{number}.example.")) == [GOOD]
            assert {seen.label for seen in first.seen} == {"probe"}
            assert not first.seen[0].message.flags & 0x0100
            first.loss = 0.0
            await until(lambda: not forward.plugin.upstreams()[0].datagrams.suspect)
            first.seen.clear()
            await forward.ask("again.example.")
            assert [seen.label for seen in first.seen] == ["again"]


async def test_a_probe_that_is_refused_is_an_answer() -> None:
    async with fake_upstream() as fake:
        text = f"forward . 127.0.0.1:{fake.port} {{\n health_check 10ms domain rcode-REFUSED.example\n}}"
        async with forwarding(text) as forward:
            forward.plugin.upstreams()[0].datagrams.suspect = True
            await until(lambda: not forward.plugin.upstreams()[0].datagrams.suspect)


async def test_a_probe_over_udp_must_be_answered_over_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stanza, "PROBE_PATIENCE", 0.05)
    first, second = FakeUpstream(loss=1.0), FakeUpstream()
    async with fake_upstream(first), fake_upstream(second):
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            health_check 10ms domain probe.example
        }}"""
        async with forwarding(text) as forward:
            assert addresses(await forward.ask("www.example.")) == [GOOD]
            label = f"127.0.0.1:{first.port}"
            await until(lambda: value(forward, "coredns_proxy_healthcheck_failures_total", label) >= 3)
            assert {seen.transport for seen in first.named("probe")} == {"udp"}
            assert addresses(await forward.ask("other.example.")) == [GOOD]
            assert not first.named("other")
            assert addresses(await forward.ask("stream.example.", listener=OVER_TCP)) == [GOOD]
            assert [seen.transport for seen in first.named("stream")] == ["tcp"]


async def test_who_fails_over_tcp_alone_is_asked_over_udp() -> None:
    first, second = FakeUpstream(tcp=False), FakeUpstream()
    async with fake_upstream(first), fake_upstream(second):
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            health_check 10ms
        }}"""
        async with forwarding(text) as forward:
            assert addresses(await forward.ask("www.example.", listener=OVER_TCP)) == [GOOD]
            label = f"127.0.0.1:{first.port}"
            await until(lambda: value(forward, "coredns_proxy_healthcheck_failures_total", label) >= 3)
            assert not first.seen
            assert addresses(await forward.ask("other.example.")) == [GOOD]
            assert {seen.label for seen in first.seen} == {"other"}


async def test_a_truncated_answer_is_one_to_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stanza, "PROBE_PATIENCE", 0.2)
    async with fake_upstream(FakeUpstream(tcp=False)) as fake:
        text = f"forward . 127.0.0.1:{fake.port} {{\n health_check 10ms domain truncated.example\n}}"
        async with forwarding(text) as forward:
            (upstream,) = forward.plugin.upstreams()
            upstream.datagrams.suspect = True
            await until(lambda: not upstream.datagrams.suspect)
            assert value(forward, "coredns_proxy_healthcheck_failures_total") == 0


@pytest.mark.parametrize("failfast", [False, True])
async def test_where_all_upstreams_are_down_they_are_tried_all_the_same_unless_told(*, failfast: bool) -> None:
    option = "failfast_all_unhealthy_upstreams" if failfast else ""
    async with fake_upstream() as fake, forwarding(to(fake, "max_fails 1", option)) as forward:
        (upstream,) = forward.plugin.upstreams()
        upstream.datagrams.failed_probes = 2
        response = await forward.ask("www.example.")
        assert value(forward, "coredns_forward_healthcheck_broken_total") == 1
        if failfast:
            assert (response.rcode, bool(fake.seen)) == (Rcode.SERVFAIL, False)
            assert response.ede is not None
            assert response.ede == (Ede.NO_REACHABLE_AUTHORITY, "all upstreams are down")
        else:
            assert addresses(response) == [GOOD]


@pytest.mark.parametrize("probed", [False, True])
async def test_an_upstream_that_does_not_answer_probes_goes_down_and_comes_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, probed: bool
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(stanza, "PROBE_PATIENCE", 0.02 if probed else 0.2)
    async with fake_upstream(FakeUpstream(loss=1.0)) as fake:
        label = f"127.0.0.1:{fake.port}"
        async with forwarding(to(fake, "health_check 5ms")) as forward:
            waiting = asyncio.ensure_future(forward.ask("www.example."))
            await until(lambda: f"upstream {label} is down over UDP: it did not answer" in caplog.text)
            assert value(forward, "coredns_proxy_healthcheck_failures_total", "forward", label) >= 3
            fake.loss = 0.0
            if not probed:
                assert addresses(await forward.ask("other.example.")) == [GOOD]
            await until(lambda: f"upstream {label} is back over UDP" in caplog.text)
            await waiting


async def test_max_fails_0_probes_nobody() -> None:
    async with fake_upstream() as fake, forwarding(to(fake, "max_fails 0", "health_check 1ms")) as forward:
        await forward.ask("lying.example.")
        await forward.ask("www.example.")
        assert {seen.label for seen in fake.seen} == {"lying", "www"}


async def test_no_more_upstreams_are_tried_than_max_connect_attempts() -> None:
    async with fake_upstream() as first, fake_upstream() as second:
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            max_connect_attempts 1
        }}"""
        async with forwarding(text) as forward:
            assert (await forward.ask("rcode-REFUSED.example.")).rcode == Rcode.REFUSED
            assert second.seen == []


async def test_failover_adds_response_codes_after_which_the_next_is_asked() -> None:
    async with fake_upstream() as first, fake_upstream(FakeUpstream(helpful=True)) as second:
        text = f"""forward . 127.0.0.1:{first.port} 127.0.0.1:{second.port} {{
            policy sequential
            failover NXDOMAIN
        }}"""
        async with forwarding(text) as forward:
            assert addresses(await forward.ask("rcode-NXDOMAIN.example.")) == [GOOD]


async def test_where_every_answer_is_one_of_failover_the_last_stands() -> None:
    async with fake_upstream() as fake, forwarding(to(fake, "failover NXDOMAIN")) as forward:
        response = await forward.ask("rcode-NXDOMAIN.example.")
        assert (response.rcode, response.ede) == (Rcode.NXDOMAIN, None)


async def test_answers_are_counted_by_upstream_and_rcode() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        for behaviour in ("www", "other", "rcode-NXDOMAIN"):
            await forward.ask(f"{behaviour}.example.")
        label = f"127.0.0.1:{fake.port}"
        name = "coredns_proxy_request_duration_seconds_count"
        assert value(forward, name, "forward", label, "NOERROR") == 2
        assert value(forward, name, "forward", label, "NXDOMAIN") == 1
        assert value(forward, "coredns_proxy_conn_cache_misses_total", "forward", label, "udp") == 1
        assert value(forward, "coredns_proxy_conn_cache_hits_total", "forward", label, "udp") == 2


async def test_a_looping_upstream_is_left_alone() -> None:
    async with fake_upstream() as fake, forwarding(to(fake)) as forward:
        (upstream,) = forward.plugin.upstreams()
        upstream.looping = True
        response = await forward.ask("www.example.")
        assert (response.rcode, fake.seen) == (Rcode.SERVFAIL, [])
        assert response.ede is not None
        assert response.ede.text == f"127.0.0.1:{fake.port} leads back here"


async def test_what_was_learnt_outlives_a_reload() -> None:
    async with fake_upstream(FakeUpstream(fold=True)) as fake, forwarding(to(fake)) as forward:
        await forward.ask("some-letters.example.")
        fake.seen.clear()
        again = Forwarding(to(fake, "max_fails 7"), forward.lent)
        assert again.plugin.upstreams() == forward.plugin.upstreams()
        await again.ask("some-more-letters.example.")
        assert [(seen.transport, seen.name.islower()) for seen in fake.seen] == [("udp", True)]


async def test_metrics_of_a_stanza_are_there_before_anything_happens() -> None:
    metrics = Metrics()
    async with forwarding("forward . 192.0.2.1", metrics=metrics):
        assert "coredns_forward_max_concurrent_rejects_total 0" in metrics.expose()
        assert "coredns_forward_healthcheck_broken_total 0" in metrics.expose()
