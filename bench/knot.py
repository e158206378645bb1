"""Knot DNS with a static zone of the Services of `bench.cluster`: what a server in C does for the same names."""

from collections.abc import Iterator
from pathlib import Path

from bench.cluster import is_headless, names
from tests import programs

_CONFIG = """
server:
  rundir: {folder}
  udp-workers: 1
  tcp-workers: 1
  listen: 127.0.0.1@{port}
database:
  storage: {folder}
zone:
  - domain: cluster.local
    file: {folder}/zone
    zonefile-sync: -1
    journal-content: none
"""

_APEX = """$ORIGIN cluster.local.
$TTL 30
@ SOA ns.dns hostmaster 1 7200 1800 86400 5
@ NS ns.dns
ns.dns A 127.0.0.1
"""


def write_config(folder: Path, port: int, services: int) -> list[str]:
    """Write Knot's configuration and its zone to *folder*; return the command that serves them at *port*."""
    (folder / "zone").write_text(_APEX + "\n".join(_records(services)) + "\n")
    config = folder / "knot.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port))
    return [str(programs.path("knotd")), "-c", str(config)]


def _records(services: int) -> Iterator[str]:
    """Yield the records that svcdns and CoreDNS answer with, addresses aside."""
    for number, (space, name) in enumerate(names(services)):
        owner = f"{name}.{space}.svc"
        high, low = divmod(number, 250)
        if not is_headless(number):
            yield f"{owner} A 10.96.{high}.{low}"
            yield f"_http._tcp.{owner} SRV 0 100 80 {owner}"
            continue
        for endpoint in (1, 2):
            address = f"10.{127 + endpoint}.{high}.{low}"
            target = f"{address.replace('.', '-')}.{owner}"
            yield f"{owner} A {address}"
            yield f"{target} A {address}"
            yield f"_http._tcp.{owner} SRV 0 50 80 {target}"
