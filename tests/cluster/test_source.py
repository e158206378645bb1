"""A real API server as the source of Services: what happens there arrives here, whatever happens in between."""

import asyncio
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from svcdns.kube.api.config import Pace
from svcdns.kube.objects import Key, Kind
from tests.cluster.apiserver import ApiServer, Client, Object, endpoint_slice, namespace, service
from tests.cluster.wire import Wire
from tests.kube.api import following
from tests.kube.api.following import KINDS, Following

pytestmark = pytest.mark.programs

followed = partial(following.following, pace=Pace())
until = partial(following.until, pause=0.001)
_numbers = count()


@pytest.fixture
async def space(client: Client) -> str:
    """Create a namespace of the test's own."""
    name = f"source-{next(_numbers)}"
    await client.create(namespace(name))
    return name


async def arrives(follows: Following, client: Client, obj: Object) -> None:
    """Create a Service and wait until it is here."""
    await client.create(obj)
    key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    await until(lambda: key in follows.held())


async def listed_versions(client: Client, path: str) -> dict[Key, str]:
    """Return the resource version of each object that the API server has."""
    items = (await client.ask("GET", path))["items"]
    metas = [item["metadata"] for item in items]
    return {(meta.get("namespace", ""), meta["name"]): meta["resourceVersion"] for meta in metas}


async def test_what_happens_in_the_api_arrives(api: ApiServer, client: Client, space: str) -> None:
    async with followed(kubeconfig=str(api.write_kubeconfig())) as follows:
        await following.synced(follows)
        await arrives(follows, client, service("web", space, clusterIP="None"))
        await client.create(endpoint_slice("web-1", "web", "10.244.0.5", namespace=space))
        await until(lambda: follows.cluster.slices.of((space, "web")))
        await client.apply(endpoint_slice("web-1", "web", "10.244.0.6", "10.244.0.7", namespace=space))
        await until(lambda: len(follows.cluster.slices.of((space, "web"))[0].addresses) == 2)
        await client.delete(endpoint_slice("web-1", "web", namespace=space))
        await client.delete(service("web", space))
        await until(lambda: not follows.cluster.slices.of((space, "web")))
        await until(lambda: (space, "web") not in follows.held())
        assert ("", space) in follows.held(Kind.NAMESPACE)


async def test_all_is_streamed_and_is_what_the_api_server_has(api: ApiServer, client: Client, space: str) -> None:
    for number in range(30):
        await client.create(service(f"s{number}", space))
    async with followed(kubeconfig=str(api.write_kubeconfig())) as follows:
        await following.synced(follows)
        assert follows.versions(Kind.SERVICE) == await listed_versions(client, "/api/v1/services")
        assert follows.versions(Kind.NAMESPACE) == await listed_versions(client, "/api/v1/namespaces")
        host = f"127.0.0.1:{api.port}"
        requests = f'coredns_kubernetes_rest_client_requests_total{{code="200",host="{host}",method="GET"}}'
        assert follows.value(requests) == len(KINDS)


async def test_selectors_choose(api: ApiServer, client: Client, space: str) -> None:
    for name, labels in (("yes", {"tier": "a"}), ("no", {"tier": "b"}), ("bare", {})):
        obj = service(name, space)
        obj["metadata"]["labels"] = labels
        await client.create(obj)
    for name, phase in (("runs", "Running"), ("done", "Succeeded")):
        spec = {"containers": [{"name": "c", "image": "i"}]}
        meta = {"name": name, "namespace": space, "labels": {"tier": "a"}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        await client.create(pod)
        await client.patch(pod, {"status": {"phase": phase, "podIP": "10.244.1.9"}}, "status")
    kubeconfig = str(api.write_kubeconfig())
    async with followed(
        "", *Kind, kubeconfig=kubeconfig, labels="tier in (a, c),!gone", namespace_labels="x=y"
    ) as follows:
        await following.synced(follows)
        assert follows.held() == {(space, "yes")}
        assert follows.held(Kind.POD) == {(space, "runs")}
        assert follows.held(Kind.NAMESPACE) == set()
        await client.patch(service("bare", space), {"metadata": {"labels": {"tier": "c"}}})
        await until(lambda: follows.held() == {(space, "yes"), (space, "bare")})
        await client.patch(service("yes", space), {"metadata": {"labels": {"gone": "soon"}}})
        await until(lambda: follows.held() == {(space, "bare")})


async def test_an_audit_of_a_real_cluster_finds_nothing(api: ApiServer, client: Client, space: str) -> None:
    pace = Pace(audit=(0.05, 0.1))
    async with followed(kubeconfig=str(api.write_kubeconfig()), pace=pace) as follows:
        for number in range(40):
            await arrives(follows, client, service(f"s{number}", space))
            if number % 3:
                await client.delete(service(f"s{number}", space))
        assert not follows.source.faults
        series = "svcdns_kubernetes_lists_total"
        causes = [line for line in follows.metrics.expose().splitlines() if line.startswith(series)]
        assert [line for line in causes if 'cause="start"' not in line] == []


async def test_connections_that_are_cut_lose_nothing(api: ApiServer, client: Client, space: str, wire: Wire) -> None:
    async with followed(kubeconfig=str(api.write_kubeconfig(wire.url))) as follows:
        await following.synced(follows)
        for number in range(10):
            wire.cut()
            await client.create(service(f"s{number}", space))
            if number % 2:
                await client.delete(service(f"s{number - 1}", space))
        await until(
            lambda: {name for where, name in follows.held() if where == space} == {"s1", "s3", "s5", "s7", "s9"}
        )
        assert follows.value('svcdns_kubernetes_lists_total{cause="start",kind="services"}') == 1


async def test_an_api_server_that_is_killed_is_followed_again_when_it_is_back(
    api: ApiServer, client: Client, space: str
) -> None:
    async with followed(kubeconfig=str(api.write_kubeconfig())) as follows:
        await arrives(follows, client, service("before", space))
        before = follows.held()
        api.kill_server()
        await until(lambda: len(follows.source.faults) == len(KINDS))
        assert follows.held() == before
        await asyncio.to_thread(api.start_server)
        assert follows.held() >= before
        await client.create(service("after", space))
        await until(lambda: (space, "after") in follows.held(), seconds=5)
        await until(lambda: not follows.source.faults, seconds=5)


async def test_a_history_that_is_compacted_is_listed_again(
    api: ApiServer, client: Client, space: str, wire: Wire
) -> None:
    async with followed(kubeconfig=str(api.write_kubeconfig(wire.url))) as follows:
        await arrives(follows, client, service("stays", space))
        await arrives(follows, client, service("goes", space))
        await wire.close()
        await client.delete(service("goes", space))
        await client.create(service("comes", space))
        api.kill_server()
        api.compact()
        await asyncio.to_thread(api.start_server)
        assert (space, "goes") in follows.held()
        await wire.open()
        await until(lambda: {name for where, name in follows.held() if where == space} == {"stays", "comes"})
        await until(lambda: follows.value('svcdns_kubernetes_lists_total{cause="expired",kind="services"}') == 1)


async def test_an_api_server_that_hangs_is_given_up_and_found_again(api: ApiServer, client: Client, space: str) -> None:
    async with followed(kubeconfig=str(api.write_kubeconfig()), pace=Pace(answer=0.5, silence=0.5)) as follows:
        await arrives(follows, client, service("before", space))
        api.pause_server()
        try:
            await until(lambda: len(follows.source.faults) == len(KINDS))
            assert (space, "before") in follows.held()
        finally:
            api.resume_server()
        await arrives(follows, client, service("after", space))


async def test_a_pod_needs_no_more_than_to_list_and_watch(
    api: ApiServer, client: Client, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": space}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "svcdns", "namespace": space}}
    await client.create(role | {"rules": rules})
    await client.create(account)
    await client.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": space},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": space},
            "subjects": [{"kind": "ServiceAccount", "name": "svcdns", "namespace": space}],
        }
    )
    path = f"/api/v1/namespaces/{space}/serviceaccounts/svcdns/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    (tmp_path / "token").write_text((await client.ask("POST", path, request))["status"]["token"])
    (tmp_path / "ca.crt").write_bytes(api.certificate.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    async with followed(service_account=str(tmp_path), pace=Pace(stretch=0.02)) as follows:
        await until(lambda: follows.cluster.pending == {Kind.ENDPOINT_SLICE})
        await until(lambda: follows.cluster.denied == {Kind.ENDPOINT_SLICE})
        text = follows.source.faults[Kind.ENDPOINT_SLICE]
        assert text.startswith("watch endpointslices: 403 Forbidden: endpointslices.discovery.k8s.io is forbidden")
        rules.append({"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]})
        await client.patch(role, {"rules": rules})
        await until(lambda: not follows.cluster.pending | follows.cluster.denied)
        assert follows.source.faults == {}
