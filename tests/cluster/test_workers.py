"""Several processes over a real API server: one watch, and every change in the answers of all of them."""

import asyncio
from itertools import count
from pathlib import Path

import pytest

from svcdns.kube.objects import Kind
from tests.cluster.apiserver import ApiServer, Client, endpoint_slice, namespace, service
from tests.cluster.wire import Wire
from tests.workers.processes import Running, serving

pytestmark = pytest.mark.programs

COREFILE = """
.:PORT {{
    bind 127.0.0.1
    prometheus 127.0.0.1:SIDE
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
    }}
}}
"""

_numbers = count()


async def until_all(server: Running, name: str, expected: str) -> None:
    """Wait until every process answers as expected."""
    await asyncio.to_thread(server.until, lambda: set(server.ask_all(name)) == {expected})


async def test_a_change_reaches_all_processes_by_one_watch(
    api: ApiServer, client: Client, wire: Wire, tmp_path: Path
) -> None:
    space = f"workers-{next(_numbers)}"
    await client.create(namespace(space))
    name = f"web.{space}.svc.cluster.local"
    with serving(tmp_path, COREFILE.format(kubeconfig=api.write_kubeconfig(wire.url)), "-workers", "3") as server:
        await asyncio.to_thread(server.until_serving, 3)
        workers = server.workers
        await client.create(service("web", space, clusterIP="None"))
        for address in ("10.244.0.1", "10.244.0.2"):
            await client.apply(endpoint_slice("web-1", "web", address, namespace=space))
            await until_all(server, name, address)
        await client.delete(service("web", space))
        await until_all(server, name, "NXDOMAIN")
        assert server.workers == workers
        assert wire.connections == len({Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE})


async def test_what_is_to_be_said_of_the_corefile_is_said_once(api: ApiServer, tmp_path: Path) -> None:
    corefile = COREFILE.replace("kubeconfig", "endpoint http://127.0.0.1:1\n        kubeconfig", 1)
    with serving(tmp_path, corefile.format(kubeconfig=api.write_kubeconfig()), "-workers", "3") as server:
        await asyncio.to_thread(server.until_serving, 3)
    assert server.log.read_text().count("ignored, since") == 1


async def test_what_a_new_list_changes_reaches_all_processes(
    api: ApiServer, client: Client, wire: Wire, tmp_path: Path
) -> None:
    space = f"workers-{next(_numbers)}"
    await client.create(namespace(space))
    await client.create(service("goes", space, clusterIP="10.96.7.77"))
    names = [f"{name}.{space}.svc.cluster.local" for name in ("goes", "comes")]
    with serving(tmp_path, COREFILE.format(kubeconfig=api.write_kubeconfig(wire.url)), "-workers", "3") as server:
        await asyncio.to_thread(server.until_serving, 3)
        await until_all(server, names[0], "10.96.7.77")
        await wire.close()
        await client.delete(service("goes", space))
        await client.create(service("comes", space, clusterIP="10.96.7.78"))
        api.kill_server()
        api.compact()
        await asyncio.to_thread(api.start_server)
        await until_all(server, names[0], "10.96.7.77")
        await wire.open()
        await until_all(server, names[0], "NXDOMAIN")
        await until_all(server, names[1], "10.96.7.78")
        await asyncio.to_thread(server.until_serving, 3)
