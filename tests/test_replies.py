"""The fast path: what is given again is what the chain would answer, and is counted as if it had."""

import asyncio
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcdns import replies
from svcdns.chain import Handler, Plugin, chain
from svcdns.dns.message import ENDED, Lease, Listener, Query, Rcode, Repeat, Response
from svcdns.dns.name import ROOT, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.kube import view
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import Endpoint, EndpointSlice, Key, Kind, Namespace, Port, Service, pack
from svcdns.metrics import Metrics
from svcdns.plugins.kubernetes import Kubernetes
from svcdns.plugins.kubernetes.config import read_settings
from svcdns.plugins.kubernetes.sources import Source
from svcdns.responder import Responder, Route, refuse
from tests import octets
from tests.fakes import Clock, Script, directives, environment, set_up
from tests.frontend import make_responder

UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
CLIENT = ("192.0.2.7", 4242)
WEB = "web.default.svc.cluster.local"
NAME = from_text(WEB)


class Chain:
    """A chain's first link, which answers with numbered addresses and says that they may be given again."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.asked: list[Query] = []
        self.told: list[tuple[int, float]] = []

    async def __call__(self, query: Query) -> Response:
        self.asked.append(query)
        rrset = RRset(query.name, Rtype.A, 5, [len(self.asked).to_bytes(4)])
        return Response(answer=(rrset,), repeat=Repeat(self.lease, notes=(self.note,)))

    def note(self, times: int, seconds: float) -> None:
        self.told.append((times, seconds))


def serve(handler: Handler, clock: Callable[[], float] | None = None, *refreshes: Callable[[], None]) -> Responder:
    route = Route(ROOT, handler, recursive=False, refreshes=refreshes)
    return make_responder([route], UDP, clock=clock or Clock())


def ask(responder: Responder, *messages: bytes) -> list[bytes]:
    """Return the answers to *messages*, all in one batch, as a listener gets them."""
    responder.begin()
    answers = []
    for message in messages:
        answer = responder.recall(message) or responder.respond(message, CLIENT)
        assert isinstance(answer, bytes)
        answers.append(answer)
    responder.end(len(messages))
    return answers


def message(name: str = WEB, *extra: bytes, id: int = octets.ID, rtype: int = 1) -> bytes:  # noqa: A002 - it is called so
    return octets.query(octets.question(name, rtype), *extra, id=id)


def address(answer: bytes) -> int:
    """Return the number that `Chain` put into an answer."""
    (rrset,) = dns.message.from_wire(answer).answer
    return int.from_bytes(rrset[0].to_wire() or b"")


def test_the_same_question_is_answered_again_with_the_id_of_each_query() -> None:
    chain_ = Chain()
    answers = ask(serve(chain_), message(id=1), message(id=2), message(id=65535))
    assert [octets.read_header(answer).id for answer in answers] == [1, 2, 65535]
    assert len({answer[2:] for answer in answers}) == 1
    assert len(chain_.asked) == 1


def test_an_answer_that_may_not_be_given_again_is_asked_for_each_time() -> None:
    script = Script(Response())
    ask(serve(script), message(id=1), message(id=2))
    assert len(script.asked) == 2


@pytest.mark.parametrize("spelled", ["WEB.default.svc.cluster.local", "wEb.DeFault.SVC.clusTer.lOcal"])
def test_another_spelling_is_answered_in_the_letter_case_that_was_sent(spelled: str) -> None:
    chain_ = Chain()
    first, second = ask(serve(chain_), message(), message(spelled))
    assert second == first[:12] + octets.question(spelled) + first[12 + len(octets.question(spelled)) :]
    assert len(chain_.asked) == 1


def test_options_that_nobody_understands_change_no_answer() -> None:
    chain_ = Chain()
    cookies = [octets.opt(octets.option(10, random.randbytes(8))) for _ in range(100)]
    answers = ask(serve(chain_), *(message(WEB, cookie) for cookie in cookies))
    assert len(set(answers)) == 1
    assert len(chain_.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        message("webs.default.svc.cluster.local"),
        message(rtype=28),
        message(WEB, octets.opt()),
        octets.query(octets.question(WEB), flags=0),
        octets.query(octets.question(WEB), flags=octets.RD | octets.CD),
        octets.query(octets.question(WEB), flags=octets.RD | octets.AD),
    ],
    ids=["name", "type", "EDNS", "RD", "CD", "AD"],
)
def test_another_question_is_another_answer(other: bytes) -> None:
    chain_ = Chain()
    ask(serve(chain_), message(), other)
    assert len(chain_.asked) == 2


@pytest.mark.parametrize(("one", "other"), [(octets.DO, 0), (0, octets.DO)])
def test_what_the_client_understands_is_part_of_the_question(one: int, other: int) -> None:
    chain_ = Chain()
    ask(serve(chain_), *(message(WEB, octets.opt(flags=flags)) for flags in (one, other)))
    assert len(chain_.asked) == 2


def test_another_class_is_never_answered_from_memory() -> None:
    chain_ = Chain()
    chaos = octets.query(octets.question(WEB, 1, 3))
    _, answer = ask(serve(chain_), message(), chaos)
    assert octets.read_header(answer).rcode == Rcode.REFUSED


def test_the_chain_is_asked_again_when_the_lease_is_over() -> None:
    chain_, clock = Chain(), Clock()
    chain_.lease = Lease(clock.now + 10)
    responder = serve(chain_, clock)
    spelled = message("WEB.default.svc.cluster.local")
    assert list(map(address, ask(responder, message(), message(), spelled))) == [1, 1, 1]
    clock.now += 9.9
    assert list(map(address, ask(responder, spelled, message()))) == [1, 1]
    clock.now += 0.1
    chain_.lease = Lease(clock.now + 10)
    assert list(map(address, ask(responder, spelled, message()))) == [2, 2]


def test_who_granted_the_lease_may_end_it_before_the_next_batch() -> None:
    chain_, changed = Chain(), False

    def refresh() -> None:
        if changed:
            chain_.lease.until = ENDED

    responder = serve(chain_, None, refresh)
    assert list(map(address, ask(responder, message(), message()))) == [1, 1]
    changed = True
    assert list(map(address, ask(responder, message()))) == [2]


def test_octets_behind_a_query_are_counted_each_time() -> None:
    chain_ = Chain()
    responder = serve(chain_)
    ask(responder, message(), message() + b"x", message() + b"x")
    assert len(chain_.asked) == 3


class Watcher(Plugin):
    """A plugin that counts the queries that come by."""

    def __init__(self) -> None:
        self.seen = 0

    async def handle(self, query: Query, rest: Handler) -> Response:
        self.seen += 1
        return await rest(query)


class Skippable(Watcher):
    skippable = True


@pytest.mark.parametrize(("plugin", "seen"), [(Watcher(), 3), (Skippable(), 1)])
def test_a_plugin_is_passed_over_only_if_it_says_so(plugin: Watcher, seen: int) -> None:
    ask(serve(chain([plugin], Chain())), message(), message(), message())
    assert plugin.seen == seen


async def test_all_that_is_given_again_is_told_when_counts_are_wanted() -> None:
    chain_, clock = Chain(), Clock()
    responder = serve(chain_, clock)
    ask(responder, message(), *[message()] * 3, message("WEB.default.svc.cluster.local"))
    await responder.settle()
    await responder.settle()
    assert chain_.told == [(4, 0.0)]


async def test_all_that_is_given_again_is_told_even_when_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "OCTETS", 50_000)
    chain_ = Chain()
    responder = serve(chain_)
    asked = 0
    for number in range(3000):
        ask(responder, *[message(f"n{number % 700}.example")] * 3, message(f"N{number % 700}.example"))
        asked += 4
    await responder.settle()
    assert len(chain_.asked) > 700
    assert len(chain_.asked) + sum(times for times, _ in chain_.told) == asked


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "OCTETS", 50_000)
    chain_ = Chain()
    responder = serve(chain_)
    for number in range(1000):
        ask(responder, message(f"n{number}.example"))
    ask(responder, message("n999.example"))
    assert len(chain_.asked) == 1000
    ask(responder, message("n0.example"))
    assert len(chain_.asked) == 1001


def test_spellings_that_never_come_again_do_not_drive_out_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "OCTETS", 200_000)
    chain_ = Chain()
    responder = serve(chain_)
    names = [f"name-{number}.example" for number in range(40)]
    for _ in range(200):
        ask(responder, *map(message, names))
        ask(responder, *(message("".join(random.choice((c, c.upper())) for c in name)) for name in names))
    assert len(chain_.asked) == len(names)


def test_every_order_of_the_addresses_comes_up() -> None:
    addresses = [bytes((10, 0, 0, number)) for number in range(20)]
    answer = Response(answer=(RRset(NAME, Rtype.A, 5, addresses),), repeat=Repeat(Lease()))
    script = Script(answer)
    responder = serve(chain(set_up("loadbalance", "loadbalance", environment()), script))
    first = Counter(answer_[-20 * 16 :][12:16] for answer_ in ask(responder, *[message()] * 20_000))
    assert len(script.asked) == 1
    assert set(first) == set(addresses)
    assert min(first.values()) > 400


MANY_PORTS = tuple(Port(f"p{number}", "tcp", number) for number in range(1, 101))


@pytest.mark.parametrize(
    ("rtypes", "size"),
    [((Rtype.ANY,), 250), ((Rtype.SRV, Rtype.TXT), 250), ((Rtype.A,), 1000)],
    ids=["any", "denials", "addresses"],
)
async def test_large_answers_take_no_more_memory_than_there_is_for_them(
    rtypes: tuple[Rtype, ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "OCTETS", 2**18)
    monkeypatch.setattr(view, "PRESENT_OCTETS", 2**18)
    cluster = synced_cluster()
    cluster.put(Kind.SERVICE, Service(KEYS[0], "", (), headless=True, external_name="", ports=MANY_PORTS))
    crowd = pack([Endpoint(bytes((10, 1, number // 250, number % 250)), "", "") for number in range(size)])
    cluster.put(Kind.ENDPOINT_SLICE, EndpointSlice(KEYS[0], "", "web", MANY_PORTS, crowd))
    kubernetes = kubernetes_over(cluster)
    plugins = [*set_up("loadbalance", "loadbalance", environment()), kubernetes]
    responder = serve(chain(plugins, refuse), None, kubernetes.refresh)
    held = 0
    tracemalloc.start()
    try:
        for port in MANY_PORTS:
            for rtype in rtypes:
                ask(responder, message(f"_{port.name}._tcp.{WEB}", rtype=rtype))
            held = max(held, tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held < 3 * 2**18


# --- against a chain that is asked each time -------------------------------------------------------------------------

KEYS = [("default", "web"), ("default", "db"), ("prod", "web")]
ADDRESSES = [bytes((10, 0, 0, number)) for number in range(4)]
PORTS = (Port("http", "tcp", 80),)
QUESTIONS = [
    ("web.default.svc.cluster.local", 1),
    ("web.default.svc.cluster.local", 28),
    ("_http._tcp.web.default.svc.cluster.local", 33),
    ("db.default.svc.cluster.local", 1),
    ("db.default.svc.cluster.local", 33),
    ("10-0-0-1.db.default.svc.cluster.local", 1),
    ("web.prod.svc.cluster.local", 1),
    ("none.default.svc.cluster.local", 1),
    ("1.0.0.10.in-addr.arpa", 12),
    ("cluster.local", 6),
]

cluster_changes = st.one_of(
    st.builds(
        lambda key, found: Service(key, "", tuple(found), not found, "", PORTS),
        st.sampled_from(KEYS),
        st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True),
    ),
    st.builds(
        lambda key, found: EndpointSlice(key, "", key[1], PORTS, pack([Endpoint(each, "", "") for each in found])),
        st.sampled_from(KEYS),
        st.lists(st.sampled_from(ADDRESSES), max_size=4, unique=True),
    ),
    st.tuples(st.sampled_from([Kind.SERVICE, Kind.ENDPOINT_SLICE]), st.sampled_from(KEYS)),
)
questions = st.tuples(
    st.sampled_from(QUESTIONS),
    st.sampled_from([(), (octets.opt(),), (octets.opt(flags=octets.DO),), (octets.opt(octets.option(10, bytes(8))),)]),
    st.booleans(),
)


def synced_cluster() -> Cluster:
    cluster = Cluster([Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE], lambda: 0)
    for kind in list(cluster.pending):
        cluster.swap(kind, cluster.store(kind))
    for namespace in ("default", "prod"):
        cluster.put(Kind.NAMESPACE, Namespace(("", namespace), ""))
    return cluster


def kubernetes_over(cluster: Cluster) -> Kubernetes:
    async def stay() -> None: ...

    text = "kubernetes cluster.local in-addr.arpa"
    settings_ = read_settings(directives(text, "kubernetes")[0], (ROOT,))
    return Kubernetes(settings_, Source(cluster, stay, dict), environment())


def change(cluster: Cluster, found: Service | EndpointSlice | tuple[Kind, Key]) -> None:
    if isinstance(found, Service):
        cluster.put(Kind.SERVICE, found)
    elif isinstance(found, EndpointSlice):
        cluster.put(Kind.ENDPOINT_SLICE, found)
    else:
        cluster.remove(*found)


def told(answer: bytes) -> tuple[object, ...]:
    """Return what an answer says, whatever its order."""
    read = dns.message.from_wire(answer)
    question = str(read.question[0].name)
    sections = [sorted(line for rrset in section for line in rrset.to_text().splitlines()) for section in read.sections]
    return answer[:12], question, sections, read.edns, read.ednsflags, read.options


@settings(deadline=None)
@given(st.lists(st.one_of(cluster_changes, questions, questions), min_size=5, max_size=40))
async def test_it_answers_as_a_chain_that_is_asked_each_time(steps: list[object]) -> None:
    cluster = synced_cluster()
    kubernetes, metrics = kubernetes_over(cluster), Metrics()
    lent = environment(metrics=metrics)
    others = [*set_up("prometheus", "prometheus", lent), *set_up("loadbalance", "loadbalance", lent)]
    responder = serve(chain([*others, kubernetes], refuse), None, kubernetes.refresh)
    asked = 0
    for step in steps:
        if not (isinstance(step, tuple) and isinstance(step[0], tuple) and isinstance(step[-1], bool)):
            change(cluster, step)  # type: ignore[arg-type]  # what is no question is a change
            continue
        (name, rtype), extra, upper = step
        query = message(name.upper() if upper else name, *extra, rtype=rtype)
        plain = serve(chain([kubernetes_over(cluster)], refuse))
        (expected,) = ask(plain, query)
        for answer in ask(responder, query, query):
            assert told(answer) == told(expected)
        asked += 2
    await responder.settle()
    counted = [line for line in metrics.expose().splitlines() if line.startswith("coredns_dns_requests_total{")]
    assert sum(int(line.rpartition(" ")[2]) for line in counted) == asked
    await asyncio.sleep(0)
