"""unbound as a peer: a forwarder that neither validates nor resolves by itself."""

from pathlib import Path

from tests import programs

_CONFIG = """\
server:
    interface: 127.0.0.1@{port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "iterator"
    num-threads: 1
    use-syslog: no
    verbosity: 0
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
    forward-no-cache: {uncached}
"""


def forward(folder: Path, port: int, upstream: int, *, cached: bool) -> list[str]:
    """Write the configuration that forwards to *upstream* to *folder*; return the command that does, at *port*."""
    path = folder / "unbound.conf"
    uncached = "no" if cached else "yes"
    path.write_text(_CONFIG.format(folder=folder, port=port, upstream=upstream, uncached=uncached))
    return [str(programs.path("unbound")), "-d", "-c", str(path)]
