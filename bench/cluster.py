"""A real API server with as many Services as a benchmark asks for, and the Corefile that kubeadm installs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from bench.load import write_questions
from bench.report import say
from tests.cluster.apiserver import ApiServer, Client, api_server, client_of, endpoint_slice, namespace, service

_AT_ONCE = 32

COREFILE = """
.:{port} {{
    bind 127.0.0.1
    errors
    health 127.0.0.1:{health} {{
        lameduck 5s
    }}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        endpoint {endpoint}
        tls {tls}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward . {upstream} {{
        max_concurrent 1000
    }}
    {cache}
    loop
    reload
    loadbalance
}}
"""

_CACHE = """cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }"""


def names(count: int) -> Iterator[tuple[str, str]]:
    """Yield the namespaces and names of *count* Services, a hundred to a namespace."""
    for number in range(count):
        yield f"team-{number // 100}", f"service-{number}"


async def seed(client: Client, services: int, endpoints: int = 2) -> None:
    """Create Services, every tenth of them headless, each with a slice of *endpoints* addresses."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def create(obj: dict[str, object]) -> None:
        async with gate:
            await client.create(obj)

    spaces = dict.fromkeys(space for space, _ in names(services))
    await asyncio.gather(*(create(namespace(space)) for space in spaces))
    objects = []
    for number, (space, name) in enumerate(names(services)):
        objects.append(service(name, space, **({"clusterIP": "None"} if is_headless(number) else {})))
        objects.append(endpoint_slice(f"{name}-1", name, *addresses(number, endpoints), namespace=space))
    await asyncio.gather(*(create(each) for each in objects))


def is_headless(number: int) -> bool:
    """Tell whether the Service of that number is headless."""
    return number % 10 == 9


def addresses(number: int, endpoints: int) -> list[str]:
    """Return the addresses of the endpoints of the Service of that number, each Service having *endpoints*."""
    block = range(number * endpoints, (number + 1) * endpoints)
    return [f"10.{128 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in block]


def questions(services: int) -> Iterator[tuple[str, str]]:
    """Yield what Pods ask: addresses of both kinds, SRV, endpoints, and names that a search path makes."""
    for number, (space, name) in enumerate(names(services)):
        full = f"{name}.{space}.svc.cluster.local"
        yield full, "A"
        yield full, "AAAA"
        if number % 5 == 0:
            yield f"_http._tcp.{full}", "SRV"
        if number % 2 == 0:
            yield f"{full}.{space}.svc.cluster.local", "A"


def write_corefile(
    server: ApiServer, ports: dict[str, int], *, upstream: str = "/etc/resolv.conf", cached: bool = True
) -> str:
    """Return kubeadm's Corefile.

    It names the API server, which is not around us as it is around a Pod. It does so without a kubeconfig: a Pod has
    none, and reading one takes svcdns a good part of its start.

    Args:
        server: The API server.
        ports: Its ports: port, health, ready and metrics.
        upstream: Whom other names are asked of.
        cached: Whether their answers are kept.
    """
    tls = " ".join(map(str, (*server.admin, server.certificate)))
    cache = _CACHE if cached else ""
    return COREFILE.format(endpoint=server.url, tls=tls, upstream=upstream, cache=cache, **ports)


class Seeded(NamedTuple):
    """An API server that holds Services, and what is asked of them.

    Attributes:
        server: The API server.
        services: How many Services it holds.
        load: The file of questions.
        folder: Where files of the benchmark go.
    """

    server: ApiServer
    services: int
    load: Path
    folder: Path


@asynccontextmanager
async def seeded(services: int, endpoints: int = 2) -> AsyncIterator[Seeded]:
    """Run an API server with *services* Services of *endpoints* endpoints each, until the block ends."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with api_server(workspace(folder, "api")) as server:
            say(f"creating {services:,} Services with {endpoints} endpoints each")
            async with client_of(server) as client:
                await seed(client, services, endpoints)
            yield Seeded(server, services, write_questions(folder / "questions", questions(services)), folder)


def workspace(folder: Path, name: str) -> Path:
    """Make a folder within *folder*."""
    path = folder / name
    path.mkdir()
    return path
