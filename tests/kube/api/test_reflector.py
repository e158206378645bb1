from random import Random

import pytest

from svcdns.errors import ClusterError, Expired
from svcdns.kube.api.failures import RefusalError, UnreachableError, make_failure
from svcdns.kube.api.reflector import ListRequest, Recovery, Reflector, WatchRequest
from svcdns.kube.cluster import Cluster
from svcdns.kube.decode import Event, Page, Status
from svcdns.kube.objects import Kind, Namespace, Object, Service
from svcdns.kube.structs import Retained

KEY = ("default", "web")


def web(version: int, external_name: str = "a.example", name: str = "web") -> Service:
    return Service(("default", name), str(version), (), headless=False, external_name=external_name, ports=())


def added(found: Object | Retained) -> Event:
    return Event("ADDED", found, found.version)


def modified(found: Object | Retained) -> Event:
    return Event("MODIFIED", found, found.version)


def deleted(found: Object | Retained, version: int) -> Event:
    return Event("DELETED", found, str(version))


def bookmark(version: int, *, complete: bool = False) -> Event:
    return Event("BOOKMARK", None, str(version), complete)


def error(code: int, message: str = "") -> Event:
    return Event("ERROR", None, "", status=Status(code, "", message))


def page(version: int, *objects: Object | Retained, more: str = "") -> Page:
    return Page(iter(objects), str(version), more)


class World:
    """A cluster with one reflector."""

    def __init__(self) -> None:
        self.cluster = Cluster([Kind.SERVICE], lambda: 1000.0)
        self.reflector = Reflector(Kind.SERVICE, self.cluster, Random(3))

    def listed(self, version: int, *objects: Object) -> "World":
        """Go through a streaming list."""
        self.reflector.request()
        self.reflector.open()
        for found in objects:
            self.reflector.take(added(found))
        self.reflector.take(bookmark(version, complete=True))
        return self

    def watching(self) -> "World":
        """Open the next watch."""
        assert isinstance(self.reflector.request(), WatchRequest)
        self.reflector.open()
        return self

    @property
    def services(self) -> dict[str, str]:
        return {found.key[1]: found.external_name for found in self.cluster.services.values()}


# What is asked


def test_the_first_request_streams_all_objects() -> None:
    request = World().reflector.request()
    assert isinstance(request, WatchRequest)
    assert request.query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(request.seconds),
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


def test_a_watch_goes_on_from_the_last_version() -> None:
    world = World().listed(20)
    world.reflector.take(added(web(21)))
    world.reflector.take(bookmark(30))
    world.reflector.end(400)
    request = world.reflector.request()
    assert isinstance(request, WatchRequest)
    assert request.query["resourceVersion"] == "30"
    assert "sendInitialEvents" not in request.query


def test_watches_last_between_five_and_ten_minutes_at_random() -> None:
    world = World().listed(20)
    requests = [world.reflector.request() for _ in range(50)]
    seconds = {request.seconds for request in requests if isinstance(request, WatchRequest)}
    assert len(seconds) > 20
    assert min(seconds) >= 300
    assert max(seconds) <= 600


@pytest.mark.parametrize("refusal", [RefusalError("", 400), RefusalError("", 422), ClusterError("silent")])
def test_a_server_that_cannot_stream_is_asked_for_pages_at_once(refusal: ClusterError) -> None:
    reflector = World().reflector
    reflector.request()
    assert reflector.fail(refusal) == Recovery(0.0)
    assert reflector.request() == ListRequest(500)


def test_an_error_instead_of_the_stream_is_remembered() -> None:
    world = World()
    world.reflector.request()
    with pytest.raises(ClusterError) as caught:
        world.reflector.take(error(500, "required storage feature RequestWatchProgress is disabled"))
    assert world.reflector.fail(caught.value, 0.1) == Recovery(0.0)
    assert world.reflector.request() == ListRequest(500)
    list(world.reflector.take_page(page(5)))
    world.watching().reflector.fail(Expired("410"))
    assert world.reflector.request() == ListRequest(50)


def test_a_stream_that_ends_before_it_is_complete_gives_way_to_pages() -> None:
    world = World()
    world.reflector.request()
    world.reflector.take(added(web(3)))
    assert world.reflector.end(2.0) == Recovery(0.0)
    assert world.reflector.request() == ListRequest(500)
    assert world.cluster.pending


def test_pages_follow_each_other_by_token() -> None:
    world = World()
    world.reflector.request()
    world.reflector.fail(RefusalError("", 422))
    first = world.reflector.request()
    assert isinstance(first, ListRequest)
    assert first.query == {"limit": "500"}
    more = world.reflector.request_more(page(9, more="token"))
    assert more is not None
    assert more.query == {"limit": "500", "continue": "token"}
    assert world.reflector.request_more(page(9)) is None


def test_a_token_that_expired_is_followed_by_a_list_without_pages() -> None:
    world = World()
    world.reflector.request()
    world.reflector.fail(RefusalError("", 422))
    world.reflector.request()
    list(world.reflector.take_page(page(9, web(3), more="token")))
    assert world.reflector.fail(Expired("410")).pause == 0
    assert world.services == {}
    request = world.reflector.request()
    assert isinstance(request, ListRequest)
    assert request.query == {}
    list(world.reflector.take_page(page(12, web(3))))
    assert world.services == {"web": "a.example"}


# What answers mean


def test_nothing_is_applied_before_a_list_is_complete() -> None:
    world = World().listed(20, web(3))
    world.watching().reflector.fail(Expired("410"))
    world.reflector.request()
    revision = world.cluster.revision
    world.reflector.take(added(web(21, "b.example")))
    world.reflector.take(added(web(22, name="db")))
    assert (world.services, world.cluster.revision) == ({"web": "a.example"}, revision)
    world.reflector.take(bookmark(30, complete=True))
    assert world.services == {"web": "b.example", "db": "a.example"}
    assert world.cluster.revision == revision + 1


def test_a_list_removes_what_vanished() -> None:
    world = World().listed(20, web(3), web(4, name="db"))
    world.watching().reflector.fail(Expired("410"))
    world.listed(30, web(4, name="db"))
    assert world.services == {"db": "a.example"}
    assert world.cluster.changes_since(world.cluster.revision - 1) == frozenset({KEY})


def test_a_list_that_says_the_same_changes_nothing_and_keeps_the_objects() -> None:
    world = World().listed(20, web(3), web(4, name="db"))
    before = world.cluster.services.get(KEY)
    revision, serial = world.cluster.revision, world.cluster.serial
    world.watching().reflector.fail(Expired("410"))
    world.listed(30, web(3), web(25, name="db"))
    assert (world.cluster.revision, world.cluster.serial) == (revision, serial)
    assert world.cluster.services.get(KEY) is before
    assert world.cluster.services.get(("default", "db")) == web(25, name="db")


def test_a_list_of_namespaces_that_differs_touches_every_name() -> None:
    cluster = Cluster([Kind.NAMESPACE], lambda: 1000.0)
    reflector = Reflector(Kind.NAMESPACE, cluster, Random(3))
    for version, names in ((10, "ab"), (20, "ab"), (30, "b")):
        before = cluster.revision
        reflector.request()
        for name in names:
            reflector.take(added(Namespace(("", name), "1")))
        reflector.take(bookmark(version, complete=True))
        changes = cluster.changes_since(before)
        assert changes == (frozenset() if version == 20 else None)
        reflector.fail(Expired("410"))


def test_what_happens_while_objects_stream_is_in_the_list() -> None:
    world = World()
    world.reflector.request()
    for event in (
        added(web(3)),
        added(web(4, name="db")),
        modified(web(7, "b.example")),
        deleted(web(4, name="db"), 8),
    ):
        world.reflector.take(event)
    world.reflector.take(bookmark(8, complete=True))
    assert world.services == {"web": "b.example"}


def test_events_change_objects() -> None:
    world = World().listed(20, web(3)).watching()
    assert world.reflector.take(modified(web(21, "b.example"))) == web(21, "b.example")
    assert world.reflector.take(added(web(22, name="db"))) == web(22, name="db")
    assert world.reflector.take(deleted(web(22, name="db"), 23)) is None
    assert world.services == {"web": "b.example"}


def test_an_event_that_comes_twice_is_taken_once() -> None:
    world = World().listed(20, web(3)).watching()
    for _ in range(2):
        world.reflector.take(modified(web(21, "b.example")))
        revision = world.cluster.revision
    assert world.cluster.revision == revision
    for _ in range(2):
        world.reflector.take(deleted(web(21), 22))
    assert world.services == {}


@pytest.mark.parametrize(
    "event", [modified(web(15, "old.example")), added(web(19, name="gone")), deleted(web(3), 19), bookmark(18)]
)
def test_an_event_from_the_past_is_not_believed_but_listed_again(event: Event) -> None:
    world = World().listed(20, web(3)).watching()
    with pytest.raises(Expired) as caught:
        world.reflector.take(event)
    assert world.services == {"web": "a.example"}
    world.reflector.fail(caught.value, 5)
    assert (world.reflector.current, world.reflector.cause) == (False, "order")


def test_an_object_that_cannot_be_decoded_stays_as_it_was() -> None:
    world = World().listed(20, web(3)).watching()
    world.reflector.take(modified(Retained(KEY, "21", "bad")))
    assert world.cluster.services.get(KEY) == web(21)
    world.reflector.fail(Expired("410"))
    world.reflector.request()
    world.reflector.take(added(Retained(KEY, "31", "bad")))
    world.reflector.take(bookmark(31, complete=True))
    assert world.cluster.services.get(KEY) == web(31)
    world.watching().reflector.take(deleted(Retained(KEY, "32", "bad"), 32))
    assert world.services == {}


def test_an_event_without_a_version_is_passed_over() -> None:
    world = World().listed(20, web(3)).watching()
    world.reflector.take(added(Retained(("", ""), "", "another kind")))
    assert world.services == {"web": "a.example"}


def test_a_list_without_a_version_is_not_applied() -> None:
    world = World()
    world.reflector.request()
    with pytest.raises(ClusterError):
        world.reflector.take(Event("BOOKMARK", None, "", complete=True))
    world.reflector.fail(ClusterError(""))
    world.reflector.request()
    with pytest.raises(ClusterError):
        list(world.reflector.take_page(page(0)._replace(version="")))
    assert world.cluster.pending


@pytest.mark.parametrize("failure", [(410, ""), (504, "Too large resource version: 30, current: 8"), (500, "Expired")])
def test_a_version_that_cannot_be_had_is_listed_again_at_once(failure: tuple[int, str]) -> None:
    code, message = failure
    world = World().listed(20, web(3)).watching()
    caught = make_failure(Status(code, "Expired" if code == 500 else "", message), code)
    assert isinstance(caught, Expired)
    assert world.reflector.fail(caught) == Recovery(0.0)
    assert (world.reflector.current, world.reflector.cause) == (False, "expired")
    assert world.services == {"web": "a.example"}


def test_a_410_as_an_event_is_listed_again() -> None:
    world = World().listed(20).watching()
    with pytest.raises(Expired):
        world.reflector.take(error(410, "too old"))


# When to ask again


@pytest.mark.parametrize(
    "failure", [UnreachableError(""), *(RefusalError("", code) for code in (401, 429, 500, 503, 504))]
)
def test_general_trouble_is_waited_out_by_all(failure: ClusterError) -> None:
    world = World().listed(20).watching()
    recovery = world.reflector.fail(failure)
    assert recovery.general
    assert recovery.pause <= 0.5
    assert world.reflector.current


def test_patience_doubles_while_no_answer_comes() -> None:
    world = World().listed(20).watching()
    world.reflector.fail(ClusterError("reset"), 100)
    patience = []
    for _ in range(5):
        patience.append(world.reflector.patience)
        world.reflector.fail(UnreachableError("silent"))
    assert patience == [1, 2, 4, 8, 8]
    assert world.watching().reflector.patience == 1


def test_a_watch_that_breaks_off_goes_on_soon_from_where_it_was() -> None:
    world = World().listed(20).watching()
    recovery = world.reflector.fail(ClusterError("reset"), 100)
    assert not recovery.general
    assert 0 < recovery.pause <= 0.5
    assert world.reflector.current


def test_pauses_double_up_to_half_a_minute_and_start_anew_after_an_event() -> None:
    world = World().listed(20).watching()
    pauses = [world.reflector.fail(UnreachableError("")) for _ in range(12)]
    world.watching().reflector.take(bookmark(21))
    again = world.reflector.fail(ClusterError(""), 2)
    broken = [world.reflector.fail(ClusterError("")).pause for _ in range(12)]
    assert all(each.pause <= 30 for each in pauses)
    assert again.pause <= 0.5
    for longest, pause in zip((1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30), broken, strict=True):
        assert longest / 2 <= pause <= longest


def test_a_watch_that_yields_nothing_but_failures_is_listed_again() -> None:
    world = World().listed(20)
    for _ in range(3):
        assert world.reflector.current
        world.watching().reflector.fail(ClusterError("500 as an event"), 0.5)
    assert (world.reflector.current, world.reflector.cause) == (False, "stuck")


@pytest.mark.parametrize("lasted", [0.0, 0.3, 0.99])
def test_a_very_short_watch_does_not_begin_again_within_a_second(lasted: float) -> None:
    for fruitful in (False, True):
        world = World().listed(20).watching()
        if fruitful:
            world.reflector.take(bookmark(21))
        assert lasted + world.reflector.end(lasted).pause >= 0.99


def test_a_watch_that_ends_in_time_goes_on_at_once() -> None:
    assert World().listed(20).watching().reflector.end(300) == Recovery(0.0)


def test_two_watches_without_any_event_are_followed_by_a_list() -> None:
    world = World().listed(20)
    for current in (True, False):
        world.watching().reflector.end(300)
        assert world.reflector.current is current
    assert world.reflector.cause == "idle"


def test_bookmarks_are_enough_to_go_on() -> None:
    world = World().listed(20)
    for version in range(21, 31):
        world.watching().reflector.take(bookmark(version))
        world.reflector.end(300)
    assert world.reflector.current


def test_lists_that_expire_again_and_again_are_spaced_out() -> None:
    world = World()
    pauses = []
    for version in range(20, 26):
        world.listed(version).watching()
        pauses.append(world.reflector.fail(Expired("410")).pause)
    assert pauses[0] == 0
    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[-1] > 5


def test_versions_that_are_gone_after_each_first_event_are_spaced_out_too() -> None:
    world = World()
    pauses = []
    for version in range(20, 60, 10):
        world.listed(version).watching().reflector.take(bookmark(version + 1))
        pauses.append(world.reflector.fail(Expired("410"), 0.1).pause)
    assert pauses[0] == 0
    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[-1] >= 2


def test_a_stream_that_is_never_answered_gives_way_to_pages_in_the_end() -> None:
    reflector = World().reflector
    for _ in range(4):
        assert isinstance(reflector.request(), WatchRequest)
        reflector.fail(UnreachableError("there is no answer in time"))
    assert reflector.request() == ListRequest(500)


def test_a_kind_denied_at_the_start_is_asked_for_each_half_minute() -> None:
    world = World()
    for _ in range(3):
        world.reflector.request()
        assert 30 <= world.reflector.fail(RefusalError("", 403)).pause <= 33
        assert world.cluster.denied == frozenset({Kind.SERVICE})
    world.listed(20, web(3))
    assert world.cluster.denied == frozenset()
    assert world.services == {"web": "a.example"}


def test_a_kind_denied_later_keeps_its_objects_and_is_asked_for_soon_once() -> None:
    world = World().listed(20, web(3))
    pauses = []
    for _ in range(3):
        world.reflector.request()
        pauses.append(world.reflector.fail(RefusalError("", 403)).pause)
    assert pauses[0] <= 2
    assert min(pauses[1:]) >= 30
    assert (world.services, world.cluster.denied) == ({"web": "a.example"}, frozenset({Kind.SERVICE}))
    world.watching()
    assert world.cluster.denied == frozenset()


def test_a_kind_that_does_not_exist_is_asked_for_ever_more_rarely() -> None:
    reflector = World().reflector
    pauses = []
    for _ in range(8):
        reflector.request()
        pauses.append(reflector.fail(RefusalError("", 404)).pause)
    assert pauses[0] == 0  # in pages
    assert pauses[-1] >= 15


# Audits


def compare(world: World, at: int, **versions: int) -> None:
    for name, version in versions.items():
        world.reflector.take_stamps({("default", name): str(version)})
    list(world.reflector.compare(str(at)))


@pytest.mark.parametrize("versions", [{}, {"web": 3, "db": 25}, {"web": 26}])
def test_an_object_that_still_differs_when_the_watch_has_come_there_is_listed_again(versions: dict[str, int]) -> None:
    world = World().listed(20, web(3)).watching()
    world.reflector.audit.begin()
    compare(world, 30, **versions)
    world.reflector.take(bookmark(29))
    with pytest.raises(Expired) as caught:
        world.reflector.take(bookmark(30))
    world.reflector.fail(caught.value, 20)
    assert (world.reflector.current, world.reflector.cause) == (False, "audit")


def test_an_audit_ahead_of_the_watch_waits_for_it() -> None:
    world = World().listed(20, web(3), web(4, name="db")).watching()
    world.reflector.audit.begin()
    compare(world, 30, web=25, new=26)
    for event in (modified(web(25)), added(web(26, name="new")), deleted(web(4, name="db"), 27), bookmark(35)):
        world.reflector.take(event)
    assert world.reflector.current


def test_an_audit_behind_the_watch_leaves_out_what_it_reported() -> None:
    world = World().listed(20, web(3), web(4, name="db")).watching()
    world.reflector.audit.begin()
    for event in (modified(web(31)), deleted(web(4, name="db"), 32), added(web(33, name="new"))):
        world.reflector.take(event)
    compare(world, 30, web=3, db=4)
    world.reflector.take(bookmark(40))
    assert world.reflector.current


def test_an_audit_that_finds_all_as_it_is_does_nothing() -> None:
    world = World().listed(20, web(3)).watching()
    world.reflector.take(added(Retained(("default", "bad"), "21", "bad")))
    world.reflector.audit.begin()
    compare(world, 30, web=3, bad=21)
    world.reflector.take(bookmark(40))
    assert world.reflector.current


def test_a_list_makes_the_audit_before_it_void() -> None:
    world = World().listed(20, web(3)).watching()
    world.reflector.audit.begin()
    world.reflector.fail(Expired("410"))
    world.listed(40, web(3))
    compare(world, 30, web=29)
    world.watching().reflector.take(bookmark(50))
    assert world.reflector.current
