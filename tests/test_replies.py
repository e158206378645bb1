"""The fast path: what is given again is what the chain would answer, and is counted as if it had."""

import asyncio
import copy
import gc
import pickle
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Collection
from itertools import count
from typing import NamedTuple

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcdns.chain import Handler, Plugin, chain
from svcdns.dns.message import ENDED, Lease, Listener, Query, Rcode, Repeat, Response
from svcdns.dns.name import ROOT, Name, from_text
from svcdns.dns.records import RRset, Rtype, soa
from svcdns.kube import view
from svcdns.kube.api.draft import Draft
from svcdns.kube.cluster import Change, Cluster
from svcdns.kube.memo import Entry
from svcdns.kube.objects import EndpointSlice, Key, Kind, Namespace, Pod, Port, Service, pack
from svcdns.metrics import Metrics
from svcdns.plugins.kubernetes import Kubernetes
from svcdns.plugins.kubernetes.config import Settings, read_settings
from svcdns.plugins.kubernetes.sources import Source
from svcdns.responder import Responder, Route, Routes, refuse
from tests import octets
from tests.fakes import Clock, Script, directives, environment, set_up
from tests.frontend import make_responder

UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
CLIENT = ("192.0.2.7", 4242)
WEB = "web.default.svc.cluster.local"
NAME = from_text(WEB)
FOREVER = Lease()


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
        answer = responder.recall(message) or responder.respond(message, lambda: CLIENT)
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


def test_a_zero_octet_in_a_label_hides_no_other_name() -> None:
    """What follows such an octet looks like the rest of a query, of which options may have any data."""
    chain_ = Chain()
    rest = b"\x00" + octets.question(b"", 1) + octets.opt(length=12) + octets.option(10, length=8)
    names = [bytes((len(rest) + 2,)) + b"x" + rest + letter + b"\x01y\x00" for letter in (b"a", b"b")]
    answers = ask(serve(chain_), *(octets.query(octets.question(name), additionals=0) for name in names))
    assert [query.name for query in chain_.asked] == names
    assert [answer[12 : 12 + len(name)] for answer, name in zip(answers, names, strict=True)] == names


def test_one_of_many_addresses_is_known_in_any_letter_case() -> None:
    addresses = [bytes((10, 0, 0, number)) for number in range(4)]
    script = Script(Response(answer=(RRset(NAME, Rtype.A, 5, addresses),), repeat=Repeat(Lease())))
    responder = serve(chain(set_up("loadbalance", "loadbalance", environment()), script))
    spelled = [message("".join(random.choice((c, c.upper())) for c in WEB)) for _ in range(200)]
    answers = ask(responder, *spelled)
    assert [answer[12 : 12 + len(NAME)] for answer in answers] == [each[12 : 12 + len(NAME)] for each in spelled]
    assert {answer[-4 * 16 :][12:16] for answer in answers} == set(addresses)
    assert len(script.asked) == 1


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


async def test_leases_that_are_over_are_not_kept_with_what_may_be_renewed() -> None:
    chain_ = Chain()
    responder = serve(chain_)
    leases = []
    for number in range(100):
        ask(responder, message(f"n{number}.example"))
        leases.append(chain_.lease)
        chain_.lease.until = ENDED
        chain_.lease = Lease()
    kept = sum(map(sys.getrefcount, leases))
    await responder.settle()
    assert sum(map(sys.getrefcount, leases)) == kept - len(leases)
    ask(responder, message("n99.example"))
    assert len(chain_.asked) == 101


async def test_all_that_is_given_again_is_told_even_when_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 50_000)
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
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 50_000)
    chain_ = Chain()
    responder = serve(chain_)
    for number in range(1000):
        ask(responder, message(f"n{number}.example"))
    ask(responder, message("n999.example"))
    assert len(chain_.asked) == 1000
    ask(responder, message("n0.example"))
    assert len(chain_.asked) == 1001


def test_what_is_asked_again_and_again_outlives_what_never_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 100_000)
    chain_ = Chain()
    responder = serve(chain_)
    for number in range(2000):
        ask(responder, message(f"popular-{number % 20}.example"), message(f"n{number}.example"))
    assert len(chain_.asked) == 2020


def test_spellings_that_never_come_again_do_not_drive_out_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 200_000)
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


def test_two_addresses_take_no_more_than_their_two_orders() -> None:
    answer = Response(answer=(RRset(NAME, Rtype.A, 5, [bytes(4), bytes([1] * 4)]),), repeat=Repeat(Lease()))
    responder = serve(chain(set_up("loadbalance", "loadbalance", environment()), Script(answer)))
    ask(responder, message())
    tracemalloc.start()
    try:
        for _ in range(2000):
            ask(responder, message())
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1800  # sixteen orders that are octets of their own would take 2,600


def test_an_answer_takes_no_more_memory_than_the_one_whose_place_it_takes() -> None:
    lease = Lease()
    names = [f"name-{number}.example" for number in range(500)]
    plain, capital = ([message(spelled) for spelled in spelling] for spelling in (names, map(str.upper, names)))

    async def answer(query: Query) -> Response:
        return Response(answer=(RRset(query.name, Rtype.A, 5, [bytes(4)]),), repeat=Repeat(lease))

    def ask_anew(queries: list[bytes]) -> int:
        nonlocal lease
        lease.until, lease = ENDED, Lease()
        ask(responder, *queries)
        return tracemalloc.get_traced_memory()[0]

    responder = serve(answer)
    tracemalloc.start()
    try:
        first, second, *others = [ask_anew(queries) for queries in (plain, plain, capital, plain, capital)]
    finally:
        tracemalloc.stop()
    assert second - first < 10 * len(names)
    assert others[2] - others[0] < 10 * len(names)


MANY_PORTS = tuple(Port(f"p{number}", "tcp", number) for number in range(1, 101))


@pytest.mark.parametrize(
    ("rtypes", "size"),
    [((Rtype.ANY,), 250), ((Rtype.SRV, Rtype.TXT), 250), ((Rtype.A,), 1000)],
    ids=["any", "denials", "addresses"],
)
async def test_large_answers_take_no_more_memory_than_there_is_for_them(
    rtypes: tuple[Rtype, ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 2**18)
    monkeypatch.setattr(view, "PRESENT_OCTETS", 2**18)
    cluster = synced_cluster()
    cluster.put(Kind.SERVICE, Service(KEYS[0], "", (), headless=True, external_name="", ports=MANY_PORTS))
    crowd = b"".join(pack(bytes((10, 1, number // 250, number % 250)), "", "") for number in range(size))
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
ADDRESSES = [*(bytes((10, 0, 0, number)) for number in range(4)), bytes([0xFD, *bytes(14), 1])]
PORTS = (Port("http", "tcp", 80),)
TARGETS = ["web.default.svc.cluster.local", "db.default.svc.cluster.local", "10-0-0-1.prod.pod.cluster.local"]
TARGETS += ["www.example.com", "web.prod.svc.k8s", "none.default.svc.cluster.local", "cluster.local"]
OWNERS = [f"{name}.{namespace}.svc" for namespace, name in KEYS]
QUESTIONS = [
    *((f"{below}{owner}.{zone}", rtype) for owner in OWNERS for below, zone, rtype in (
        ("", "cluster.local", 1),
        ("", "cluster.local", 28),
        ("", "cluster.local", 33),
        ("", "k8s", 1),
        ("_http._tcp.", "cluster.local", 33),
        ("_tcp.", "cluster.local", 16),
        ("10-0-0-1.", "cluster.local", 1),
    )),
    ("none.default.svc.cluster.local", 1),
    ("prod.svc.cluster.local", 1),
    ("10-0-0-1.default.pod.cluster.local", 1),
    ("10-0-0-1.prod.pod.cluster.local", 28),
    ("1.0.0.10.in-addr.arpa", 12),
    ("0.0.10.in-addr.arpa", 12),
    ("11.in-addr.arpa", 6),
    ("cluster.local", 6),
    ("cluster.local", 2),
    ("ns.dns.cluster.local", 1),
    ("www.example.com", 1),
]  # fmt: skip
OPTIONS = [
    "",
    "ignore empty_service",
    "pods verified",
    "pods insecure\nnamespaces default",
    "fallthrough",
    "pods verified\nignore empty_service\nfallthrough in-addr.arpa prod.svc.cluster.local",
    "noendpoints",
]
KINDS = list(Kind)


class Relist(NamedTuple):
    """A list that lacks some objects."""

    kind: Kind
    gone: frozenset[Key]


class Asked(NamedTuple):
    """A question: with what it is sent, and whether in upper case."""

    name: str
    rtype: int
    extra: tuple[bytes, ...]
    upper: bool


class Ruling(NamedTuple):
    """What the API server says of a kind."""

    kind: Kind
    denied: bool


keys = st.sampled_from(KEYS)
some_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True)
cluster_changes = st.one_of(
    st.builds(lambda key, found: Service(key, "", tuple(found), not found, "", PORTS), keys, some_addresses),
    st.builds(lambda key, target: Service(key, "", (), False, target, PORTS), keys, st.sampled_from(TARGETS)),  # noqa: FBT003
    st.builds(
        lambda key, owner, found: EndpointSlice(key, "", owner, PORTS, b"".join(pack(each, "", "") for each in found)),
        keys,
        st.sampled_from(sorted({name for _, name in KEYS})),
        some_addresses,
    ),
    st.builds(lambda key, found: Pod(key, "", tuple(found)), keys, some_addresses),
    st.builds(lambda key: Namespace(("", key[0]), ""), keys),
    st.builds(Relist, st.sampled_from(KINDS), st.frozensets(keys | st.builds(lambda key: ("", key[0]), keys))),
    st.builds(Ruling, st.sampled_from(KINDS), st.booleans()),
)
questions = st.builds(
    lambda asked, extra, upper: Asked(asked[0], asked[1], extra, upper),
    st.sampled_from(QUESTIONS),
    st.sampled_from([(), (octets.opt(),), (octets.opt(flags=octets.DO),), (octets.opt(octets.option(10, bytes(8))),)]),
    st.booleans(),
)


def synced_cluster(kinds: Collection[Kind] = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)) -> Cluster:
    seconds = count(1)
    cluster = Cluster(kinds, lambda: next(seconds))  # a copy has the same clock
    for kind in kinds:
        cluster.swap(kind, cluster.store(kind))
    for namespace in ("default", "prod"):
        cluster.put(Kind.NAMESPACE, Namespace(("", namespace), ""))
    return cluster


def settings_of(options: str) -> Settings:
    text = f"kubernetes cluster.local k8s in-addr.arpa {{\n{options}\n}}"
    return read_settings(directives(text, "kubernetes")[0], (ROOT,), environment().warn)


def kubernetes_over(cluster: Cluster, options: str = "") -> Kubernetes:
    """Set up the plugin, which answers at two addresses and asks the server that it is in, as in an application."""

    async def stay() -> None: ...

    async def resolve(query: Query) -> Response:
        return await Routes([Route(ROOT, chain([kubernetes], upstream), recursive=False)]).resolve(query)

    lent = environment(resolve=resolve, listening=lambda: [("10.0.0.1", 53), ("10.0.0.9", 53)])
    kubernetes = Kubernetes(settings_of(options), Source(cluster, stay, dict), lent)
    return kubernetes


async def upstream(query: Query) -> Response:
    """Answer what is not the cluster's, as `cache` would: always the same, and it may be given again."""
    return Response(answer=(RRset(query.name, Rtype.TXT, 5, [b"\x01x"]),), repeat=Repeat(FOREVER))


def change(cluster: Cluster, found: object) -> None:
    match found:
        case Service():
            cluster.put(Kind.SERVICE, found)
        case EndpointSlice():
            cluster.put(Kind.ENDPOINT_SLICE, found)
        case Pod():
            cluster.put(Kind.POD, found)
        case Namespace():
            cluster.put(Kind.NAMESPACE, found)
        case Ruling(kind, denied):
            (cluster.deny if denied else cluster.allow)(kind)
        case Relist(kind, gone):
            draft = Draft(kind, cluster)
            for each in cluster.store(kind).values():
                if each.key not in gone:
                    draft.put(each)
            draft.apply()


def test_names_that_do_not_exist_leave_nothing_to_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 20_000)
    monkeypatch.setattr(view, "ABSENT_OCTETS", 20_000)
    kubernetes = kubernetes_over(synced_cluster())
    responder = serve(chain([*set_up("prometheus", "prometheus", environment()), kubernetes], refuse))
    gc.collect()
    gc.disable()
    try:
        for number in range(1000):
            ask(responder, message(f"none-{number}.default.svc.cluster.local"))
        assert sum(isinstance(each, Entry) for each in gc.get_objects()) < 100
    finally:
        gc.enable()


def told(answer: bytes) -> tuple[object, ...]:
    """Return what an answer says, whatever its order."""
    read = dns.message.from_wire(answer)
    question = str(read.question[0].name)
    sections = [sorted(line for rrset in section for line in rrset.to_text().splitlines()) for section in read.sections]
    return answer[:12], question, sections, read.edns, read.ednsflags, read.options


SOMEWHERE = Service(KEYS[0], "", (ADDRESSES[1],), headless=False, external_name="", ports=PORTS)
HEADLESS = Service(KEYS[0], "", (), headless=True, external_name="", ports=PORTS)
ALIAS = Service(KEYS[1], "", (), headless=False, external_name=TARGETS[0], ports=PORTS)
FURTHER = Service(KEYS[2], "", (), headless=False, external_name="db.default.svc.cluster.local", ports=PORTS)
READY = EndpointSlice(KEYS[0], "", "web", PORTS, pack(ADDRESSES[1], "", ""))
OURS = EndpointSlice(KEYS[0], "", "web", PORTS, pack(bytes((10, 0, 0, 9)), "", ""))


@pytest.mark.parametrize(
    ("options", "before", "question", "found"),
    [
        ("", [], (WEB, 1), SOMEWHERE),
        ("", [ALIAS], ("db.default.svc.cluster.local", 1), SOMEWHERE),
        ("", [ALIAS, FURTHER], ("web.prod.svc.cluster.local", 1), SOMEWHERE),
        ("", [HEADLESS], (f"_http._tcp.{WEB}", 33), READY),
        ("", [HEADLESS], (f"10-0-0-1.{WEB}", 1), READY),
        ("", [], ("1.0.0.10.in-addr.arpa", 12), SOMEWHERE),
        ("", [], ("0.0.10.in-addr.arpa", 12), SOMEWHERE),
        ("", [SOMEWHERE], ("cluster.local", 2), OURS),
        ("", [SOMEWHERE], (WEB, 1), Relist(Kind.NAMESPACE, frozenset([("", "default")]))),
        ("", [SOMEWHERE], (WEB, 1), Relist(Kind.SERVICE, frozenset([KEYS[0]]))),
        ("ignore empty_service", [SOMEWHERE], (WEB, 1), READY),
        ("pods verified", [], ("10-0-0-1.prod.pod.cluster.local", 1), Pod(KEYS[2], "", (ADDRESSES[1],))),
        ("fallthrough", [], (WEB, 1), SOMEWHERE),
        ("fallthrough", [SOMEWHERE], (WEB, 1), Relist(Kind.SERVICE, frozenset([KEYS[0]]))),
    ],
)
def test_an_answer_is_another_one_as_soon_as_what_it_was_made_of_changes(
    options: str, before: list[object], question: tuple[str, int], found: object
) -> None:
    cluster = synced_cluster(settings_of(options).kinds)
    for each in before:
        change(cluster, each)
    kubernetes = kubernetes_over(cluster, options)
    responder = serve(chain([kubernetes], upstream), None, kubernetes.refresh)
    query = message(question[0], rtype=question[1])
    first, again = ask(responder, query, query)
    assert told(again) == told(first)
    change(cluster, found)
    fresh = serve(chain([kubernetes_over(cluster, options)], upstream))
    (answer,), (expected,) = ask(responder, query), ask(fresh, query)
    assert told(answer) == told(expected)
    old, new = map(dns.message.from_wire, (first, answer))
    assert (old.rcode(), old.answer) != (new.rcode(), new.answer)


class Worker:
    """A worker's answers: over a copy of the first process's cluster, which learns what that one tells.

    It is copied when it is asked again after more than could be told, as a fork would be.
    """

    def __init__(self, cluster: Cluster, options: str) -> None:
        self._first = cluster
        self._options = options
        self._fork()

    def ask(self, *messages: bytes) -> list[bytes]:
        if self._outdated:
            self._fork()
        return ask(self._responder, *messages)

    def _fork(self) -> None:
        self._first.tell = lambda _: None
        self._cluster = copy.deepcopy(self._first)
        self._first.tell = self._hear
        self._outdated = False
        kubernetes = kubernetes_over(self._cluster, self._options)
        self._responder = serve(chain([kubernetes], upstream), None, kubernetes.refresh)

    def _hear(self, found: Change | None) -> None:
        if found is None:
            self._outdated = True
        elif not self._outdated:
            self._cluster.learn(pickle.loads(pickle.dumps(found)))  # noqa: S301 - what was just written


class Story(NamedTuple):
    """A server, what changes, and what is asked after each change.

    Attributes:
        options: Those of `kubernetes`.
        late: What is not listed yet.
        asked: Questions.
        changes: See above.
        ahead: Whether it prepares for questions after each change.
    """

    options: str
    late: set[Kind]
    asked: list[Asked]
    changes: list[object]
    ahead: bool


stories = st.builds(
    Story,
    st.sampled_from(OPTIONS),
    st.sets(st.sampled_from(KINDS), max_size=1),
    st.lists(questions, min_size=4, max_size=8),
    st.lists(cluster_changes, min_size=5, max_size=15),
    st.booleans(),
)


@pytest.fixture(params=["roomy", "cramped"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is kept: all, or so little that most gives way."""
    if request.param == "cramped":
        monkeypatch.setattr("svcdns.responder.DATAGRAM_OCTETS", 3000)
        for name, most in (("PRESENT_OCTETS", 4000), ("ABSENT_OCTETS", 2000)):
            monkeypatch.setattr(view, name, most)
        for name in ("PRESENT_LEASES", "ABSENT_LEASES"):
            monkeypatch.setattr(view, name, 2)


@pytest.mark.usefixtures("room")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories)
async def test_it_answers_as_a_chain_that_is_asked_each_time(story: Story) -> None:
    options, late, asked, changes, ahead = story
    cluster = synced_cluster(settings_of(options).kinds)
    cluster.pending |= late & set(settings_of(options).kinds)
    kubernetes, metrics = kubernetes_over(cluster, options), Metrics()
    lent = environment(metrics=metrics)
    others = [*set_up("prometheus", "prometheus", lent), *set_up("loadbalance", "loadbalance", lent)]
    responder = serve(chain([*others, kubernetes], upstream), None, kubernetes.refresh)
    worker = Worker(cluster, options)
    for found in changes:
        change(cluster, found)
        if ahead:
            kubernetes.prepare()
        plain = serve(chain([kubernetes_over(cluster, options)], upstream))
        for name, rtype, extra, upper in asked:
            query = message(name.upper() if upper else name, *extra, rtype=rtype)
            (expected,) = ask(plain, query)
            for answer in ask(responder, query, query) + worker.ask(query, query):
                assert told(answer) == told(expected)
    await responder.settle()
    counted = [line for line in metrics.expose().splitlines() if line.startswith("coredns_dns_requests_total{")]
    assert sum(int(line.rpartition(" ")[2]) for line in counted) == 2 * len(asked) * len(changes)
    await asyncio.sleep(0)


CACHES = ["cache", "cache 30", "cache {\nkeepttl\n}", "cache {\nserve_stale 1m\n}", "cache {\nsuccess 1024 5 2\n}"]
OUTSIDE = ["www.example", "mail.example"]


class Passing(NamedTuple):
    """Seconds that pass."""

    seconds: float


class Saying(NamedTuple):
    """What an upstream says of a name from now on: addresses with a TTL, or with none of these an error."""

    name: str
    addresses: int
    ttl: int
    rcode: int


class Upstream:
    """Answers as it was told to."""

    def __init__(self) -> None:
        self.said: dict[Name, Saying] = {}

    async def __call__(self, query: Query) -> Response:
        said = self.said.get(query.name, Saying("", 2, 30, Rcode.NOERROR))
        if said.rcode == Rcode.SERVFAIL:
            return Response(said.rcode)
        if said.rcode == Rcode.NXDOMAIN or query.rtype != Rtype.A or not said.addresses:
            data = soa(query.name, query.name, 1, (2, 3, 4, said.ttl))
            return Response(said.rcode, authority=(RRset(query.name, Rtype.SOA, said.ttl, [data]),))
        found = [bytes((10, 0, said.ttl, number)) for number in range(said.addresses)]
        return Response(answer=(RRset(query.name, Rtype.A, said.ttl, found),))


outside = st.builds(
    Asked, st.sampled_from(OUTSIDE), st.sampled_from([1, 28]), st.sampled_from([(), (octets.opt(),)]), st.booleans()
)
sayings = st.builds(
    Saying,
    st.sampled_from(OUTSIDE),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 30, 200]),
    st.sampled_from([Rcode.NOERROR, Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL]),
)
passing = st.builds(Passing, st.sampled_from([0.0, 0.25, 0.5, 0.999, 1.0, 1.5, 4.0, 29.0, 31.0, 400.0]))


@settings(deadline=None)
@given(
    st.sampled_from(CACHES),
    st.lists(outside, min_size=1, max_size=4),
    st.lists(st.one_of(passing, passing, sayings), min_size=5, max_size=20),
)
async def test_what_a_cache_holds_is_answered_as_by_a_chain_that_is_asked_each_time(
    text: str, asked: list[Asked], steps: list[Passing | Saying]
) -> None:
    """Its leases end with the clock alone: with each second of a TTL, and with the time of an answer."""
    clock, upstream_, metrics = Clock(), Upstream(), Metrics()
    lent = environment(clock=clock, metrics=metrics)
    balanced = chain([*set_up("loadbalance", "loadbalance", lent), *set_up(text, "cache", lent)], upstream_)

    async def ask_each_time(query: Query) -> Response:
        return (await balanced(query)).repeatable(None)

    fast, plain = serve(balanced, clock), serve(ask_each_time, clock)
    for step in steps:
        match step:
            case Passing(seconds):
                clock.now += seconds
            case Saying(name):
                upstream_.said[from_text(name)] = step
        for name, rtype, extra, upper in asked:
            query = message(name.upper() if upper else name, *extra, rtype=rtype)
            _, expected = ask(plain, query, query)  # the second comes from the cache, if it keeps the first
            for answer in ask(fast, query, query):
                assert told(answer) == told(expected)
            await asyncio.sleep(0)  # what is stale is fetched
    await fast.settle()
    counted = [line for line in metrics.expose().splitlines() if line.startswith("coredns_cache_requests_total{")]
    assert sum(int(line.rpartition(" ")[2]) for line in counted) == 4 * len(asked) * len(steps)
