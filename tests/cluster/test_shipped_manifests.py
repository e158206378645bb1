"""A real API server takes the manifests that are shipped, and gives the Pods the rights that they need and no other."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from tests.cluster.apiserver import Client, Object

pytestmark = pytest.mark.programs

FOLDER = Path(__file__).parent.parent.parent / "configs" / "kubernetes"
ACCOUNT = "system:serviceaccount:kube-system:coredns"
SYSTEM = "/api/v1/namespaces/kube-system"
PATHS = {
    "ConfigMap": f"{SYSTEM}/configmaps",
    "ServiceAccount": f"{SYSTEM}/serviceaccounts",
    "Service": f"{SYSTEM}/services",
    "Deployment": "/apis/apps/v1/namespaces/kube-system/deployments",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate")
RESOURCES = (
    *(("", kind) for kind in ("services", "namespaces", "pods", "endpoints", "nodes", "secrets", "configmaps")),
    *(("discovery.k8s.io", "endpointslices"), ("apps", "deployments"), ("rbac.authorization.k8s.io", "clusterroles")),
)
NEEDED = {("", "services"), ("", "namespaces"), ("discovery.k8s.io", "endpointslices")}


def read_objects() -> list[Object]:
    paths = sorted(FOLDER.glob("*.yaml"))
    return [each for path in paths for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


async def is_allowed(client: Client, verb: str, group: str, resource: str) -> bool:
    """Tell whether the Pods' account may do something in all namespaces."""
    attributes = {"verb": verb, "group": group, "resource": resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": ACCOUNT, "groups": ["system:serviceaccounts"], "resourceAttributes": attributes},
    }
    answer = await client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


async def test_the_api_server_takes_every_manifest_and_grants_list_and_watch(client: Client) -> None:
    objects = read_objects()
    try:
        for each in objects:
            path = f"{PATHS[each['kind']]}/{each['metadata']['name']}?fieldManager=test&force=true"
            await client.ask("PATCH", f"{path}&fieldValidation=Strict", each, "application/apply-patch+yaml")
        allowed = {
            (group, resource, verb)
            for (group, resource), verb in product(RESOURCES, VERBS)
            if await is_allowed(client, verb, group, resource)
        }
        assert allowed == {(*resource, verb) for resource, verb in product(NEEDED, ("list", "watch"))}
    finally:
        for each in objects:
            await client.ask("DELETE", f"{PATHS[each['kind']]}/{each['metadata']['name']}")
