import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.lines import MAX_LINE
from svcdns.kube.api.source import ApiSource
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import Key, Kind, Service
from svcdns.metrics import Metrics
from tests.kube.api.fake_api import (
    Exchange,
    FakeApi,
    Fault,
    endpoint_slice,
    event,
    failure,
    late,
    namespace,
    pod,
    refuse_with,
    reset_after,
    reset_at_once,
    say,
    say_nothing,
    service,
    stall,
)
from tests.kube.api.following import QUICK, STRETCH, Following, following, synced, until

WEB: Key = ("default", "web")


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as running:
        running.put("services", service("web"))
        running.put("endpointslices", endpoint_slice("web-1", "web", "10.244.0.5"))
        running.put("namespaces", namespace("default"))
        yield running


async def watched(api: FakeApi, *resources: str) -> None:
    """Wait until the watches are open."""
    await until(lambda: all(api.watching(each) for each in resources or ("services", "endpointslices", "namespaces")))


async def current(api: FakeApi, follows: Following) -> None:
    """Wait until all is there and a change arrives, which shows that the watch works."""
    await synced(follows)
    name = f"probe-{api.version}"
    api.put("services", service(name))
    await until(lambda: name in follows.names())


# What is asked, and what comes of it


async def test_objects_come_change_and_go(api: FakeApi) -> None:
    async with following(api) as follows:
        await synced(follows)
        assert (follows.names(), follows.names(Kind.ENDPOINT_SLICE)) == ({"web"}, {"web-1"})
        api.put("services", service("web", "10.96.0.99"))
        api.put("services", service("db"))
        await until(lambda: len(follows.names()) == 2)
        assert follows.cluster.services.at(bytes((10, 96, 0, 99)))
        api.delete("services", "default", "web")
        await until(lambda: follows.names() == {"db"})


async def test_each_kind_is_streamed_and_followed_by_one_request(api: FakeApi) -> None:
    async with following(api) as follows:
        await current(api, follows)
        assert sorted(each.resource for each in api.seen) == ["endpointslices", "namespaces", "services"]
        assert all(each.query["sendInitialEvents"] == "true" for each in api.seen)


async def test_a_server_that_cannot_stream_is_listed_in_pages_and_watched(api: FakeApi) -> None:
    api.streaming = False
    for number in range(1200):
        api.put("services", service(f"s{number}"))
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        await watched(api, "services")
        assert len(follows.names()) == 1201
        lists = [each.query for each in api.asked("services", watch=False)]
        assert [each["limit"] for each in lists] == ["500"] * 3
        assert ["continue" in each for each in lists] == [False, True, True]
        assert api.seen[-1].query["resourceVersion"] == str(api.version)
        api.version += 1
        api.compact()
        api.cut()
        await current(api, follows)
        assert {each.query["limit"] for each in api.asked("services", watch=False)[3:]} == {"50"}


async def test_requests_say_who_asks_and_want_plain_json(api: FakeApi) -> None:
    async with following(api) as follows:
        await synced(follows)
        for seen in api.seen:
            assert seen.headers["user-agent"].startswith("svcdns/")
            assert seen.headers["accept-encoding"] == "identity"
            assert seen.headers["accept"] == "application/json"
            assert "authorization" not in seen.headers


async def test_selectors_are_the_api_servers_work(api: FakeApi) -> None:
    kinds = tuple(Kind)
    async with following(api, *kinds, labels="a in (b,c),!d", namespace_labels="x=y") as follows:
        await synced(follows)
        selectors = {each.resource: each.query["labelSelector"] for each in api.seen}
        assert selectors.pop("namespaces") == "x=y"
        assert selectors == dict.fromkeys(("services", "endpointslices", "pods"), "a in (b,c),!d")
        living = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"
        fields = {each.resource: each.query.get("fieldSelector") for each in api.seen}
        assert fields == dict.fromkeys(("services", "endpointslices", "namespaces")) | {"pods": living}


async def test_a_pod_on_its_way_out_stays_until_it_is_gone(api: FakeApi) -> None:
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    api.put("pods", pod("a", "10.244.0.5"))
    api.put("pods", pod("gone", "10.244.0.6", **going))
    async with following(api, Kind.POD) as follows:
        await synced(follows)
        api.put("pods", pod("a", "10.244.0.9", **going))
        api.put("pods", pod("b", "10.244.0.7"))
        await until(lambda: follows.names(Kind.POD) == {"a", "b"})
        assert follows.cluster.pods.at(bytes((10, 244, 0, 5)))
        api.delete("pods", "default", "a")
        await until(lambda: follows.names(Kind.POD) == {"b"})


# Watches that end, break or fall silent


async def test_a_watch_goes_on_without_a_gap_where_it_ended(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        for number in range(5):
            await current(api, follows)
            api.bookmark()
            (api.finish if number % 2 else api.cut)("services")
            api.put("services", service(f"meanwhile-{number}"))
        await until(lambda: len(follows.names()) == 11)
        assert follows.value('svcdns_kubernetes_lists_total{cause="start",kind="services"}') == 1
        assert all("sendInitialEvents" not in each.query for each in api.seen[1:])


@pytest.mark.parametrize("octets", [0, 1, 2, 40, 100, 200, 300, 450, 600])
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_list_that_breaks_off_anywhere_is_begun_again(api: FakeApi, octets: int, *, streaming: bool) -> None:
    api.put("services", service("größe-日本", annotations={"x": "größe-日本"}))
    api.streaming = streaming
    api.meet(reset_after(octets), "services", watch=streaming)
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        assert follows.names() == {"web", "größe-日本"}
        await current(api, follows)


async def test_a_watch_that_falls_silent_is_given_up_and_resumed(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE, quickly={"answer": 0.1, "silence": 0.1}) as follows:
        await synced(follows)
        version = str(api.version)
        for fault in (stall, say_nothing):
            api.meet(fault, "services", watch=True)
        await until(lambda: len(api.asked("services", watch=True)) >= 4)
        assert {each.query["resourceVersion"] for each in api.asked("services", watch=True)[1:]} == {version}
        await current(api, follows)


@pytest.mark.parametrize("fault", [say_nothing, stall])
async def test_a_list_that_falls_silent_is_begun_again(api: FakeApi, fault: Fault) -> None:
    api.streaming = False
    api.meet(fault, "services", watch=False)
    async with following(api, Kind.SERVICE, quickly={"list_silence": 0.05}) as follows:
        await synced(follows)
        assert follows.names() == {"web"}


async def test_watches_that_end_at_once_do_not_loop_hot(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)

        async def end_at_once(_: FakeApi, exchange: Exchange) -> None:
            exchange.start()
            exchange.end()

        api.always = end_at_once
        api.cut()
        await until(lambda: len(api.seen) >= 8)
        times = [each.at for each in api.seen[2:]]
        between = [later - earlier for earlier, later in pairwise(times)]
        assert min(between) >= 0.9 * STRETCH
        api.always = FakeApi.reply
        await current(api, follows)


async def test_a_watch_that_yields_garbage_is_resumed(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        for garbage in (b'{"type":"ADDED","obj\n', b"<html>\n", b"\xff\xfe\n", b'{"type":"ADDED"}\n', b"[]\n"):
            await current(api, follows)
            api.emit("services", garbage)
            await until(lambda: not api.watching("services"))
        await current(api, follows)


async def test_the_last_line_is_taken_if_only_its_end_is_missing(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        line = event("ADDED", json.dumps({"kind": "Service", **service("half")}).encode())
        api.emit("services", line[:-3])
        api.finish("services")
        await current(api, follows)
        assert "half" not in follows.names()
        api.put("services", service("whole"), lost=True)
        whole = {"kind": "Service", **service("whole", resourceVersion=str(api.version))}
        api.emit("services", event("ADDED", json.dumps(whole).encode())[:-1])
        api.finish("services")
        await until(lambda: "whole" in follows.names())


@pytest.mark.parametrize("size", [10, 2 * 2**20, MAX_LINE - 400])
async def test_lines_may_come_in_any_pieces_and_be_of_eight_mebibytes(api: FakeApi, size: int) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        api.version += 1
        content = service("big", annotations={"größe": "ß" + "x" * size}, resourceVersion=str(api.version))
        line = event("MODIFIED", json.dumps({"kind": "Service"} | content, ensure_ascii=False).encode())
        line = line.replace(b"\n", b"\r\n\r\n\n")
        step = max(1, len(line) // 97)
        for start in range(0, len(line), step):
            api.emit("services", line[start : start + step])
        await until(lambda: "big" in follows.names())


# Versions that are gone


@pytest.mark.parametrize("gone", ["event", "status", "body"])
async def test_a_version_that_is_gone_is_listed_again_in_one_step(api: FakeApi, gone: str) -> None:
    api.gone = gone
    for number in range(300):
        api.put("services", service(f"s{number}"))
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        before = follows.names()
        api.delete("services", "default", "s7", lost=True)
        api.put("services", service("new"), lost=True)
        api.compact()
        revision = follows.cluster.revision
        api.cut("services")
        after = before - {"s7"} | {"new"}
        seen = [before]

        def arrived() -> bool:
            seen.append(follows.names())
            return seen[-1] == after

        await until(arrived)
        assert all(each in (before, after) for each in seen)
        assert follows.cluster.revision == revision + 1
        assert follows.value('svcdns_kubernetes_lists_total{cause="expired",kind="services"}') == 1


async def test_a_token_that_expires_makes_one_list_without_pages(api: FakeApi) -> None:
    api.streaming = False
    for number in range(700):
        api.put("services", service(f"s{number}"))
    api.meet(FakeApi.reply, "services", watch=True)
    api.meet(FakeApi.reply, "services", watch=False)
    api.meet(refuse_with(410, "the provided continue parameter is too old"), "services", watch=False)
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        assert len(follows.names()) == 701
        assert [each.query.get("limit") for each in api.asked("services", watch=False)] == ["500", "500", None]


async def test_a_server_whose_history_was_set_back_is_listed_again(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        api.delete("services", "default", "web", lost=True)
        api.version = 50
        api.put("services", service("old"), lost=True)
        api.cut("services")
        await until(lambda: "old" in follows.names() and "web" not in follows.names())
        await current(api, follows)


async def test_an_event_from_before_makes_a_list(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        stale = service("web", "10.96.0.66", resourceVersion="90")
        api.emit("services", event("MODIFIED", json.dumps({"kind": "Service"} | stale).encode()))
        await until(lambda: follows.value('svcdns_kubernetes_lists_total{cause="order",kind="services"}') == 1)
        assert not follows.cluster.services.at(bytes((10, 96, 0, 66)))


async def test_a_repeated_event_changes_nothing(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        api.put("services", service("web", "10.96.0.77"))
        await until(lambda: follows.cluster.services.at(bytes((10, 96, 0, 77))))
        revision = follows.cluster.revision
        again = service("web", "10.96.0.77", resourceVersion=str(api.version))
        api.emit("services", event("MODIFIED", json.dumps({"kind": "Service"} | again).encode()))
        await current(api, follows)
        assert follows.cluster.revision == revision + 1


# Lost events


@pytest.mark.parametrize("change", ["created", "changed", "deleted"])
async def test_an_audit_mends_what_an_event_was_lost_of(api: FakeApi, change: str) -> None:
    async with following(api, Kind.SERVICE, quickly={"audit": (0.02, 0.03)}) as follows:
        await watched(api, "services")
        match change:
            case "created":
                api.put("services", service("lost"), lost=True)
            case "changed":
                api.put("services", service("web", "10.96.0.44"), lost=True)
            case "deleted":
                api.delete("services", "default", "web", lost=True)
        repairs = 'svcdns_kubernetes_repairs_total{kind="services"}'

        def mended() -> bool:
            api.bookmark("services")
            return follows.value(repairs) == 1

        await until(mended)
        assert ("lost" in follows.names(), "web" in follows.names()) == (change == "created", change != "deleted")
        assert bool(follows.cluster.services.at(bytes((10, 96, 0, 44)))) == (change == "changed")
        audit = next(each for each in api.seen if "PartialObjectMetadataList" in each.headers["accept"])
        assert audit.query == {"limit": "500"}


async def test_audits_of_what_is_well_find_nothing(api: FakeApi) -> None:
    async with following(api, Kind.SERVICE, quickly={"audit": (0.005, 0.01)}) as follows:
        await watched(api, "services")
        api.put("services", {**service("bad"), "spec": {"ports": 7}})
        for _ in range(10):
            await current(api, follows)
            api.bookmark("services")
        await until(lambda: len(api.asked("services", watch=False)) >= 5)
        assert follows.value('svcdns_kubernetes_repairs_total{kind="services"}') == 0


# Objects that do not fit


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_object_that_cannot_be_read_loses_nobody_else(
    api: FakeApi, caplog: pytest.LogCaptureFixture, *, streaming: bool
) -> None:
    api.streaming = streaming
    api.put("services", {**service("bad"), "spec": {"ports": 7}})
    api.put("services", service("good"))
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        assert follows.names() == {"web", "good"}
        await watched(api, "services")
        for _ in range(100):
            api.put("services", {**service("good"), "spec": {"ports": 7}})
        api.emit("services", event("ADDED", json.dumps({"kind": "Gadget", "metadata": {"name": "x"}}).encode()))
        await current(api, follows)
        assert "good" in follows.names()
        assert follows.value('svcdns_kubernetes_skipped_objects_total{kind="services"}') == 102
        assert len([each for each in caplog.messages if "skipped" in each]) == 3


@pytest.mark.parametrize(
    "body", [b'{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[{"meta', b"", b"<html>", b"[]"]
)
async def test_a_page_that_is_no_list_is_asked_for_again(api: FakeApi, body: bytes) -> None:
    api.streaming = False
    for other in (body, body.replace(b"ServiceList", b"PodList"), json.dumps(failure(500, "no")).encode()):
        api.meet(say(other), "services", watch=False)
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        assert follows.names() == {"web"}


async def test_a_redirect_is_followed_and_packed_answers_are_read(api: FakeApi) -> None:
    api.streaming = False
    api.meet(say(b"", 307, Location=f"{api.url}/api/v1/services?limit=500"), "services", watch=False)
    text = b'{"kind":"ServiceList","metadata":{"resourceVersion":"100"},"items":[]}'
    api.meet(say(gzip.compress(text), Content_Encoding="gzip"), "services", watch=False)
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        await until(lambda: follows.names() == {"web"})


# The API server is away, or will not answer


async def test_answers_are_kept_while_the_api_server_is_away_and_age(api: FakeApi) -> None:
    age = 'svcdns_kubernetes_data_age_seconds{kind="services"}'
    async with following(api) as follows:
        await current(api, follows)
        assert follows.value(age) < 5
        names = follows.names()
        await api.stop()
        await until(lambda: len(follows.source.faults) == 3)
        old = follows.value(age)
        await until(lambda: follows.value(age) > old + 0.1)
        assert (follows.names(), follows.cluster.pending) == (names, frozenset())
        await api.start()
        await current(api, follows)
        await until(lambda: follows.source.faults == {})
        assert follows.value(age) < old + 0.1


async def test_an_api_server_that_comes_late_is_found(api: FakeApi) -> None:
    await api.stop()
    async with following(api) as follows:
        await until(lambda: len(follows.source.faults) == 3)
        told = f"cannot connect to {api.address}:{api.port}: Connection refused"
        assert all(fault.endswith(f": {told}") for fault in follows.source.faults.values())
        assert len(follows.cluster.pending) == 3
        await api.start()
        await synced(follows)


@pytest.mark.parametrize("status", [401, 429, 500, 503, 504])
async def test_one_small_list_for_all_finds_out_when_errors_are_over(api: FakeApi, status: int) -> None:
    async with following(api) as follows:
        await current(api, follows)
        api.always = refuse_with(status)
        api.cut()
        await until(lambda: len(follows.source.faults) == 3)
        await until(lambda: len([each for each in api.seen if each.small]) >= 1)
        asked = len(api.asked())
        await until(lambda: len([each for each in api.seen if each.small]) >= 6)
        assert len(api.asked()) == asked
        api.always = FakeApi.reply
        await current(api, follows)
        await until(lambda: follows.source.faults == {})


@pytest.mark.parametrize("fault", [reset_at_once, say(b"", 502), say(b"<html>no</html>", 500), reset_after(0)])
async def test_trouble_at_the_start_is_waited_out(api: FakeApi, fault: Fault) -> None:
    for _ in range(7):
        api.meet(fault)
    async with following(api) as follows:
        await synced(follows)
        await current(api, follows)


async def test_an_api_server_that_takes_requests_and_never_answers_is_found_when_it_does(api: FakeApi) -> None:
    api.always = say_nothing
    async with following(api, quickly={"answer": 0.1}) as follows:
        await until(lambda: len([each for each in api.seen if each.small]) >= 3)
        api.always = FakeApi.reply
        await synced(follows)


async def test_an_api_server_that_is_slow_to_answer_is_given_ever_more_time(api: FakeApi) -> None:
    api.always = late(0.3)
    async with following(api, Kind.SERVICE, quickly={"answer": 0.1}) as follows:
        await synced(follows)
        await current(api, follows)


async def test_nobody_asks_while_one_looks_out(api: FakeApi) -> None:
    async with following(api, *Kind, quickly={"audit": (0.1, 0.2)}) as follows:
        await watched(api)
        api.always = refuse_with(503)
        api.cut("services")
        await until(lambda: any(each.small for each in api.seen))
        api.cut()
        asked = len(api.asked())
        await until(lambda: len(follows.source.faults) == len(Kind))
        await until(lambda: sum(each.small for each in api.seen) >= 20)
        assert len(api.asked()) == asked
        api.always = FakeApi.reply
        await current(api, follows)
        await until(lambda: not follows.source.faults)


async def test_a_request_that_is_reset_is_not_sent_twice(api: FakeApi) -> None:
    api.always = reset_at_once
    async with following(api) as follows:
        await until(lambda: len(api.seen) >= 9)
        labels = f'code="<error>",host="127.0.0.1:{api.port}",method="GET"'
        sent = follows.value(f"coredns_kubernetes_rest_client_requests_total{{{labels}}}")
        assert sent >= len(api.seen) - 1


def test_an_outage_is_over_in_time_and_costs_the_api_server_little() -> None:
    pace = Pace()
    assert pace.answer + pace.probe[1] < 5
    assert pace.recheck[1] < 5
    assert 2 / sum(pace.recheck) < 0.25
    assert 2 / sum(pace.probe) + 2 / sum(pace.recheck) < 2


@pytest.mark.parametrize("status", [429, 503])
async def test_the_api_servers_wish_to_wait_is_kept_to_the_second(api: FakeApi, status: int) -> None:
    async with following(api, Kind.SERVICE) as follows:
        await current(api, follows)
        api.always = refuse_with(status, Retry_After="1")
        api.cut()
        await until(lambda: str(status) in follows.source.faults.get(Kind.SERVICE, ""))
        refused = api.seen[-1].at
        count = len(api.seen)
        api.always = FakeApi.reply
        await current(api, follows)
        assert 0.99 <= api.seen[count].at - refused < 2


async def test_a_kind_that_is_denied_is_named_and_the_others_go_on(api: FakeApi) -> None:
    api.forbidden = {"endpointslices"}
    async with following(api) as follows:
        await until(lambda: follows.cluster.pending == {Kind.ENDPOINT_SLICE} == follows.cluster.denied)
        api.put("services", service("db"))
        await until(lambda: follows.names() == {"web", "db"})
        text = follows.source.faults[Kind.ENDPOINT_SLICE]
        assert text.startswith("watch endpointslices: 403 Forbidden: endpointslices is forbidden")
        assert follows.value('svcdns_kubernetes_denied{kind="endpointslices"}') == 1
        times = [each.at for each in api.asked("endpointslices")]
        assert all(later - earlier >= 30 * STRETCH for earlier, later in pairwise(times))
        api.forbidden = set()
        await synced(follows)
        assert (follows.source.faults, follows.cluster.denied) == ({}, frozenset())
        assert follows.value('svcdns_kubernetes_denied{kind="endpointslices"}') == 0


async def test_a_kind_denied_later_keeps_its_objects(api: FakeApi) -> None:
    async with following(api) as follows:
        await current(api, follows)
        api.forbidden = {"services"}
        api.cut("services")
        await until(lambda: follows.cluster.denied == {Kind.SERVICE})
        assert "web" in follows.names()
        api.forbidden = set()
        await current(api, follows)
        assert follows.cluster.denied == frozenset()


async def test_what_is_our_own_fault_is_counted_and_begun_again(api: FakeApi) -> None:
    def wall() -> float:
        if api.asked("services") and not broken:
            broken.append(True)
            raise ZeroDivisionError
        return 1.7e9

    broken: list[bool] = []
    cluster, metrics = Cluster((Kind.SERVICE,), wall), Metrics()
    source = ApiSource(ApiConfig((Kind.SERVICE,), endpoint=api.url), cluster, metrics, pace=QUICK)
    running = asyncio.create_task(source.run())
    await until(lambda: not cluster.pending)
    await until(lambda: len(cluster.services) == 1)
    assert 'svcdns_kubernetes_errors_total{kind="services"} 1' in metrics.expose()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# Limits and measures


async def test_the_rate_of_lists_is_kept(api: FakeApi) -> None:
    api.streaming = False
    for number in range(2000):
        api.put("services", service(f"s{number}"))
    began = asyncio.get_running_loop().time()
    async with following(api, Kind.SERVICE, qps=50.0, burst=1) as follows:
        await synced(follows)
        times = [each.at for each in api.asked("services", watch=False)]
        assert len(times) == 5
        assert times[-1] - began >= 4 / 50
        labels = f'host="127.0.0.1:{api.port}",verb="GET"'
        assert follows.value(f"coredns_kubernetes_rest_client_rate_limiter_duration_seconds_count{{{labels}}}") == 5


async def test_no_more_requests_than_allowed_wait_for_their_answer(api: FakeApi) -> None:
    waiting, most = 0, 0

    async def slowly(server: FakeApi, exchange: Exchange) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        for _ in range(20):
            await asyncio.sleep(0)
        waiting -= 1
        await server.reply(exchange)

    api.always = slowly
    async with following(api, *Kind, max_inflight=1) as follows:
        await synced(follows)
        assert most == 1
        assert len(api.seen) == 4


async def test_requests_are_counted_as_coredns_counts_them(api: FakeApi) -> None:
    api.streaming = False
    async with following(api, Kind.SERVICE) as follows:
        await synced(follows)
        await watched(api, "services")
        host = f'host="127.0.0.1:{api.port}"'
        prefix = "coredns_kubernetes_rest_client_"
        await until(lambda: follows.value(f'{prefix}requests_total{{code="200",{host},method="GET"}}') == 2)
        assert follows.value(f'{prefix}requests_total{{code="422",{host},method="GET"}}') == 1
        assert follows.value(f'{prefix}request_duration_seconds_count{{{host},verb="GET"}}') == 1
        await api.stop()
        await until(lambda: follows.value(f'{prefix}requests_total{{code="<error>",{host},method="GET"}}') >= 1)


async def test_programming_is_measured_for_changes_and_not_for_lists(api: FakeApi) -> None:
    count = 'coredns_kubernetes_dns_programming_duration_seconds_count{service_kind="%s"}'
    stamp = {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}
    api.put("services", service("none", "None"))
    api.put("endpointslices", endpoint_slice("web-2", "web", "10.244.0.6", **stamp))
    async with following(api) as follows:
        await synced(follows)
        assert follows.value(count % "cluster_ip") == 0
        api.put("endpointslices", endpoint_slice("web-2", "web", "10.244.0.7", **stamp))
        api.put("endpointslices", endpoint_slice("none-1", "none", "10.244.0.8", **stamp))
        api.put("endpointslices", endpoint_slice("web-1", "web", "10.244.0.9"))
        api.put("endpointslices", endpoint_slice("orphan", "nobody", "10.244.0.9", **stamp))
        await until(lambda: "orphan" in follows.names(Kind.ENDPOINT_SLICE))
        assert follows.value(count % "cluster_ip") == 1
        assert follows.value(count % "headless_with_selector") == 1


# Rotation


async def test_a_server_with_another_authority_is_trusted_once_the_file_says_so(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"

    def issue() -> ssl.SSLContext:
        ca = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        renewed.write_bytes(ca.cert_pem.bytes())
        return context

    renewed = authority
    async with FakeApi(issue()) as api:
        api.put("services", service("web"))
        async with following(api, Kind.SERVICE, authority=str(authority)) as follows:
            await current(api, follows)
            await api.stop()
            renewed = tmp_path / "new.crt"
            api.tls = issue()
            await api.start()
            await until(lambda: "CERTIFICATE_VERIFY_FAILED" in follows.source.faults.get(Kind.SERVICE, ""))
            assert "web" in follows.names()
            renewed.replace(authority)
            await current(api, follows)


async def test_objects_are_values_of_ours(api: FakeApi) -> None:
    async with following(api) as follows:
        await synced(follows)
        assert isinstance(follows.cluster.services.get(WEB), Service)
