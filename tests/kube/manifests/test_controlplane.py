from ipaddress import IPv4Network, IPv6Network, ip_address
from random import Random
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.errors import ConfigError
from svcdns.kube.objects import NO_PORTS, SERVICE_NAME_LABEL, Kind, Namespace, Pod, Port, Service
from svcdns.kube.selector import parse_selector
from tests.kube.manifests.folder import cluster_ips, complain, endpoints, make, pods_of, service

HEADLESS = "kind: Service\nmetadata: {name: %s}\nspec: {clusterIP: None, selector: {app: web}}\n---\n"
ADDRESS = bytes((10, 96, 0, 10))
SMALL = (IPv4Network("10.0.0.0/27"), IPv6Network("fd00::/123"))


def web(spec: str, name: str = "web") -> str:
    return f"kind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "clusterIP: 10.96.0.10, ports: [{name: DNS, port: 53, protocol: UDP}]",
            Service(
                ("default", "web"), "", (ADDRESS,), headless=False, external_name="", ports=(Port("dns", "udp", 53),)
            ),
        ),
        (
            "type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]",
            Service(("default", "web"), "", (ADDRESS,), headless=False, external_name="", ports=(Port("", "tcp", 80),)),
        ),
        ("clusterIP: None", Service(("default", "web"), "", (), headless=True, external_name="", ports=NO_PORTS)),
        ("clusterIPs: [None]", Service(("default", "web"), "", (), headless=True, external_name="", ports=NO_PORTS)),
        (
            "type: ExternalName, externalName: Example.com",
            Service(("default", "web"), "", (), headless=False, external_name="Example.com", ports=NO_PORTS),
        ),
    ],
)
def test_a_service_becomes_what_the_api_server_would_list(spec: str, expected: Service) -> None:
    assert service(make(web(spec)), "web") == expected


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        ("type: ClusterIP", ["10.111.210.249"]),
        ("type: LoadBalancer, clusterIP: ''", ["10.111.210.249"]),
        ("ipFamilies: [IPv6]", ["fd00:10:96::8faa"]),
        ("ipFamilies: [IPv6, IPv4]", ["fd00:10:96::8faa", "10.111.210.249"]),
        ("ipFamilyPolicy: SingleStack", ["10.111.210.249"]),
        ("ipFamilyPolicy: PreferDualStack", ["10.111.210.249", "fd00:10:96::8faa"]),
        ("ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]", ["fd00:10:96::8faa", "10.111.210.249"]),
        ("clusterIP: 192.0.2.1", ["192.0.2.1"]),
        ("clusterIP: 'fd00::1'", ["fd00::1"]),
        ("clusterIP: 'fd00::1', ipFamilies: [IPv4]", ["10.111.210.249", "fd00::1"]),
        ("clusterIP: 192.0.2.1, ipFamilyPolicy: PreferDualStack", ["192.0.2.1", "fd00:10:96::8faa"]),
        ("clusterIP: 192.0.2.1, clusterIPs: [192.0.2.1, 'fd00::1']", ["192.0.2.1", "fd00::1"]),
    ],
)
def test_a_service_has_an_address_in_each_of_its_families(spec: str, addresses: list[str]) -> None:
    assert cluster_ips(make(web(spec)), "web") == addresses


def test_a_pod_has_an_address_of_each_family() -> None:
    made = make("kind: Pod\nmetadata: {name: web, namespace: shop}")
    assert made[Kind.POD] == {
        ("shop", "web"): Pod(
            ("shop", "web"),
            "",
            (ip_address("10.244.105.173").packed, ip_address("fd00:10:244:0:a9f:cae3:5da6:5280").packed),
        )
    }


def test_a_written_address_is_given_to_nobody_else() -> None:
    taken = make(web(""))
    (address,) = cluster_ips(taken, "web")
    for other in (
        web(f"clusterIP: {address}", "api"),
        f"kind: Pod\nmetadata: {{name: a}}\nstatus: {{podIP: {address}}}",
        f"kind: EndpointSlice\nmetadata: {{name: a}}\nendpoints: [{{addresses: [{address}]}}]",
        f"kind: Endpoints\nmetadata: {{name: a}}\nsubsets: [{{addresses: [{{ip: {address}}}]}}]",
    ):
        assert cluster_ips(make(other, web("")), "web") != [address]


def test_a_written_address_is_known_in_any_spelling() -> None:
    text = web("ipFamilies: [IPv6]")
    (address,) = cluster_ips(make(text), "web")
    spelled = ip_address(address).exploded.upper()
    assert cluster_ips(make(text, web(f"clusterIP: '{spelled}'", "api")), "web") != [address]


def test_a_range_may_be_set() -> None:
    made = make(
        web("ipFamilyPolicy: RequireDualStack, selector: {app: web}"),
        "kind: Pod\nmetadata: {name: a, labels: {app: web}}",
        service_cidr=SMALL,
        pod_cidr=(IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/64")),
    )
    assert all(ip_address(address) in SMALL[":" in address] for address in cluster_ips(made, "web"))
    assert [address[:5] for address, *_ in endpoints(made, "web")] == ["192.0", "2001:"]


def test_a_range_that_is_too_small_is_told_with_the_object_that_found_no_address() -> None:
    text = web("", "a") + web("", "b")
    with pytest.raises(ConfigError) as fault:
        make(text, service_cidr=(IPv4Network("10.0.0.0/30"), SMALL[1]))
    assert str(fault.value) == (
        "0.yaml:6: Service default/b: no service_cidr address: expected a larger range than 10.0.0.0/30, which has "
        "no more than 1 to give"
    )
    pods = "kind: Deployment\nmetadata: {name: web}\nspec: {template: {}, replicas: 2}"
    with pytest.raises(ConfigError, match="Deployment default/web: no pod_cidr address") as fault:
        make(pods, pod_cidr=(IPv4Network("10.0.0.0/30"), SMALL[1]))
    assert fault.value.line == 1


names = st.sets(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=25)


@given(names, st.randoms(use_true_random=False))
def test_addresses_do_not_depend_on_the_order_of_files(found: set[str], random: Random) -> None:
    texts = [web("ipFamilyPolicy: RequireDualStack", name) for name in sorted(found)]
    first = make(*texts, service_cidr=SMALL)
    random.shuffle(texts)
    second = make(*texts, service_cidr=SMALL)
    addresses = [address for name in sorted(found) for address in cluster_ips(first, name)]
    assert addresses == [address for name in sorted(found) for address in cluster_ips(second, name)]
    assert len(set(addresses)) == 2 * len(found)
    assert all(ip_address(address) in SMALL[":" in address] for address in addresses)


def test_addresses_of_pods_do_not_depend_on_the_order_of_files_either() -> None:
    texts = [f"kind: Pod\nmetadata: {{name: {name}}}" for name in ascii_lowercase]
    small = (IPv4Network("10.0.0.0/27"), IPv6Network("fd00::/64"))
    made = make(*texts, pod_cidr=small)[Kind.POD]
    assert made == make(*reversed(texts), pod_cidr=small)[Kind.POD]


def test_on_loopback_what_has_no_address_has_that_of_the_machine() -> None:
    text = HEADLESS % "web" + (
        "kind: Pod\nmetadata: {name: a, labels: {app: web}}\n---\n"
        "kind: Pod\nmetadata: {name: b, labels: {app: web}}\nstatus: {podIP: 10.0.0.1}\n---\n"
    )
    made = make(text, web("ipFamilyPolicy: PreferDualStack", "dual"), web("clusterIP: 10.0.0.2", "own"), loopback=True)
    assert cluster_ips(made, "dual") == ["127.0.0.1", "::1"]
    assert cluster_ips(made, "own") == ["10.0.0.2"]
    assert [(address, pod) for address, _, pod, _ in endpoints(made, "web")] == [("127.0.0.1", "a"), ("10.0.0.1", "b")]


def test_namespaces_exist_by_what_is_in_them_or_because_they_are_written() -> None:
    text = """
kind: Namespace
metadata: {name: empty}
---
kind: Service
metadata: {name: web}
spec: {}
---
kind: Deployment
metadata: {name: web, namespace: work}
spec: {template: {}}
---
kind: ConfigMap
metadata: {name: web, namespace: other}
"""
    assert make(text)[Kind.NAMESPACE] == {
        ("", name): Namespace(("", name), "") for name in ("empty", "default", "work")
    }


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", ["shop", "default"]),
        ("team=a", ["shop"]),
        ("kubernetes.io/metadata.name=default", ["default"]),
        ("kubernetes.io/metadata.name in (shop, default), !team", ["default"]),
    ],
)
def test_namespaces_are_selected_by_their_labels(selector: str, expected: list[str]) -> None:
    shop = "kind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"
    text = shop + web("") + "kind: Pod\nmetadata: {name: a, namespace: shop}"
    made = make(text, namespace_labels=parse_selector(selector))
    assert [name for _, name in made[Kind.NAMESPACE]] == expected


def test_services_slices_and_pods_are_selected_by_their_labels_but_pods_serve_without() -> None:
    text = """
kind: Service
metadata: {name: web, labels: {team: a}}
spec: {selector: {app: web}}
---
kind: Service
metadata: {name: api}
spec: {selector: {app: web}}
---
kind: Pod
metadata: {name: one, labels: {app: web, team: a}}
---
kind: Pod
metadata: {name: two, labels: {app: web}}
"""
    made = make(text, labels=parse_selector("team=a"))
    assert list(made[Kind.SERVICE]) == [("default", "web")]
    assert list(made[Kind.POD]) == [("default", "one")]
    assert pods_of(made, "web") == ["one", "two"]
    assert pods_of(made, "api") == []
    assert list(made[Kind.NAMESPACE]) == [("", "default")]


def test_pods_that_end_have_ended_or_are_lost_are_not_listed() -> None:
    text = """
kind: Pod
metadata: {name: gone}
status: {phase: Failed}
---
kind: Pod
metadata: {name: going, deletionTimestamp: 2024-01-01T00:00:00Z}
---
kind: Pod
metadata: {name: lost}
status: {phase: Unknown}
---
kind: Pod
metadata: {name: unready}
status: {phase: Pending}
"""
    assert list(make(text)[Kind.POD]) == [("default", "unready")]


def test_what_is_written_twice_stands_as_it_was_written_last_and_is_told_where_it_differs() -> None:
    first, second = web("clusterIP: 10.0.0.1"), "# More.\n" + web("clusterIP: 10.0.0.2")
    assert cluster_ips(make(first, second), "web") == ["10.0.0.2"]
    assert complain(first, second) == (
        "0.yaml:1: Service default/web gives way to Service default/web at 1.yaml:2, which is written after it",
    )
    assert complain(first, first) == ()


def test_a_cluster_ip_that_two_services_write_is_told_and_both_keep_it() -> None:
    text = web("clusterIPs: [10.0.0.1, 'fd00::1']", "api") + web("clusterIP: 10.0.0.2", "other")
    second = "# More.\n" + web("clusterIP: 'FD00:0::1'") + web("clusterIP: 10.0.0.1", "more")
    first = "Service default/api at 0.yaml:1, which an API server would refuse"
    assert complain(text, second) == (
        f"1.yaml:2: Service default/web has the cluster IP FD00:0::1 of {first}",
        f"1.yaml:7: Service default/more has the cluster IP 10.0.0.1 of {first}",
    )
    made = make(text, second)
    assert [cluster_ips(made, name) for name in ("api", "more")] == [["10.0.0.1", "fd00::1"], ["10.0.0.1"]]


@pytest.mark.parametrize(
    "texts",
    [
        (web("clusterIP: 10.0.0.1"), web("clusterIP: 10.0.0.1")),
        (web("clusterIP: None"), web("clusterIP: None", "api")),
        (web("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]"), web("", "api")),
        (web("clusterIP: 10.0.0.1"), web("type: ExternalName, externalName: a.example, clusterIP: 10.0.0.1", "api")),
    ],
)
def test_nothing_is_told_of_cluster_ips_that_one_service_has(texts: tuple[str, ...]) -> None:
    assert complain(*texts) == ()


def test_a_headless_service_whose_selector_picks_no_pod_is_told() -> None:
    headless = web("clusterIP: None, selector: {app: wbe, tier: front}")
    reason = "has no address: found no Pod with app=wbe, tier=front in its namespace"
    assert complain(headless) == (f"0.yaml:1: Service default/web {reason}",)
    pod = "kind: Pod\nmetadata: {name: a, labels: {app: wbe, tier: front}}\n---\n"
    assert complain(headless + pod) == ()
    labels = f"metadata: {{name: web-1, labels: {{{SERVICE_NAME_LABEL}: web}}}}"
    assert complain(headless + f"kind: EndpointSlice\n{labels}\n") == ()
    endpoints = "kind: Endpoints\nmetadata: {name: web}\nsubsets: [{addresses: [{ip: 10.0.0.1}]}]\n"
    assert complain(headless + endpoints) == (f"0.yaml:1: Service default/web {reason}",)  # a selector says who counts
    assert complain(web("selector: {app: wbe}") + web("clusterIP: None", "api")) == ()


def test_endpoints_and_slices_that_no_service_stands_for_are_told() -> None:
    text = f"""
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{{SERVICE_NAME_LABEL}: web}}}}
---
kind: EndpointSlice
metadata: {{name: alone}}
---
kind: Endpoints
metadata: {{name: db}}
---
"""
    assert complain(text, web("")) == (
        "0.yaml:2: EndpointSlice shop/web-1 is not answered by name: found no Service shop/web",
        f"0.yaml:6: EndpointSlice default/alone is not answered by name: found no label {SERVICE_NAME_LABEL}",
        "0.yaml:10: Endpoints default/db is not answered by name: found no Service default/db",
    )
    there = web("", "db") + web("").replace("name: web", "name: web, namespace: shop")
    assert complain(text.replace("name: alone", f"name: alone, labels: {{{SERVICE_NAME_LABEL}: db}}"), there) == ()
