from collections.abc import Iterator

import pytest

from svcdns.dns.message import ENDED, Response
from svcdns.dns.name import Name, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.dns.zone import EMPTY, Node
from svcdns.kube.memo import Entry, Memo

ZONE = from_text("cluster.local.")
KEY = ("default", "web")
LEASES = 10


def names(count: int) -> Iterator[Name]:
    return (from_text(f"s{number}.default.svc.cluster.local.") for number in range(count))


def answer(name: Name) -> Response:
    return Response(answer=(RRset(name, Rtype.A, 5, [bytes(4)]),))


@pytest.mark.parametrize("node", [EMPTY, None])
def test_it_takes_no_more_room_than_there_is(node: Node | None) -> None:
    memo = Memo(100_000, LEASES)
    most = 0
    for name in names(1000):
        entry = Entry(node, ZONE)
        memo.keep(name, entry, KEY)
        memo.add(name, entry, Rtype.A, answer(name))
        most = max(most, len(memo))
        assert memo.get(name) is entry
    assert 30 < most < 200


def test_the_lease_of_an_entry_lasts_until_it_is_forgotten() -> None:
    memo = Memo(100_000, LEASES)
    kept = {key: Entry(EMPTY, ZONE) for key in (KEY, ("default", "db"), ("prod", "web"))}
    for name, (key, entry) in zip(names(3), kept.items(), strict=True):
        assert entry.lease.until == ENDED
        memo.keep(name, entry, key)
    memo.forget([KEY, ("nobody", "nothing")])
    assert [entry.lease.until > 0 for entry in kept.values()] == [False, True, True]
    memo.clear()
    assert [entry.lease.until > 0 for entry in kept.values()] == [False, False, False]
    assert len(memo) == 0


def test_what_is_forgotten_leaves_its_room_to_others() -> None:
    memo = Memo(100_000, LEASES)
    keys = [KEY, ("default", "db")]
    for number, name in enumerate(names(40)):
        entry = Entry(EMPTY, ZONE)
        memo.keep(name, entry, keys[number % 2])
        memo.add(name, entry, Rtype.A, answer(name))
    everything = len(memo)
    memo.forget([KEY])
    assert len(memo) == everything / 2
    memo.forget(keys)
    assert len(memo) == 0
    for name in names(everything):
        entry = Entry(EMPTY, ZONE)
        memo.keep(name, entry, KEY)
        memo.add(name, entry, Rtype.A, answer(name))
    assert len(memo) == everything


def test_a_name_may_depend_on_another_service_than_before() -> None:
    memo = Memo(100_000, LEASES)
    (name,) = names(1)
    for key in (KEY, ("default", "db"), KEY):
        memo.keep(name, Entry(EMPTY, ZONE), key)
        assert len(memo) == 1
    memo.forget([("default", "db")])
    assert memo.get(name) is not None
    memo.forget([KEY])
    assert memo.get(name) is None


def test_of_too_many_leases_the_first_takes_its_entries_with_it() -> None:
    memo = Memo(100_000, LEASES)
    for number, name in enumerate(names(LEASES + 1)):
        memo.keep(name, Entry(EMPTY, ZONE), ("default", str(number)))
    assert len(memo) == LEASES


def test_the_lease_of_an_entry_lasts_when_there_is_no_room_for_it() -> None:
    memo = Memo(10_000, LEASES)
    entries = []
    for name in names(100):
        entry = Entry(EMPTY, ZONE)
        memo.keep(name, entry, KEY)
        entries.append(entry)
    assert len(memo) < 10
    assert all(entry.lease.until > 0 for entry in entries)
    memo.forget([KEY])
    assert all(entry.lease.until == ENDED for entry in entries)
    assert all(memo.get(name) is None for name in names(100))


def test_of_too_many_leases_the_first_ends() -> None:
    memo = Memo(100_000, LEASES)
    entries: list[Entry] = []
    for number, name in enumerate(names(LEASES + 1)):
        assert all(entry.lease.until > 0 for entry in entries)
        entries.append(Entry(EMPTY, ZONE))
        memo.keep(name, entries[-1], ("default", str(number)))
    assert [entry.lease.until > 0 for entry in entries] == [False] + [True] * LEASES


def test_an_answer_is_kept_only_with_an_entry_that_is() -> None:
    memo = Memo(100_000, LEASES)
    (name,) = names(1)
    entry = Entry(EMPTY, ZONE)
    memo.add(name, entry, Rtype.A, answer(name))
    assert memo.get(name) is None
    memo.keep(name, entry, KEY)
    memo.forget([KEY])
    memo.add(name, entry, Rtype.A, answer(name))
    assert memo.get(name) is None
    assert entry.answers == {}
