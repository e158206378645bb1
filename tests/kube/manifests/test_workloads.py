import pytest

from svcdns.kube.manifests.documents import parse
from svcdns.kube.manifests.workloads import RunningPod, find_pods
from tests.kube.manifests.folder import complete


def find(text: str) -> list[RunningPod]:
    return find_pods(parse("pods.yaml", complete(text)))


def names(text: str) -> list[str]:
    return [pod.key[1] for pod in find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: Deployment\nspec: {template: {}}", ["web-deployment-0"]),
        ("kind: Deployment\nspec: {template: {}, replicas: 2}", ["web-deployment-0", "web-deployment-1"]),
        ("kind: Deployment\nspec: {template: {}, replicas: 0}", []),
        ("kind: ReplicaSet\nspec: {template: {}, replicas: 2}", ["web-replicaset-0", "web-replicaset-1"]),
        ("kind: DaemonSet\nspec: {template: {}}", ["web-daemonset-0"]),
        ("kind: StatefulSet\nspec: {template: {}}", ["web-0"]),
        ("kind: StatefulSet\nspec: {template: {}, replicas: 3}", ["web-0", "web-1", "web-2"]),
        ("kind: StatefulSet\nspec: {template: {}, replicas: 2, ordinals: {start: 5}}", ["web-5", "web-6"]),
        ("kind: Pod", ["web"]),
        ("kind: Pod\nstatus: {phase: Running}", ["web"]),
        ("kind: Pod\nstatus: {phase: Succeeded}", []),
        ("kind: Pod\nstatus: {phase: Failed}", []),
    ],
)
def test_what_is_written_makes_these_pods(text: str, expected: list[str]) -> None:
    assert names(f"{text}\nmetadata: {{name: web}}") == expected


def test_a_statefulset_gives_its_pods_a_hostname_its_service_as_subdomain_and_labels_of_their_own() -> None:
    (pod,) = find("""
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db-nodes
  template:
    metadata: {labels: {app: db}}
    spec: {hostname: ignored, subdomain: ignored}
""")
    assert (pod.key, pod.spec.hostname, pod.spec.subdomain) == (("shop", "db-0"), "db-0", "db-nodes")
    assert pod.labels == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-0",
        "apps.kubernetes.io/pod-index": "0",
    }


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ("", True),
        ("status:", True),
        ("status: {}", True),
        ("status: {podIP: 10.0.0.1}", True),
        ("status: {phase: Running}", True),
        ("status: {phase: Pending}", False),
        ("status: {phase: Unknown}", False),
        ("status: {conditions: [{type: Ready, status: 'True'}]}", True),
        ("status: {conditions: [{type: Ready, status: 'False'}]}", False),
        ("status: {phase: Running, conditions: [{type: Initialized, status: 'True'}]}", False),
        ("status: {conditions: [{type: Initialized, status: 'False'}, {type: Ready, status: 'True'}]}", True),
    ],
)
def test_a_pod_is_ready_unless_its_status_says_otherwise(status: str, *, ready: bool) -> None:
    (pod,) = find(f"kind: Pod\nmetadata: {{name: web}}\n{status}")
    assert pod.ready == ready


def test_a_pod_that_was_told_to_end_is_not_ready() -> None:
    (pod,) = find("kind: Pod\nmetadata: {name: web, deletionTimestamp: 2024-01-01T00:00:00Z}")
    assert not pod.ready


def test_a_dump_of_a_cluster_has_no_pod_twice() -> None:
    text = """
kind: Deployment
metadata: {name: web}
spec: {template: {}, replicas: 1}
---
kind: ReplicaSet
metadata: {name: web-5b8, ownerReferences: [{kind: Deployment, name: web}]}
spec: {template: {}, replicas: 1}
---
kind: ReplicaSet
metadata: {name: web-old, ownerReferences: [{kind: Deployment, name: web}]}
spec: {template: {}, replicas: 0}
---
kind: Pod
metadata: {name: web-5b8-x2x7k, ownerReferences: [{kind: ReplicaSet, name: web-5b8}]}
---
kind: Deployment
metadata: {name: web, namespace: other}
spec: {template: {}}
"""
    assert names(text) == ["web-5b8-x2x7k", "web-deployment-0"]


def test_a_pod_that_is_written_goes_before_one_of_its_name_that_would_be_made() -> None:
    text = """
kind: Pod
metadata: {name: db-1, labels: {written: by-hand}}
---
kind: StatefulSet
metadata: {name: db}
spec: {template: {}, replicas: 2}
"""
    assert [(pod.key[1], "written" in pod.labels) for pod in find(text)] == [("db-1", True), ("db-0", False)]
