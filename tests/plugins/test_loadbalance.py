import asyncio
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest

from svcdns.chain import Handler, Plugin, chain
from svcdns.dns.message import NOWHERE, Lease, Query, Rcode, Repeat, Response
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.dns.records import RRset, Rtype, srv
from svcdns.errors import ConfigError
from svcdns.responder import Route
from tests import octets
from tests.fakes import Script, environment, set_up
from tests.frontend import make_responder

NAME = from_text("web.example.org.")
OTHER = from_text("other.example.org.")
QUERY = Query(NAME, 1)


def addresses(*texts: str, owner: Name = NAME) -> RRset:
    packed = [ip_address(text).packed for text in texts]
    return RRset(owner, Rtype.A if len(packed[0]) == 4 else Rtype.AAAA, 5, packed)


THREE = addresses("10.0.0.1", "10.0.0.2", "10.0.0.3")
SIX = addresses("fd00::1", "fd00::2")


def balanced(answer: Response, text: str = "loadbalance", path: str = "Corefile") -> Handler:
    return chain(set_up(text, "loadbalance", environment(), path), Script(answer))


async def firsts(handle: Handler, times: int = 3000) -> Counter[str]:
    """Count which address comes first."""
    return Counter([str(ip_address((await handle(QUERY)).answer[-1].rdatas[0])) for _ in range(times)])


@pytest.mark.parametrize("text", ["loadbalance", "loadbalance round_robin"])
@pytest.mark.parametrize("rrset", [THREE, SIX])
async def test_each_address_comes_first_equally_often(text: str, rrset: RRset) -> None:
    counts = await firsts(balanced(Response(answer=(rrset,)), text))
    expected = 3000 / len(rrset.rdatas)
    assert len(counts) == len(rrset.rdatas)
    assert all(0.8 * expected < count < 1.2 * expected for count in counts.values())


async def test_no_record_is_left_out_and_octets_follow_the_order() -> None:
    handle = balanced(Response(answer=(THREE,)))
    for _ in range(20):
        (turned,) = (await handle(QUERY)).answer
        assert sorted(turned.rdatas) == sorted(THREE.rdatas)
        assert turned.octets == RRset(NAME, 1, 5, turned.rdatas).octets
        assert (turned.owner, turned.rtype, turned.ttl) == (NAME, 1, 5)


async def test_records_of_different_lengths_are_turned_whole() -> None:
    exchanges = [b"\0\x0a" + from_text(host) for host in ("a.example.", "long.example.", "x.")]
    handle = balanced(Response(answer=(RRset(NAME, Rtype.MX, 5, exchanges),)))
    for _ in range(20):
        (turned,) = (await handle(QUERY)).answer
        assert turned.octets == RRset(NAME, Rtype.MX, 5, turned.rdatas).octets
        assert sorted(turned.rdatas) == sorted(exchanges)


async def test_additional_addresses_are_turned_too() -> None:
    targets = RRset(NAME, Rtype.SRV, 5, [srv(0, 100, 80, OTHER)])
    many = addresses("10.0.0.1", "10.0.0.2", owner=OTHER)
    handle = balanced(Response(answer=(targets,), additional=(many,)))
    assert {(await handle(QUERY)).additional[0].rdatas[0] for _ in range(50)} == set(many.rdatas)


@pytest.mark.parametrize(
    "answer",
    [
        Response(answer=(addresses("10.0.0.1"),)),
        Response(answer=(RRset(NAME, Rtype.CNAME, 5, [OTHER]), addresses("10.0.0.1", owner=OTHER))),
        Response(answer=(RRset(NAME, Rtype.TXT, 5, [b"\x01a", b"\x01b"]),)),
        Response(answer=(RRset(NAME, Rtype.SRV, 5, [srv(0, 50, 80, OTHER), srv(0, 50, 80, NAME)]),)),
        Response(Rcode.NXDOMAIN),
        Response(Rcode.SERVFAIL, answer=(THREE,)),
        Response(),
    ],
)
async def test_what_has_no_order_to_choose_is_not_touched(answer: Response) -> None:
    assert await balanced(answer)(QUERY) is answer


async def test_a_cname_stays_before_what_it_leads_to() -> None:
    alias = RRset(NAME, Rtype.CNAME, 5, [OTHER])
    handle = balanced(Response(answer=(alias, addresses("10.0.0.1", "10.0.0.2", owner=OTHER)), aa=True))
    for _ in range(20):
        response = await handle(QUERY)
        assert response.answer[0] is alias
        assert response.aa


async def test_preferred_networks_come_first_in_their_order() -> None:
    rrset = addresses("192.0.2.1", "10.1.0.1", "10.2.0.1", "10.2.0.2")
    handle = balanced(Response(answer=(rrset,)), "loadbalance {\nprefer 10.2.0.0/16 fd00::/8\nprefer 10.0.0.0/8\n}")
    counts = await firsts(handle)
    assert counts.keys() == {"10.2.0.1", "10.2.0.2"}
    assert min(counts.values()) > 1200
    (ordered,) = (await handle(QUERY)).answer
    assert [str(ip_address(each)) for each in ordered.rdatas[2:]] == ["10.1.0.1", "192.0.2.1"]


async def test_networks_of_the_other_family_prefer_nothing() -> None:
    handle = balanced(Response(answer=(SIX,)), "loadbalance {\nprefer 0.0.0.0/0\n}")
    assert len(await firsts(handle, 100)) == 2


async def test_weights_decide_how_often_an_address_comes_first(tmp_path: Path) -> None:
    weights = "# of example.org\n\nWEB.example.org\n10.0.0.1 6 # most\n  10.0.0.2   3\nfd00::1 255\n"
    (tmp_path / "weights").write_text(weights)
    text = "loadbalance weighted weights"
    counts = await firsts(balanced(Response(answer=(THREE,)), text, str(tmp_path / "Corefile")))
    assert 1650 < counts["10.0.0.1"] < 1950
    assert 750 < counts["10.0.0.2"] < 1050
    assert 200 < counts["10.0.0.3"] < 400
    six = await firsts(balanced(Response(answer=(SIX,)), text, str(tmp_path / "Corefile")))
    assert six["fd00::1"] > 2900


async def test_names_without_weights_are_balanced_equally(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("other.example.org\n10.0.0.1 255\n")
    handle = balanced(Response(answer=(THREE,)), f"loadbalance weighted {tmp_path}/weights")
    assert min((await firsts(handle)).values()) > 800


async def test_weights_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    (plugin,) = set_up(f"loadbalance weighted {path} {{\nreload 1ms\n}}", "loadbalance", environment())
    handle = chain([plugin], Script(Response(answer=(SIX,))))
    path.write_text("web.example.org\nfd00::1 255\n")
    await _until_mostly(plugin, handle, "fd00::1")
    path.write_text("web.example.org\nfd00::1 many\n")
    await _until_mostly(plugin, handle, "fd00::1")
    path.write_text("web.example.org\nfd00::2 255\n")
    await _until_mostly(plugin, handle, "fd00::2")


async def test_new_weights_count_at_once_for_answers_that_were_given_before(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("web.example.org\n10.0.0.1 255\n")
    (plugin,) = set_up(f"loadbalance weighted {path} {{\nreload 1ms\n}}", "loadbalance", environment())
    handle = chain([plugin], Script(Response(answer=(THREE,), repeat=Repeat(Lease()))))
    responder = make_responder([Route(ROOT, handle, recursive=False)], NOWHERE)

    def count_firsts() -> Counter[bytes]:
        message = octets.query(octets.question("web.example.org"))
        answers = [
            responder.recall(message) or responder.respond(message, lambda: ("192.0.2.7", 4242)) for _ in range(200)
        ]
        return Counter(answer[-3 * 16 :][12:16] for answer in answers if isinstance(answer, bytes))

    assert count_firsts()[bytes((10, 0, 0, 1))] > 180
    path.write_text("web.example.org\n10.0.0.2 255\n")
    await _until_mostly(plugin, handle, "10.0.0.2")
    assert count_firsts()[bytes((10, 0, 0, 2))] > 180


async def _until_mostly(plugin: Plugin, handle: Handler, address: str) -> None:
    """Let *plugin* work until *address* comes first as its weight says."""
    task = asyncio.ensure_future(plugin.run())
    while (await firsts(handle, 200))[address] < 180:  # noqa: ASYNC110 - a file sets no event
        await asyncio.sleep(0.001)
    task.cancel()


async def test_a_file_that_is_not_there_yet_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    balanced(Response(), f"loadbalance weighted {tmp_path}/weights")
    assert f"there is no {tmp_path}/weights yet" in caplog.text


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ("10.0.0.1 5", "weights:1: found '10.0.0.1 5', expected a name before the first address"),
        ("a\n10.0.0.1 0", "weights:2: found '10.0.0.1 0', expected ADDRESS WEIGHT with a weight from 1 to 255"),
        ("a\n10.0.0.1 256", "weights:2: found '10.0.0.1 256', expected ADDRESS WEIGHT"),
        ("a\n10.0.0.1 5 6", "weights:2: found '10.0.0.1 5 6', expected ADDRESS WEIGHT"),
        ("a\n10.0.0.x 5", "weights:2: found '10.0.0.x 5', '10.0.0.x' does not appear to be"),
        ("a\n\n#\na..b", "weights:4: found 'a..b', "),
    ],
)
def test_a_file_that_says_nothing_is_an_error(weights: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text(weights)
    with pytest.raises(ConfigError) as caught:
        balanced(Response(), f"loadbalance weighted {tmp_path}/weights")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("loadbalance random", "2: loadbalance: found 'random', expected [round_robin | weighted FILE]"),
        ("loadbalance weighted", "2: loadbalance: found 'weighted', expected [round_robin | weighted FILE]"),
        ("loadbalance\nloadbalance", "3: loadbalance: found again"),
        ("loadbalance {\nreload 5s\n}", "3: reload: found without 'weighted'"),
        ("loadbalance weighted x {\nreload 5\n}", "3: reload: found '5', expected a duration"),
        ("loadbalance weighted x {\nreload\n}", "3: reload: found no arguments, expected DURATION"),
        (
            "loadbalance weighted x {\nreload 0s\n}",
            "2: loadbalance: the file of weights x cannot be read: No such file or directory",
        ),
        ("loadbalance {\nprefer\n}", "3: prefer: found no arguments, expected CIDR..."),
        ("loadbalance {\nprefer 10.0.0.0/33\n}", "3: prefer: found '10.0.0.0/33', expected a CIDR"),
        ("loadbalance {\nprefr 10.0.0.0/8\n}", "3: unknown option 'prefr', did you mean 'prefer'?"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        balanced(Response(), text)
    assert reason in str(caught.value)
