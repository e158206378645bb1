"""Which endpoints a Service has, from the Pods, slices and legacy Endpoints beside it."""

import pytest

from svcdns.kube.objects import SERVICE_NAME_LABEL, Kind, Port
from svcdns.kube.selector import parse_selector
from tests.kube.manifests.folder import endpoints, make, pods_of, slices

WEB = """
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
"""


def pod(name: str, address: str, labels: str = "app: web", spec: str = "", namespace: str = "default") -> str:
    """Write a Pod that listens at port 8080 as http."""
    return f"""
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}
spec:
  containers: [{{ports: [{{name: http, containerPort: 8080}}]}}]
  {spec}
status: {{podIP: "{address}"}}
---
"""


def test_a_selector_picks_the_pods_of_its_namespace_that_have_all_its_labels() -> None:
    text = (
        "kind: Service\nmetadata: {name: web}\nspec: {clusterIP: None, selector: {app: web, tier: front}}\n---\n"
        + pod("both", "10.0.0.1", "app: web, tier: front, more: x")
        + pod("one", "10.0.0.2", "app: web")
        + pod("other", "10.0.0.3", "app: api, tier: front")
        + pod("elsewhere", "10.0.0.4", "app: web, tier: front", namespace="shop")
    )
    assert pods_of(make(text), "web") == ["both"]


@pytest.mark.parametrize("selector", ["", "selector: {}", "selector: null"])
def test_a_service_without_selector_picks_no_pod(selector: str) -> None:
    text = f"kind: Service\nmetadata: {{name: web}}\nspec: {{clusterIP: None, {selector}}}\n---\n"
    assert endpoints(make(text + pod("web", "10.0.0.1")), "web") == []


def test_a_pod_has_its_hostname_only_in_the_service_that_it_names_as_subdomain() -> None:
    text = "".join(
        f"kind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: None, selector: {{app: web}}}}\n---\n"
        for name in ("nodes", "web")
    ) + pod("a", "10.0.0.1", spec="hostname: first\n  subdomain: nodes")
    assert endpoints(make(text), "nodes") == [("10.0.0.1", "first", "a", (-1,))]
    assert endpoints(make(text), "web") == [("10.0.0.1", "", "a", (-1,))]


def test_a_named_target_port_is_that_of_each_pod() -> None:
    text = WEB + pod("a", "10.0.0.1") + pod("b", "10.0.0.2").replace("8080", "9090") + pod("c", "10.0.0.3")
    assert endpoints(make(text), "web") == [
        ("10.0.0.1", "", "a", (8080,)),
        ("10.0.0.3", "", "c", (8080,)),
        ("10.0.0.2", "", "b", (9090,)),
    ]


@pytest.mark.parametrize(
    ("port", "ports"),
    [
        ("{port: 80}", [Port("", "tcp", 80)]),
        ("{name: web, port: 80, targetPort: 8080}", [Port("web", "tcp", 8080)]),
        ("{name: dns, port: 53, protocol: UDP, targetPort: dns}", [Port("dns", "udp", 5353)]),
        ("{name: dns, port: 53, targetPort: dns}", [Port("dns", "tcp", 5354)]),
        ("{name: mesh, port: 1, targetPort: mesh}", [Port("mesh", "tcp", 15000)]),
        ("{name: once, port: 1, targetPort: once}", [Port("", "", -1)]),
        ("{name: none, port: 1, targetPort: none}", [Port("", "", -1)]),
        ("{name: a, port: 1}, {name: none, port: 2, targetPort: none}", [Port("a", "tcp", 1)]),
    ],
)
def test_a_port_is_resolved_among_the_container_ports_of_its_protocol(port: str, ports: list[Port]) -> None:
    text = f"""
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{port}]}}
---
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  initContainers:
  - ports: [{{name: once, containerPort: 1000}}]
  - ports: [{{name: mesh, containerPort: 15000}}]
    restartPolicy: Always
  containers:
  - {{}}
  - ports:
    - {{name: dns, containerPort: 5353, protocol: UDP}}
    - {{name: dns, containerPort: 5354}}
"""
    (found,) = slices(make(text), "web")
    assert list(found.ports) == ports


def test_only_ready_pods_are_endpoints_unless_the_service_publishes_the_others() -> None:
    text = (
        WEB
        + pod("a", "10.0.0.1")
        + pod("b", "10.0.0.2").replace("status: {", "status: {phase: Pending, ")
        + pod("c", "10.0.0.3").replace("name: c,", "name: c, deletionTimestamp: 2024-01-01T00:00:00Z,")
        + pod("d", "10.0.0.4").replace("status: {", "status: {phase: Succeeded, ")
    )
    assert pods_of(make(text), "web") == ["a"]
    published = text.replace("selector:", "publishNotReadyAddresses: true\n  selector:", 1)
    assert pods_of(make(published), "web") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("families", "addresses"),
    [
        ("", ["10.0.0.1"]),
        ("ipFamilies: [IPv6]", ["fd00::1"]),
        ("ipFamilyPolicy: PreferDualStack", ["10.0.0.1", "fd00::1"]),
        ("ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv6]", ["fd00::1", "10.0.0.1"]),
        ("clusterIP: fd00:10:96::5", ["fd00::1"]),
    ],
)
def test_there_is_a_slice_for_each_family_of_the_service(families: str, addresses: list[str]) -> None:
    text = WEB.replace("selector", f"{families}\n  selector") + pod("a", "10.0.0.1").replace(
        'podIP: "10.0.0.1"', "podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]"
    )
    assert [address for address, _, _, _ in endpoints(make(text), "web")] == addresses


def test_slices_of_a_service_without_selector_are_taken_as_they_are() -> None:
    text = f"""
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, ports: [{{name: sql, port: 5432}}]}}
---
kind: EndpointSlice
metadata: {{name: db-1, labels: {{{SERVICE_NAME_LABEL}: db}}}}
addressType: IPv4
ports: [{{name: sql, port: 5433}}]
endpoints:
- {{addresses: [192.0.2.1], hostname: primary, targetRef: {{name: db-0}}}}
- {{addresses: [192.0.2.2], conditions: {{ready: false}}}}
- {{addresses: [192.0.2.3], conditions: {{ready: true}}}}
---
kind: Endpoints
metadata: {{name: db}}
subsets: [{{addresses: [{{ip: 192.0.2.9}}]}}]
"""
    assert endpoints(make(text), "db") == [
        ("192.0.2.1", "primary", "db-0", (5433,)),
        ("192.0.2.3", "", "", (5433,)),
    ]


LEGACY = """
kind: Service
metadata: {name: db}
spec: {clusterIP: None}
---
kind: Endpoints
metadata: {name: db, labels: {team: data}}
subsets:
- addresses: [{ip: 192.0.2.1, hostname: primary, targetRef: {name: db-0}}, {ip: 'fd00::1'}]
  notReadyAddresses: [{ip: 192.0.2.2}]
  ports: [{name: sql, port: 5432}]
- addresses: [{ip: 192.0.2.3}]
"""


def test_legacy_endpoints_are_mirrored_where_there_are_no_slices() -> None:
    assert endpoints(make(LEGACY), "db") == [
        ("192.0.2.1", "primary", "db-0", (5432,)),
        ("fd00::1", "", "", (5432,)),
        ("192.0.2.3", "", "", (-1,)),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("clusterIP: None", "clusterIP: None, selector: {app: db}"),
        ("clusterIP: None", "type: ExternalName, externalName: db.example.com"),
        ("kind: Service", "kind: Pod"),
        ("team: data", "endpointslice.kubernetes.io/skip-mirror: 'true'"),
    ],
)
def test_legacy_endpoints_are_mirrored_for_nothing_else(before: str, after: str) -> None:
    assert endpoints(make(LEGACY.replace(before, after)), "db") == []


SLICE = f"""
kind: EndpointSlice
metadata:
  name: web-abcde
  labels: {{{SERVICE_NAME_LABEL}: web, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}
addressType: IPv4
endpoints: [{{addresses: [10.9.9.9]}}]
---
"""


def test_slices_that_a_control_plane_made_give_way_to_those_made_here() -> None:
    assert [address for address, *_ in endpoints(make(WEB + SLICE + pod("a", "10.0.0.1")), "web")] == ["10.0.0.1"]


def test_slices_that_a_control_plane_made_count_where_no_pod_is_selected() -> None:
    assert [address for address, *_ in endpoints(make(WEB + SLICE), "web")] == ["10.9.9.9"]


def test_slices_written_by_hand_count_beside_those_made_from_pods() -> None:
    by_hand = SLICE.replace("endpointslice-controller.k8s.io", "me")
    found = endpoints(make(WEB + by_hand + pod("a", "10.0.0.1")), "web")
    assert [address for address, *_ in found] == ["10.0.0.1", "10.9.9.9"]


def test_an_external_name_has_no_endpoints() -> None:
    text = WEB.replace("spec:", "spec:\n  type: ExternalName\n  externalName: example.com") + pod("a", "10.0.0.1")
    assert endpoints(make(text), "web") == []


def test_slices_made_for_a_service_have_its_labels() -> None:
    text = (WEB + pod("a", "10.0.0.1")).replace("metadata: {name: web}", "metadata: {name: web, labels: {team: shop}}")
    made = make(text, labels=parse_selector("team=shop,endpointslice.kubernetes.io/managed-by"))
    assert [kind for kind, objects in made.items() if objects] == [Kind.ENDPOINT_SLICE, Kind.NAMESPACE]
    assert len(slices(make(LEGACY, labels=parse_selector("team=data")), "db")) == 3
