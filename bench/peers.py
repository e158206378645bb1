"""The servers of the Services of `bench.cluster`: those that read Corefiles, and those with the names in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import dnsmasq, knot
from bench.cluster import Seeded, names, write_corefile
from bench.load import press
from bench.servers import COMMANDS, Server, command_of, serving
from tests.ports import free_port

_WARM_UP = 2.0

STATIC = {"Knot": knot.write_config, "dnsmasq": dnsmasq.serve_hosts}
"""What writes the configuration of each server that is given the names, and returns its command."""

SERVERS = (*COMMANDS, *STATIC)
"""All of them, svcdns among them."""


def first_name(cluster: Seeded) -> str:
    """Return the first Service's name."""
    space, name = next(names(cluster.services))
    return f"{name}.{space}.svc.cluster.local"


@contextmanager
def started(name: str, cluster: Seeded, folder: Path, *flags: str) -> Iterator[Server]:
    """Run a server of `COMMANDS` or `STATIC` until the block ends; it has answered once.

    Args:
        name: Which.
        cluster: What it answers.
        folder: Where its files go.
        flags: Further ones, for one that reads Corefiles.
    """
    ports = {key: free_port() for key in ("port", "health", "ready", "metrics")}
    if name in STATIC:
        command = STATIC[name](folder, ports["port"], cluster.services)
    else:
        command = [*command_of(name, write_corefile(cluster.server, ports), folder), *flags]
    with serving(command, ports["port"], folder) as server:
        server.wait_for(first_name(cluster))
        yield server


@contextmanager
def warm(name: str, cluster: Seeded, folder: Path) -> Iterator[Server]:
    """Do the same, and have it answer for two seconds first."""
    with started(name, cluster, folder) as server:
        press(server, cluster.load, _WARM_UP)
        yield server
