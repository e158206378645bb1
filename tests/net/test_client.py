"""One question to one upstream."""

import asyncio
import errno
import os
import socket
import sys
from collections import Counter

import dns.message
import dns.rcode
import pytest

from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.dns.reader import MAX_RECORDS
from svcdns.dns.records import Rtype
from svcdns.errors import UpstreamError
from svcdns.net.asking import ask
from svcdns.net.client import MOST_REJECTED
from svcdns.net.upstream import Upstream
from tests.fake_upstream import FORGERIES, FakeUpstream, answer
from tests.net.asking import asking

GOOD = b"\xc0\0\2\1"
PATIENCE = 5.0


async def put(upstream: Upstream, label: str, patience: float = PATIENCE, *, stream: bool = False) -> Response:
    return await ask(
        upstream, Query(from_text(f"{label}.example.org."), Rtype.A), patience, stream_after=0.0 if stream else None
    )


def transports(fake: FakeUpstream) -> list[str]:
    """Return what questions came over, packets that were repeated on a busy machine left out."""
    return list(dict.fromkeys(seen.transport for seen in fake.seen))


def good(response: Response) -> bool:
    return response.rcode == Rcode.NOERROR and [rrset.rdatas for rrset in response.answer] == [(GOOD,)]


@pytest.mark.parametrize("kind", FORGERIES)
async def test_what_does_not_answer_the_question_is_waited_out(kind: str) -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, f"forged-{kind}"))
        assert transports(fake) == ["udp"]
        rejected = {"port": 0, "address": 0, "ids": 20}.get(kind, 1)
        assert upstream.counters.rejected.value == rejected


async def test_a_flood_of_forged_answers_is_escaped_over_tcp() -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, "forged-flood"))
        assert transports(fake) == ["udp", "tcp"]
        assert upstream.counters.rejected.value == MOST_REJECTED


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_packet_is_repeated_as_it_was(lost: int) -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, f"lost-{lost}"))
        assert len(fake.seen) == lost + 1
        assert len({(seen.port, seen.message.id, seen.name) for seen in fake.seen}) == 1


async def test_after_three_packets_tcp_is_asked() -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, "lost-3", 0.9))
        assert [seen.transport for seen in fake.seen] == ["udp"] * 3 + ["tcp"]


async def test_a_slow_upstream_is_not_asked_thrice() -> None:
    async with asking(FakeUpstream(delay=0.6)) as (upstream, fake):
        await put(upstream, "first")
        await asyncio.gather(*(put(upstream, f"name{number}") for number in range(5)))
        assert max(len(fake.named(f"name{number}")) for number in range(5)) == 2


async def test_silence_ends_with_an_error() -> None:
    async with asking() as (upstream, fake):
        with pytest.raises(UpstreamError, match="did not answer"):
            await put(upstream, "blackhole", 0.2)
        assert len(fake.seen) <= 4


@pytest.mark.parametrize("then", ["", "-partial"])
async def test_what_is_truncated_is_fetched_over_tcp(then: str) -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, f"truncated{then}"))
        assert transports(fake) == ["udp", "tcp"]
        assert fake.seen[0].message.id != fake.seen[1].message.id or fake.seen[0].name != fake.seen[1].name


@pytest.mark.parametrize(
    ("then", "reason"), [("closed", "closed the connection"), ("again", "truncated even over TCP"), ("hang", "answer")]
)
async def test_where_tcp_does_not_help_there_is_no_answer(then: str, reason: str) -> None:
    async with asking() as (upstream, _):
        with pytest.raises(UpstreamError, match=reason):
            await put(upstream, f"truncated-{then}", 0.3)


@pytest.mark.parametrize("behaviour", ["lying", "junk", "circle"])
async def test_an_answer_that_cannot_be_read_over_tcp_either_is_none(behaviour: str) -> None:
    async with asking() as (upstream, fake):
        with pytest.raises(UpstreamError):
            await put(upstream, behaviour)
        assert transports(fake) == ["udp", "tcp"]


async def test_a_large_datagram_is_taken() -> None:
    async with asking() as (upstream, fake):
        response = await put(upstream, "big-99")
        assert len(response.answer[0].rdatas) == 99
        assert transports(fake) == ["udp"]


async def test_a_datagram_that_is_too_large_is_fetched_over_tcp_at_once() -> None:
    async with asking() as (upstream, fake):
        response = await put(upstream, "big-300")
        assert len(response.answer[0].rdatas) == MAX_RECORDS
        assert transports(fake) == ["udp", "tcp"]
        assert upstream.counters.rejected.value == 0


async def test_a_closed_port_is_seen_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    async with asking(port=port) as (upstream, _):
        with pytest.raises(UpstreamError) as caught:
            await put(upstream, "www")
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert caught.value.reason == os.strerror(errno.ECONNREFUSED)  # and not, later, that it did not answer


@pytest.mark.parametrize("tcp", [True, False])
async def test_who_folds_letter_case_is_asked_without_mixing_from_then_on(*, tcp: bool) -> None:
    async with asking(FakeUpstream(fold=True, tcp=tcp)) as (upstream, fake):
        assert good(await put(upstream, "a-name-of-many-letters"))
        fake.seen.clear()
        assert good(await put(upstream, "another-name-of-many-letters"))
        assert [(seen.transport, seen.name.islower()) for seen in fake.seen] == [("udp", True)]


async def test_who_keeps_letter_case_goes_on_being_asked_with_mixing() -> None:
    async with asking() as (upstream, fake):
        for _ in range(3):
            assert good(await put(upstream, "forged-case"))
        assert len({seen.name for seen in fake.seen}) > 1


@pytest.mark.parametrize("edns", ["formerr", "bare"])
@pytest.mark.parametrize("stream", [False, True])
async def test_who_refuses_edns_is_asked_without_from_then_on(edns: str, *, stream: bool) -> None:
    async with asking(FakeUpstream(edns=edns)) as (upstream, fake):
        assert good(await put(upstream, "www", stream=stream))
        assert [seen.message.edns for seen in fake.seen] == [0, -1]
        fake.seen.clear()
        assert good(await put(upstream, "www", stream=stream))
        assert [seen.message.edns for seen in fake.seen] == [-1]


@pytest.mark.parametrize("edns", ["formerr", "bare"])
async def test_who_refuses_edns_over_tcp_is_asked_again_over_tcp(edns: str) -> None:
    async with asking(FakeUpstream(loss=1.0, edns=edns)) as (upstream, fake):
        assert good(await put(upstream, "www", 1.5))
        assert [(seen.transport, seen.message.edns) for seen in fake.seen[-2:]] == [("tcp", 0), ("tcp", -1)]


async def test_who_is_silent_on_edns_is_asked_without_after_a_while() -> None:
    async with asking(FakeUpstream(edns="silent")) as (upstream, fake):
        for _ in range(3):
            assert good(await put(upstream, "www"))
        assert [seen.message.edns for seen in fake.seen] == [0, 0, -1] * 3
        fake.seen.clear()
        assert good(await put(upstream, "www"))
        assert [seen.message.edns for seen in fake.seen] == [-1]


async def test_one_odd_format_error_does_not_end_edns() -> None:
    def refuse_odd_names(query: dns.message.Message) -> dns.message.Message:
        response = answer(query)
        if query.question[0].name.to_text().lower().startswith("odd."):
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.FORMERR)
            response.use_edns(edns=False)
        return response

    async with asking(FakeUpstream(answers=refuse_odd_names)) as (upstream, fake):
        assert (await put(upstream, "odd")).rcode == Rcode.FORMERR
        assert good(await put(upstream, "www"))
        assert {seen.message.edns for seen in fake.named("www")} == {0}


async def test_loss_does_not_take_edns_from_an_upstream_that_knows_it() -> None:
    async with asking() as (upstream, fake):
        assert good(await put(upstream, "www"))
        response = await ask(upstream, Query(from_text("lost-2.example.org."), Rtype.A, do=True), PATIENCE)
        assert good(response)
        assert [seen.message.edns for seen in fake.named("lost-2")] == [0, 0, 0]


async def test_a_format_error_of_one_who_knows_edns_is_an_answer() -> None:
    async with asking() as (upstream, fake):
        assert (await put(upstream, "rcode-FORMERR")).rcode == Rcode.FORMERR
        assert len(fake.seen) == 1


async def test_each_question_has_an_id_and_letters_of_its_own() -> None:
    async with asking() as (upstream, fake):
        for _ in range(300):
            await put(upstream, "some-letters")
        assert len({seen.message.id for seen in fake.seen}) >= 295
        assert len({seen.name for seen in fake.seen}) >= 290


async def test_ids_are_as_uniform_as_chance_allows() -> None:
    async with asking() as (upstream, _):
        query = Query(from_text("a.example."), Rtype.A)
        sent = [upstream.encode(query).octets for _ in range(65536)]
    for position in (0, 1):
        found = Counter(octets[position] for octets in sent)
        deviation = sum((found[octet] - 256) ** 2 / 256 for octet in range(256))
        assert 130 < deviation < 420  # chi-squared with 255 degrees of freedom: one run in a hundred million is outside
    capitals = sum(octets[13] == ord("A") for octets in sent)
    assert abs(capitals - 32768) < 800


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no such option")
@pytest.mark.parametrize(("host", "level", "option"), [("127.0.0.1", socket.IPPROTO_IP, 10), ("::1", 41, 23)])
async def test_no_forged_message_can_make_the_kernel_send_fragments(host: str, level: int, option: int) -> None:
    async with asking(FakeUpstream(host=host), address=host) as (upstream, _):
        with upstream.open_socket() as opened:
            assert opened.getsockopt(level, option) == 5  # IP_PMTUDISC_OMIT


async def test_no_datagram_is_longer_than_1232_octets_or_asks_for_more() -> None:
    async with asking() as (upstream, fake):
        longest = ".".join(["a" * 62] * 4)
        await ask(upstream, Query(from_text(longest), Rtype.A, do=True), PATIENCE)
        assert (fake.seen[0].size <= 1232, fake.seen[0].message.payload) == (True, 1232)


@pytest.mark.parametrize(("address", "trusted"), [("127.0.0.1", True), ("10.0.0.1", True), ("9.9.9.9", False)])
async def test_ad_is_believed_on_links_that_nobody_else_can_reach(address: str, *, trusted: bool) -> None:
    async with asking(address=address) as (upstream, _):
        assert upstream.trusted is trusted


async def test_ad_is_handed_on_from_a_trusted_upstream() -> None:
    async with asking() as (upstream, _):
        assert (await put(upstream, "validated")).ad
        assert not (await put(upstream, "www")).ad


async def test_a_question_can_leave_from_an_address_of_choice() -> None:
    async with asking(source="127.0.0.2") as (upstream, fake):
        assert good(await put(upstream, "www"))
        assert good(await put(upstream, "www", stream=True))
        assert transports(fake) == ["udp", "tcp"]
        assert {seen.address for seen in fake.seen} == {"127.0.0.2"}


async def test_an_upstream_may_be_at_an_ipv6_address() -> None:
    async with asking(FakeUpstream(host="::1"), address="::1") as (upstream, fake):
        assert good(await put(upstream, "www"))
        assert good(await put(upstream, "truncated"))
        assert upstream.label == f"[::1]:{fake.port}"


async def test_no_socket_is_left_open() -> None:
    async with asking() as (upstream, _):
        for label in ("www", "truncated", "forged-flood", "rcode-REFUSED"):
            await put(upstream, label)
        with pytest.raises(UpstreamError):
            await put(upstream, "blackhole", 0.1)
        assert upstream.poller.asking == 0


async def test_whoever_no_longer_waits_leaves_nothing_behind() -> None:
    async with asking() as (upstream, fake):
        task = asyncio.ensure_future(put(upstream, "blackhole"))
        await fake.wait_for(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert upstream.poller.asking == 0
