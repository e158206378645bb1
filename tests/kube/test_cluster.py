"""A cluster that learns what another one tells of is the same one."""

import pickle
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from svcdns.kube.cluster import Change, Cluster, new_store
from svcdns.kube.decode import from_plain
from svcdns.kube.objects import EndpointSlice, Kind, Namespace, Object, Pod, Service
from tests.kube.sample import SERIAL, make_cluster

ADDRESSES = ["10.96.0.10", "10.96.0.11", "10.244.0.5"]

names = st.sampled_from(["web", "api", "db"])
addresses = st.sampled_from(ADDRESSES)


def _make(kind: Kind, name: str, address: str, version: str) -> Object:
    metadata = {"namespace": "default", "name": name, "resourceVersion": version}
    match kind:
        case Kind.SERVICE:
            return from_plain(kind, {"metadata": metadata, "spec": {"clusterIPs": [address]}})
        case Kind.ENDPOINT_SLICE:
            labels = {"kubernetes.io/service-name": name}
            endpoints = [{"addresses": [address]}]
            body = {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 80}]}
            return from_plain(kind, {"metadata": metadata | {"labels": labels}, **body})
        case Kind.NAMESPACE:
            return from_plain(kind, {"metadata": {"name": name, "resourceVersion": version}})
        case Kind.POD:
            return from_plain(kind, {"metadata": metadata, "status": {"podIP": address}})


objects = st.builds(_make, st.sampled_from(Kind), names, addresses, st.sampled_from(["1", "2"]))


def _put(found: Object) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.put(_kind(found), found)


def _remove(found: Object) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.remove(_kind(found), found.key)


def _kind(found: Object) -> Kind:
    kinds = {Service: Kind.SERVICE, EndpointSlice: Kind.ENDPOINT_SLICE, Namespace: Kind.NAMESPACE, Pod: Kind.POD}
    return kinds[type(found)]


def _contents(cluster: Cluster) -> list[object]:
    """Return all that answers are made from, but for versions, which only a watch needs."""
    found: list[object] = [cluster.serial]
    for kind in Kind:
        store = cluster.store(kind)
        found.append([each.with_version("") for each in store.values()])
        found += [[each.key for each in store.at(bytes(map(int, address.split("."))))] for address in ADDRESSES]
    return found


@given(st.lists(st.one_of(objects.map(_put), objects.map(_remove)), max_size=30))
def test_what_is_told_makes_another_cluster_the_same(steps: list[Callable[[Cluster], None]]) -> None:
    told: list[Change] = []
    teller, learner = make_cluster(), make_cluster()
    teller.tell = told.append  # type: ignore[assignment]  # changes of one object tell nothing else
    for step in steps:
        step(teller)
    before = learner.revision
    for change in pickle.loads(pickle.dumps(told)):  # noqa: S301 - what was just written
        learner.learn(change)
    assert _contents(learner) == _contents(teller)
    assert learner.revision - before == teller.revision - before


def test_more_than_one_object_is_told_of_by_nothing() -> None:
    told: list[Change | None] = []
    cluster = Cluster(list(Kind), lambda: SERIAL)
    cluster.tell = told.append
    cluster.swap(Kind.SERVICE, new_store(Kind.SERVICE))
    cluster.swap(Kind.SERVICE, new_store(Kind.SERVICE), frozenset({("default", "web")}))
    cluster.swap(Kind.SERVICE, new_store(Kind.SERVICE), frozenset())  # nothing differs
    cluster.deny(Kind.POD)
    cluster.allow(Kind.POD)
    assert told == [None] * 4
