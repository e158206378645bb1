"""A fake API server in a process of its own, which does what it is told by lines.

    python -m bench.far [--address 127.0.0.1] [--services 10] [--endpoints 2]

It prints its port, then obeys: ``expire`` forgets history and cuts all watches, ``change`` changes a slice of
endpoints, ``join`` takes the network interface `INTERFACE` into use, ``down`` and ``up`` cut it and mend it.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from tests.kube.api.fake_api import FakeApi, endpoint_slice, namespace, service

INTERFACE = "far"
ADDRESS = "10.77.0.2"
"""What it is called, and its address there."""

_numbers = count()


class Far:
    """The way to tell it.

    Attributes:
        pid: Its process.
        port: Where it listens.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process

    async def tell(self, command: str) -> None:
        """Have it do something, and wait until that is done."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdout.readline()


@asynccontextmanager
async def far(*arguments: str, within: tuple[str, ...] = ()) -> AsyncIterator[Far]:
    """Run it until the block ends.

    Args:
        arguments: Its own.
        within: A command to run it with, such as one that gives it a network namespace.
    """
    process = await asyncio.create_subprocess_exec(
        *within, sys.executable, "-m", __name__, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the process has no pipes")
        yield Far(process, int(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.wait()


def fill(api: FakeApi, services: int, endpoints: int) -> None:
    """Put Services in namespaces of a hundred, each with a slice."""
    for number in range(services):
        space = f"team-{number // 100}"
        if number % 100 == 0:
            api.put("namespaces", namespace(space))
        name = f"service-{number}"
        address = f"10.96.{number // 256 % 256}.{number % 256}"
        api.put("services", service(name, address, space))
        api.put("endpointslices", endpoint_slice(f"{name}-1", name, *addresses(number, endpoints), namespace=space))


def addresses(number: int, size: int) -> list[str]:
    """Return the addresses of the endpoints of a Service."""
    block = range(number * size, (number + 1) * size)
    return [f"10.{128 + n // 65536 % 128}.{n // 256 % 256}.{n % 256}" for n in block]


def obey(api: FakeApi, command: str, endpoints: int) -> None:
    """Do what a line says."""
    match command:
        case "expire":
            api.version += 1
            api.compact()
            api.cut()
        case "change":
            number = next(_numbers)
            changed = addresses(1_000_000 + number, endpoints)
            api.put("endpointslices", endpoint_slice("service-0-1", "service-0", *changed, namespace="team-0"))
        case "join":
            run(f"ip address add {ADDRESS}/24 dev {INTERFACE}")
            run(f"ip link set {INTERFACE} up")
        case "down" | "up":
            run(f"ip link set {INTERFACE} {command}")
        case _:
            raise ValueError(command)


def run(command: str) -> None:
    """Run a command that is to succeed."""
    subprocess.run(command.split(), check=True)


async def main() -> None:
    """Serve until the lines end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--services", type=int, default=10)
    parser.add_argument("--endpoints", type=int, default=2)
    options = parser.parse_args()
    api = FakeApi(address=options.address)
    fill(api, options.services, options.endpoints)
    async with api:
        print(api.port, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            obey(api, line.strip(), options.endpoints)
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
