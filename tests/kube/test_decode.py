import gc
import json
from typing import Any

import msgspec
import pytest

from svcdns.kube.decode import Event, event_from_json, page_from_json, stamps_from_json, status_from_json
from svcdns.kube.objects import EndpointSlice, Kind, Pod, Port, Service
from svcdns.kube.structs import Retained
from tests.kube.api.fake_api import endpoint_slice, event, failure, namespace, pod, service

PORTS = (Port("http", "tcp", 80),)
WEB = service("web") | {"kind": "Service"}
WEB["metadata"]["resourceVersion"] = "7"


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def decode(kind: Kind, change: str, value: Any) -> Event:
    return event_from_json(kind, event(change, encode(value)))


def page(*items: Any, kind: str = "ServiceList", more: str = "") -> bytes:
    return encode({"kind": kind, "metadata": {"resourceVersion": "9", "continue": more}, "items": list(items)})


def test_a_change_has_the_object_and_its_version() -> None:
    found = Service(("default", "web"), "7", (bytes((10, 96, 0, 10)),), headless=False, external_name="", ports=PORTS)
    assert decode(Kind.SERVICE, "ADDED", WEB) == Event("ADDED", found, "7")


def test_objects_are_nothing_for_the_collector_to_look_at() -> None:
    written = {
        Kind.SERVICE: service("web"),
        Kind.ENDPOINT_SLICE: endpoint_slice("web-1", "web", "10.244.0.5"),
        Kind.NAMESPACE: namespace("default"),
        Kind.POD: pod("a", "10.244.0.5"),
    }
    for kind in Kind:
        fitting, faulty = decode(kind, "ADDED", written[kind]).object, decode(kind, "ADDED", {"metadata": 1}).object
        assert not gc.is_tracked(fitting)
        assert not gc.is_tracked(faulty)


def test_equal_ports_are_kept_once() -> None:
    first, second = (decode(Kind.SERVICE, "ADDED", service(name)).object for name in ("a", "b"))
    assert isinstance(first, Service)
    assert isinstance(second, Service)
    assert first.ports is second.ports


def test_a_namespace_is_kept_once() -> None:
    first, second = (decode(Kind.SERVICE, "ADDED", service(name)).object for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert first.key[0] is second.key[0]


def test_an_object_of_another_kind_is_named_and_has_no_version() -> None:
    event = decode(Kind.SERVICE, "ADDED", WEB | {"kind": "Gadget"})
    assert event.object == Retained(("", ""), "", "expected a Service, found a Gadget")
    assert event.version == ""


def test_an_object_that_does_not_fit_is_named_and_keeps_its_version() -> None:
    event = decode(Kind.SERVICE, "MODIFIED", WEB | {"spec": {"ports": 3}})
    assert isinstance(event.object, Retained)
    assert (event.object.key, event.version) == (("default", "web"), "7")
    assert event.object.fault.startswith("services default/web at version 7: ")


def test_a_pod_on_its_way_out_changes_nothing() -> None:
    going = pod("a", "10.244.0.5", resourceVersion="8", deletionTimestamp="2026-01-01T00:00:00Z")
    assert decode(Kind.POD, "MODIFIED", going).object == Retained(("default", "a"), "8")
    assert isinstance(decode(Kind.POD, "MODIFIED", pod("a", "10.244.0.5")).object, Pod)


@pytest.mark.parametrize(("annotations", "complete"), [({}, False), ({"k8s.io/initial-events-end": "true"}, True)])
def test_a_bookmark_tells_how_far_the_watch_came(annotations: dict[str, str], *, complete: bool) -> None:
    meta = {"resourceVersion": "12", "annotations": annotations}
    expected = Event("BOOKMARK", None, "12", complete)
    for kind in Kind:
        assert decode(kind, "BOOKMARK", {"metadata": meta}) == expected


@pytest.mark.parametrize("kind", Kind)
def test_an_error_has_its_status_as_an_event_and_bare(kind: Kind) -> None:
    body = encode(failure(410, "too old"))
    for line in (event("ERROR", body), body):
        found = event_from_json(kind, line)
        assert found.status is not None
        assert (found.type, found.status.code, found.status.message) == ("ERROR", 410, "too old")


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b'{"type":"ADDED"}', b'{"kind":"Pod","metadata":{}}', b"\xff"])
def test_what_is_no_event_is_an_error(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        event_from_json(Kind.SERVICE, line)


def test_one_object_that_does_not_fit_does_not_lose_its_page() -> None:
    found = page_from_json(Kind.SERVICE, page(WEB, {"metadata": {"name": "bad"}}, WEB, 3, more="t"))
    assert (found.version, found.more) == ("9", "t")
    kinds = [type(each) for each in found.objects]
    assert kinds == [Service, Retained, Service, Retained]


@pytest.mark.parametrize("text", [b'{"items":', b"[]", b"{}", page(kind="PodList"), encode(failure(500, "no"))])
def test_what_is_no_list_of_the_kind_is_an_error(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        page_from_json(Kind.SERVICE, text)


def test_a_list_of_metadata_gives_versions() -> None:
    found = stamps_from_json(page({"metadata": WEB["metadata"]}, {"metadata": {"name": "n", "resourceVersion": "1"}}))
    assert found.versions == {("default", "web"): "7", ("", "n"): "1"}
    assert (found.version, found.more) == ("9", "")


def test_slices_keep_what_is_ready_and_when_it_changed() -> None:
    stamp = {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}
    found = decode(Kind.ENDPOINT_SLICE, "ADDED", endpoint_slice("web-1", "web", "10.244.0.5", "::1", **stamp)).object
    assert isinstance(found, EndpointSlice)
    assert [each.address for each in found.endpoints()] == [bytes((10, 244, 0, 5)), bytes(15) + b"\1"]
    assert found.changed == 1767225600.0


@pytest.mark.parametrize("body", [b"too old", b"", b"\xff\xfe", b"<html>"])
def test_a_failure_that_is_no_status_keeps_its_text(body: bytes) -> None:
    assert status_from_json(body).message == body.decode(errors="replace")
