"""Random clusters, connections and faults against a model.

What is here of a kind is always what the API server had at some moment; kinds have no common order. A view that was
there all the time answers from it as one that is new, so no answer is one that no such moments would give.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from svcdns.dns.message import Response
from svcdns.dns.name import from_text
from svcdns.dns.records import Rtype
from svcdns.errors import ClusterError, Expired
from svcdns.kube.api.failures import RefusalError, UnreachableError
from svcdns.kube.api.reflector import ListRequest, Reflector
from svcdns.kube.cluster import Cluster
from svcdns.kube.decode import Event, Page, Status
from svcdns.kube.directory import Options
from svcdns.kube.memo import Chase
from svcdns.kube.objects import Endpoint, EndpointSlice, Key, Kind, Namespace, Object, Port, Service, pack
from svcdns.kube.structs import Retained
from svcdns.kube.view import View

GARBLED = "e"
"""The name of an object that cannot be decoded."""

NAMES = st.sampled_from(f"ab{GARBLED}")
KINDS = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)
CONTENTS = "ab"
"""What an object may say: which external name a Service has, if any, and whose endpoints a slice holds."""

FAILURES = (
    UnreachableError("refused"),
    RefusalError("busy", 429, 7),
    RefusalError("broken", 500),
    RefusalError("who", 401),
    RefusalError("no", 403),
    RefusalError("what", 404),
    RefusalError("how", 422),
    ClusterError("cut"),
    Expired("gone"),
)
PAGE = 2
OPTIONS = Options((from_text("cluster.local"), from_text("in-addr.arpa")))
QUESTIONS = (
    ("a.a.svc.cluster.local", Rtype.A),
    ("a.a.svc.cluster.local", Rtype.CNAME),
    ("a.a.svc.cluster.local", Rtype.SRV),
    ("b.a.svc.cluster.local", Rtype.A),
    ("10-0-0-2.b.a.svc.cluster.local", Rtype.A),
    ("a.svc.cluster.local", Rtype.A),
    ("1.0.0.10.in-addr.arpa", Rtype.PTR),
    ("0.0.10.in-addr.arpa", Rtype.PTR),
)


class Entry(NamedTuple):
    """One change in the history of a kind."""

    version: int
    event: Event


class Kept:
    """What the API server keeps of one kind, and one client's way through it."""

    def __init__(self, kind: Kind, cluster: Cluster) -> None:
        self.kind = kind
        self.cluster = cluster
        self.reflector = Reflector(kind, cluster, Random(5))
        self.objects: dict[Key, Object | Retained] = {}
        self.states: list[frozenset[object]] = [frozenset()]
        self.at = 0
        self.history: list[Entry] = []
        self.oldest = 0
        self.lost = False
        self.initial: list[Event] | None = None
        self.reached: int | None = None
        self.pages: Iterator[Page] | None = None
        self.audited: tuple[dict[Key, str], str] | None = None

    @property
    def connected(self) -> bool:
        return self.initial is not None or self.reached is not None or self.pages is not None

    @property
    def next_event(self) -> Entry | None:
        """What an open watch sends next, if anything."""
        return next((each for each in self.history if self.reached is not None and each.version > self.reached), None)

    def change(self, version: int, name: str, content: str | None) -> None:
        key = ("", name) if self.kind is Kind.NAMESPACE else ("a", name)
        known = self.objects.get(key)
        if content is None:
            if known is None:
                return
            del self.objects[key]
            event = Event("DELETED", known.with_version(str(version)), str(version))
        else:
            found = make(self.kind, key, version, content)
            self.objects[key] = found
            event = Event("MODIFIED" if known else "ADDED", found, str(version))
        self.history.append(Entry(version, event))
        self.states.append(contents(self.objects.values()))
        if self.initial is not None:  # it is told before the bookmark that ends the list
            self.initial[-1:] = [event, self.initial[-1]._replace(version=str(version))]

    def hang_up(self) -> None:
        self.initial = self.reached = self.pages = None

    def fail(self, error: ClusterError) -> None:
        self.hang_up()
        self.reflector.fail(error, 3.0)

    def connect(self, version: int) -> None:
        """Make the next request, which the server takes up."""
        request = self.reflector.request()
        if isinstance(request, ListRequest):
            self.pages = self.paginate(request, version)
        elif not request.version:
            self.reflector.open()
            first = [Event("ADDED", found, found.version) for found in self.objects.values()]
            self.initial = [*first, Event("BOOKMARK", None, str(version), complete=True)]
        elif int(request.version) < self.oldest:
            self.fail(Expired("410"))
        else:
            self.reflector.open()
            self.reached = int(request.version)

    def paginate(self, request: ListRequest, version: int) -> Iterator[Page]:
        """Give the pages of a list as it is now."""
        found = list(self.objects.values())
        size = PAGE if request.limit else len(found) + 1
        starts = range(0, max(len(found), 1), size)
        pages = [Page(iter(found[start : start + size]), str(version), "more") for start in starts]
        return iter([*pages[:-1], pages[-1]._replace(more="")])

    def step(self) -> None:
        """Let the server send the next piece of what it is sending."""
        if self.initial is not None:
            event = self.initial.pop(0)
            self.take(event)
            if event.complete:
                self.begin_to_follow(int(event.version))
        elif self.pages is not None:
            page = next(self.pages)
            list(self.reflector.take_page(page))
            if not page.more:
                self.begin_to_follow(None)
        elif (entry := self.next_event) is not None:
            self.reached = entry.version
            self.take(entry.event)

    def begin_to_follow(self, reached: int | None) -> None:
        """A list is in force, so that nothing is lost any more."""
        self.hang_up()
        self.reached = reached
        self.lost = False

    def take(self, event: Event) -> None:
        try:
            self.reflector.take(event)
        except ClusterError as error:
            self.check_cause()
            self.fail(error)

    def check_cause(self) -> None:
        """An audit finds nothing where nothing was lost."""
        assert self.lost or self.reflector.current or self.reflector.cause != "audit"

    def check(self) -> None:
        """What is here was the case at some time, and not before what was here last; unless events were lost."""
        here = self.cluster.store(self.kind)
        if not self.lost:
            assert contents(here.values()) in self.states[self.at :]
            self.at = self.states.index(contents(here.values()), self.at)
        if self.kind in self.cluster.pending:
            assert len(here) == 0


def make(kind: Kind, key: Key, version: int, content: str) -> Object | Retained:
    if key[1] == GARBLED:
        return Retained(key, str(version), "garbled")
    if kind is Kind.NAMESPACE:
        return Namespace(key, str(version))
    if kind is Kind.ENDPOINT_SLICE:
        endpoint = Endpoint(bytes((10, 0, 0, 1 + CONTENTS.index(content))), "", "")
        return EndpointSlice(key, str(version), content, (Port("http", "tcp", 80),), pack(*endpoint))
    external = f"{content}.example" if content == "b" else ""
    return Service(key, str(version), (), headless=not external, external_name=external, ports=())


def told(view: View, questions: Sequence[tuple[str, Rtype]]) -> list[Response | Chase | None]:
    """Return what a view answers, without what says how long that holds good."""
    found = [view.find(from_text(name), rtype) for name, rtype in questions]
    return [each.replace(repeat=None) if isinstance(each, Response) else each for each in found]


def contents(objects: Iterable[Object | Retained]) -> frozenset[object]:
    return frozenset(each.with_version("") for each in objects if not isinstance(each, Retained))


class ReflectorMachine(RuleBasedStateMachine):
    """The API server with all that may go wrong on the way."""

    @initialize()
    def start(self) -> None:
        self.version = 10
        self.cluster = Cluster(KINDS, lambda: 1000.0)
        self.kept = {kind: Kept(kind, self.cluster) for kind in KINDS}
        self.view = View(self.cluster, OPTIONS, list)

    @rule(
        kind=st.sampled_from(KINDS),
        changes=st.lists(st.tuples(NAMES, st.none() | st.sampled_from(CONTENTS)), min_size=1, max_size=4),
    )
    def change(self, kind: Kind, changes: list[tuple[str, str | None]]) -> None:
        for name, content in changes:
            self.version += 1
            self.kept[kind].change(self.version, name, content)

    @rule(kind=st.sampled_from(KINDS), steps=st.integers(1, 10))
    def go_on(self, kind: Kind, steps: int) -> None:
        kept = self.kept[kind]
        for _ in range(steps):
            if kept.connected:
                kept.step()
            else:
                kept.connect(self.version)
            kept.check()

    @rule(kind=st.sampled_from(KINDS), failure=st.sampled_from(FAILURES))
    def fail(self, kind: Kind, failure: ClusterError) -> None:
        kept = self.kept[kind]
        if not kept.connected:
            kept.reflector.request()
        kept.fail(failure)

    @rule(kind=st.sampled_from(KINDS), code=st.sampled_from((410, 429, 500)))
    def fail_as_event(self, kind: Kind, code: int) -> None:
        kept = self.kept[kind]
        if kept.initial is not None or kept.reached is not None:
            kept.take(Event("ERROR", None, "", status=Status(code)))

    @rule(kind=st.sampled_from(KINDS), lasted=st.sampled_from((0.1, 300.0)))
    def end(self, kind: Kind, lasted: float) -> None:
        kept = self.kept[kind]
        if kept.initial is not None or kept.reached is not None:
            kept.hang_up()
            kept.reflector.end(lasted)

    @rule(kind=st.sampled_from(KINDS))
    def bookmark(self, kind: Kind) -> None:
        kept = self.kept[kind]
        if kept.reached is not None and kept.next_event is None:
            kept.reached = self.version
            kept.take(Event("BOOKMARK", None, str(self.version)))

    @rule(kind=st.sampled_from(KINDS), back=st.integers(1, 5))
    def repeat(self, kind: Kind, back: int) -> None:
        kept = self.kept[kind]
        if kept.reached is not None:
            past = [each.event for each in kept.history if each.version <= kept.reached]
            if len(past) >= back:
                kept.take(past[-back])

    @rule(kind=st.sampled_from(KINDS))
    def lose(self, kind: Kind) -> None:
        kept = self.kept[kind]
        if (entry := kept.next_event) is not None:
            kept.reached = entry.version
            kept.lost = True

    @rule(kind=st.sampled_from(KINDS))
    def compact(self, kind: Kind) -> None:
        kept = self.kept[kind]
        kept.oldest = self.version
        kept.history = [each for each in kept.history if kept.reached is not None and each.version > kept.reached]

    @rule(kind=st.sampled_from(KINDS))
    def begin_audit(self, kind: Kind) -> None:
        kept = self.kept[kind]
        if kept.reflector.current:
            kept.reflector.audit.begin()
            kept.audited = {key: found.version for key, found in kept.objects.items()}, str(self.version)

    @rule(kind=st.sampled_from(KINDS))
    def end_audit(self, kind: Kind) -> None:
        kept = self.kept[kind]
        if kept.audited is not None:
            versions, at = kept.audited
            kept.reflector.take_stamps(versions)
            list(kept.reflector.compare(at))
            kept.audited = None

    @rule(seed=st.integers(0, 2**32))
    def live_a_while(self, seed: int) -> None:
        """Go a long way at random, which single steps rarely do."""
        random = Random(seed)
        for _ in range(60):
            kind = random.choice(KINDS)
            self.act(kind, random)
            self.kept[kind].check()
            self.check_answers([random.choice(QUESTIONS)])

    @invariant()
    def everything_here_was_once_there(self) -> None:
        for kept in getattr(self, "kept", {}).values():
            kept.check()

    @precondition(lambda self: hasattr(self, "kept"))
    @invariant()
    def answers_are_of_what_is_here(self) -> None:
        self.check_answers(QUESTIONS)

    def check_answers(self, questions: Sequence[tuple[str, Rtype]]) -> None:
        assert told(self.view, questions) == told(View(self.cluster, OPTIONS, list), questions)

    @precondition(lambda self: hasattr(self, "kept"))
    @rule()
    def calm_down(self) -> None:
        """Without faults, all is soon as it should be: events, then an audit, then what it finds is mended."""
        for kept in self.kept.values():
            self.deliver(kept)
            self.begin_audit(kept.kind)
            self.end_audit(kept.kind)
            self.version += 1
            self.deliver(kept)
            assert contents(self.cluster.store(kept.kind).values()) == contents(kept.objects.values())
            assert kept.kind not in self.cluster.pending | self.cluster.denied

    def teardown(self) -> None:
        if hasattr(self, "kept"):
            self.calm_down()

    def act(self, kind: Kind, random: Random) -> None:
        """Let anything happen, what is ordinary more often."""
        actions: dict[Callable[[], object], int] = {
            lambda: self.change(kind, [(random.choice(f"ab{GARBLED}"), random.choice((None, *CONTENTS)))]): 12,
            lambda: self.go_on(kind, random.randint(1, 4)): 24,
            lambda: self.bookmark(kind): 6,
            lambda: self.repeat(kind, random.randint(1, 3)): 4,
            lambda: self.begin_audit(kind): 3,
            lambda: self.end_audit(kind): 3,
            lambda: self.fail(kind, random.choice(FAILURES)): 2,
            lambda: self.end(kind, random.choice((0.1, 300.0))): 2,
            lambda: self.fail_as_event(kind, random.choice((410, 500))): 1,
            lambda: self.lose(kind): 2,
            lambda: self.compact(kind): 1,
        }
        random.choices([*actions], [*actions.values()])[0]()

    def deliver(self, kept: Kept) -> None:
        """Send all that there is to send, and a bookmark."""
        for _ in range(60):
            if not kept.connected:
                kept.connect(self.version)
            elif kept.reached is None or kept.next_event is not None:
                kept.step()
            else:
                self.bookmark(kept.kind)
                if kept.connected:
                    return
        raise AssertionError("it never calms down")


ReflectorMachine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestReflector = ReflectorMachine.TestCase
