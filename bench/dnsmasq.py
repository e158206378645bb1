"""dnsmasq as a peer: with the Services of `bench.cluster` in a file of hosts, and as a forwarder."""

import getpass
from collections.abc import Iterable
from pathlib import Path

from bench.cluster import addresses, is_headless, names
from tests import programs

_CONFIG = """\
port={port}
listen-address=127.0.0.1
bind-interfaces
keep-in-foreground
user={user}
pid-file
log-facility=-
no-resolv
no-hosts
"""


def serve_hosts(folder: Path, port: int, services: int) -> list[str]:
    """Write the configuration that serves the Services' names to *folder*; return the command that does, at *port*.

    SRV records are left out: dnsmasq goes through all of them for each, and for each name that does not exist, and
    takes six times as long with 2,000 of them. It says that they do not exist.
    """
    hosts = folder / "hosts"
    lines = []
    for number, (space, name) in enumerate(names(services)):
        known = addresses(number, 2) if is_headless(number) else ["10.96.{}.{}".format(*divmod(number, 250))]
        lines += [f"{address} {name}.{space}.svc.cluster.local\n" for address in known]
    hosts.write_text("".join(lines))
    return _write(folder, port, (f"addn-hosts={hosts}", "local=/cluster.local/", "local-ttl=30"))


def forward(folder: Path, port: int, upstream: int, *, cached: bool) -> list[str]:
    """Write the configuration that forwards to *upstream* to *folder*; return the command that does, at *port*."""
    size = 10_000 if cached else 0
    return _write(folder, port, (f"server=127.0.0.1#{upstream}", f"cache-size={size}", "dns-forward-max=1000"))


def _write(folder: Path, port: int, lines: Iterable[str]) -> list[str]:
    path = folder / "dnsmasq.conf"
    path.write_text(_CONFIG.format(port=port, user=getpass.getuser()) + "".join(f"{line}\n" for line in lines))
    return [str(programs.path("dnsmasq")), f"--conf-file={path}"]
