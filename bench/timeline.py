"""svcdns, with a line for each stage of its start; see `bench.start`.

    python -m bench.timeline MARKS ARGUMENT...

Packages are imported one after the other, which they are not otherwise, so that each shows by itself; what follows is
told from Python's audit events, which the server does not notice. A line of the file MARKS has the monotonic time in
seconds, the CPU seconds of the process, and the stage that ended there.
"""

import sys
import time
from importlib import import_module
from pathlib import Path

PACKAGES = {
    "standard library": (
        "argparse",
        "asyncio",
        "dataclasses",
        "email.utils",
        "http.server",
        "ipaddress",
        "ssl",
        "urllib.request",
    ),
    "aiohttp": ("aiohttp", "aiohttp.web"),
    "msgspec, prometheus_client, cachetools, ifaddr": ("msgspec", "prometheus_client", "cachetools", "ifaddr"),
    "svcdns": ("svcdns.cli", "svcdns.kube.api.requests"),
}
"""What is imported, by stage; plugins come with the last."""

STAGES = {
    "open": "command line, logs, metrics",
    "socket.bind": "Corefile, plugins, account",
    "socket.connect": "sockets, side ports",
}
"""What has been done when an event comes first."""


class Marks:
    """The stages as they end.

    Args:
        path: Where to write them.
    """

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - until the process ends
        self._open = dict(STAGES)

    def add(self, stage: str) -> None:
        """Note that a stage has ended."""
        self._file.write(f"{time.monotonic()} {time.process_time()} {stage}\n")

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take in an audit event."""
        if event in self._open and (event != "open" or str(arguments[0]).endswith("Corefile")):
            self.add(self._open.pop(event))


def main() -> int:
    """Run svcdns and return its exit code."""
    path, *arguments = sys.argv[1:]
    marks = Marks(path)
    marks.add("Python")
    for stage, modules in PACKAGES.items():
        for module in modules:
            import_module(module)
        if stage == "svcdns":
            plugins = import_module("svcdns.plugins")
            for name in plugins.PLUGINS:
                plugins.load(name)
        marks.add(f"import {stage}")
    sys.addaudithook(marks.hear)
    code: int = import_module("svcdns.cli").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
