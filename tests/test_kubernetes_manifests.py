"""What a cluster is asked for: CoreDNS's names, so that svcdns swaps in, and no right that it does not need."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from svcdns import __version__

ROOT = Path(__file__).parent.parent
OBJECTS: dict[str, dict[str, Any]] = {
    document["kind"]: document
    for path in sorted((ROOT / "configs" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
SELECTED = {"k8s-app": "kube-dns"}


@pytest.fixture
def pod() -> dict[str, Any]:
    template: dict[str, Any] = OBJECTS["Deployment"]["spec"]["template"]
    return template


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def test_every_object_has_coredns_name_and_place() -> None:
    names = {kind: (each["metadata"].get("namespace"), each["metadata"]["name"]) for kind, each in OBJECTS.items()}
    assert names == {
        "ServiceAccount": ("kube-system", "coredns"),
        "ClusterRole": (None, "system:coredns"),
        "ClusterRoleBinding": (None, "system:coredns"),
        "ConfigMap": ("kube-system", "coredns"),
        "Deployment": ("kube-system", "coredns"),
        "Service": ("kube-system", "kube-dns"),
        "PodDisruptionBudget": ("kube-system", "coredns"),
    }


def test_the_role_lists_and_watches_what_names_are_made_of_and_nothing_else() -> None:
    assert OBJECTS["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]


def test_the_role_is_bound_to_the_account_that_the_pods_run_as(pod: dict[str, Any]) -> None:
    binding = OBJECTS["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == OBJECTS["ClusterRole"]["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}]
    assert pod["spec"]["serviceAccountName"] == OBJECTS["ServiceAccount"]["metadata"]["name"]


def test_whatever_selects_pods_finds_these(pod: dict[str, Any]) -> None:
    assert pod["metadata"]["labels"] == SELECTED
    assert OBJECTS["Deployment"]["spec"]["selector"] == {"matchLabels": SELECTED}
    assert OBJECTS["Service"]["spec"]["selector"] == SELECTED
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"] == {"matchLabels": SELECTED}


def test_the_image_is_this_version_and_takes_coredns_arguments(container: dict[str, Any]) -> None:
    assert container["image"] == f"svcdns:{__version__}"
    assert container["args"] == ["-conf", "/etc/coredns/Corefile"]
    assert "command" not in container


def test_the_corefile_is_mounted_where_the_arguments_look(pod: dict[str, Any], container: dict[str, Any]) -> None:
    (mount,) = container["volumeMounts"]
    (volume,) = pod["spec"]["volumes"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/coredns", True)
    assert volume["name"] == mount["name"]
    assert volume["configMap"] == {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}
    assert list(OBJECTS["ConfigMap"]["data"]) == ["Corefile"]


def test_the_ports_are_those_of_the_corefile(container: dict[str, Any]) -> None:
    ports = {each["name"]: (each["containerPort"], each["protocol"]) for each in container["ports"]}
    assert ports == {
        "dns": (53, "UDP"),
        "dns-tcp": (53, "TCP"),
        "metrics": (9153, "TCP"),
        "liveness-probe": (8080, "TCP"),
        "readiness-probe": (8181, "TCP"),
    }
    service = {each["name"]: (each["port"], each["protocol"]) for each in OBJECTS["Service"]["spec"]["ports"]}
    assert service == {name: ports[name] for name in ("dns", "dns-tcp", "metrics")}


def test_the_probes_ask_the_side_ports(container: dict[str, Any]) -> None:
    asked = {name: container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
    assert asked == {
        "livenessProbe": {"path": "/health", "port": "liveness-probe"},
        "readinessProbe": {"path": "/ready", "port": "readiness-probe"},
    }


def test_a_pod_may_bind_low_ports_and_nothing_else(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
    }


def test_a_pod_is_held_to_the_memory_of_the_stock_manifests(container: dict[str, Any]) -> None:
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "70Mi"},
        "limits": {"memory": "170Mi"},
    }


def test_pods_ask_the_resolver_of_their_node_and_not_themselves(pod: dict[str, Any]) -> None:
    assert pod["spec"]["dnsPolicy"] == "Default"


def test_there_is_time_to_drain(pod: dict[str, Any]) -> None:
    lameduck, in_flight = 5, 5
    assert pod["spec"]["terminationGracePeriodSeconds"] > lameduck + in_flight


def test_one_pod_at_a_time_is_replaced() -> None:
    assert OBJECTS["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 1
    assert OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert OBJECTS["Deployment"]["spec"]["replicas"] > 1


def test_the_image_runs_as_the_user_of_the_manifest_and_starts_without_a_subcommand() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "USER 65532:65532" in lines
    assert 'ENTRYPOINT ["/svcdns/bin/svcdns"]' in lines
    assert len([line for line in lines if line.startswith("FROM ")]) == 2


def test_the_image_is_built_from_what_the_build_is_given() -> None:
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == given
    assert all((ROOT / name).exists() for name in given)
