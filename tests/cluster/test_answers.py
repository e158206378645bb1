"""Services of a real API server, asked about with dig over UDP and TCP."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from tests.cluster.apiserver import ApiServer, Client, Object, endpoint_slice, namespace, service
from tests.serving import Serving, serving

pytestmark = pytest.mark.programs

COREFILE = """
. {{
    errors
    ready 127.0.0.1:0
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 30
    }}
}}
"""
BOTH_FAMILIES: dict[str, Any] = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}

_numbers = count()


class Space:
    """A namespace of one test's own, in a cluster that svcdns serves."""

    def __init__(self, client: Client, server: Serving, name: str) -> None:
        self.client = client
        self.server = server
        self.name = name

    async def create(self, *objects: Object) -> Object:
        """Create objects in the namespace and return the last as it is now."""
        created: Object = {}
        for each in objects:
            created = await self.client.create(self._here(each))
        return created

    async def apply(self, obj: Object) -> None:
        await self.client.apply(self._here(obj))

    async def delete(self, obj: Object) -> None:
        await self.client.delete(self._here(obj))

    async def dig(self, name: str, rtype: str = "A", *, tcp: bool = False) -> set[str]:
        """Return what dig prints of the answer section; *name* is relative to the namespace."""
        full = name if name.endswith(".") else f"{name}.{self.name}.svc.cluster.local."
        output = await self.server.dig("+short", "+tcp" if tcp else "+notcp", full, rtype)
        return set(output.split("\n")) - {""}

    async def until(self, name: str, rtype: str, expected: set[str]) -> None:
        """Wait until the answers are as expected, over UDP and then over TCP."""
        found: set[str] = set()

        async def holds() -> bool:
            nonlocal found
            found = await self.dig(name, rtype)
            return found == expected

        try:
            await self.server.until(holds)
        except TimeoutError:
            assert found == expected
        assert await self.dig(name, rtype, tcp=True) == expected

    def _here(self, obj: Object) -> Object:
        return obj | {"metadata": obj["metadata"] | {"namespace": self.name}}


@pytest.fixture
async def space(api: ApiServer, client: Client) -> AsyncIterator[Space]:
    name = f"space-{next(_numbers)}"
    await client.create(namespace(name))
    async with serving(COREFILE.format(kubeconfig=api.write_kubeconfig())) as server:
        yield Space(client, server, name)


def headless(name: str, **spec: Any) -> Object:
    return service(name, clusterIP="None", **spec)


async def test_a_cluster_ip_answers_by_name_port_and_address(space: Space) -> None:
    created = await space.create(service("web"))
    address = created["spec"]["clusterIP"]
    full = f"web.{space.name}.svc.cluster.local."
    await space.until("web", "A", {address})
    await space.until("_http._tcp.web", "SRV", {f"0 100 80 {full}"})
    assert await space.dig(f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa.", "PTR") == {full}
    assert await space.dig("web", "AAAA") == set()


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
async def test_what_includes_a_cluster_ip_answers_as_one(space: Space, kind: str) -> None:
    created = await space.create(service("web", type=kind))
    await space.until("web", "A", {created["spec"]["clusterIP"]})


async def test_both_families_answer(space: Space) -> None:
    created = await space.create(service("web", **BOTH_FAMILIES))
    ipv4, ipv6 = created["spec"]["clusterIPs"]
    await space.until("web", "A", {ipv4})
    await space.until("web", "AAAA", {ipv6})


async def test_a_headless_service_answers_with_its_ready_endpoints(space: Space) -> None:
    ready = {"addresses": ["10.1.0.1"], "conditions": {"ready": True}, "hostname": "db-0"}
    unready = {"addresses": ["10.1.0.2"], "conditions": {"ready": False}, "hostname": "db-1"}
    more = endpoint_slice("db-2", "db", "fd00::1")
    await space.create(headless("db"), endpoint_slice("db-1", "db", "-", endpoints=[ready, unready]), more)
    await space.until("db", "A", {"10.1.0.1"})
    await space.until("db", "AAAA", {"fd00::1"})
    await space.until("db-0.db", "A", {"10.1.0.1"})
    assert await space.dig("db-1.db") == set()
    full = f"db.{space.name}.svc.cluster.local."
    await space.until("_http._tcp.db", "SRV", {f"0 50 8080 db-0.{full}", f"0 50 8080 fd00--1.{full}"})


async def test_a_service_without_selector_takes_its_slices(space: Space) -> None:
    await space.create(headless("by-hand"), endpoint_slice("by-hand-1", "by-hand", "192.0.2.7"))
    await space.until("by-hand", "A", {"192.0.2.7"})


async def test_an_external_name_is_followed_inside_the_cluster(space: Space) -> None:
    created = await space.create(service("web"))
    target = f"web.{space.name}.svc.cluster.local"
    await space.create(service("alias", type="ExternalName", externalName=target, ports=None))
    await space.until("alias", "A", {f"{target}.", created["spec"]["clusterIP"]})
    await space.until("alias", "CNAME", {f"{target}."})


async def test_a_change_is_in_the_answers(space: Space) -> None:
    await space.create(headless("db"), endpoint_slice("db-1", "db", "10.1.0.1"))
    await space.until("db", "A", {"10.1.0.1"})
    await space.apply(endpoint_slice("db-1", "db", "10.1.0.2", "10.1.0.3"))
    await space.until("db", "A", {"10.1.0.2", "10.1.0.3"})
    await space.delete(endpoint_slice("db-1", "db"))
    await space.until("db", "A", set())


async def test_an_external_name_can_become_a_cluster_ip(space: Space) -> None:
    await space.create(service("web", type="ExternalName", externalName="example.com", ports=None))
    await space.until("web", "CNAME", {"example.com."})
    here = service("web")["metadata"] | {"namespace": space.name}
    change = {"spec": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 80}]}}
    changed = await space.client.patch(service("web") | {"metadata": here}, change)
    await space.until("web", "A", {changed["spec"]["clusterIP"]})


async def test_a_deleted_service_is_gone(space: Space) -> None:
    created = await space.create(service("web"))
    await space.until("web", "A", {created["spec"]["clusterIP"]})
    await space.delete(service("web"))
    await space.until("web", "A", set())
    output = await space.server.dig(f"web.{space.name}.svc.cluster.local")
    assert "status: NXDOMAIN" in output


async def test_answers_hold_without_the_api_server_and_are_right_after(api: ApiServer, space: Space) -> None:
    created = await space.create(service("web"))
    await space.until("web", "A", {created["spec"]["clusterIP"]})
    api.kill_server()
    assert await space.dig("web") == {created["spec"]["clusterIP"]}
    await asyncio.to_thread(api.start_server)
    later = await space.create(service("later"))
    await space.until("later", "A", {later["spec"]["clusterIP"]})


async def test_what_history_forgot_is_listed_again(api: ApiServer, space: Space) -> None:
    gone = await space.create(service("gone"))
    await space.until("gone", "A", {gone["spec"]["clusterIP"]})
    api.kill_server()
    await asyncio.to_thread(api.start_server)
    await space.delete(service("gone"))
    api.compact()
    api.kill_server()
    assert len(await space.dig("gone")) <= 1
    await asyncio.to_thread(api.start_server)
    await space.until("gone", "A", set())
