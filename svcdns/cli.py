"""The command line: CoreDNS's flags, and what ends a start."""

import argparse
import asyncio
import gc
import os
import platform
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from svcdns import logs
from svcdns.app import App, Settings, handle_signals
from svcdns.corefile.values import parse_port
from svcdns.errors import SvcdnsError
from svcdns.plugins import DIRECTIVES

_SIGNAL_BASE = 128
_GC_THRESHOLDS = (5000, 100, 100)  # a query leaves no cycles behind, and a pass over 20,000 objects takes 10 ms


def main(arguments: Sequence[str] | None = None) -> int:
    """Run svcdns and return its exit code.

    Returns:
        0 after a stop, 1 for all that ends a start, 2 for flags that do not exist, 130 where SIGINT came before the
        server was up.

    Raises:
        SystemExit: SIGTERM came before the server was up: 143.
    """
    flags = _parser().parse_args(arguments)
    if flags.version:
        print(describe())
        return 0
    if flags.plugins:
        print("\n".join(sorted(DIRECTIVES)))
        return 0
    signal.signal(signal.SIGTERM, _give_up)
    tune_collector()
    writer = logs.start()
    try:
        settings = _read_settings(flags)
        if flags.pidfile:
            Path(flags.pidfile).write_text(f"{os.getpid()}\n", encoding="ascii")
        asyncio.run(_serve(settings, quiet=flags.quiet))
    except (SvcdnsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it starts: later on, SIGINT is a stop
        return 130
    finally:
        writer.stop()
    return 0


def tune_collector() -> None:
    """Have the collector of cycles run seldom."""
    gc.set_threshold(*_GC_THRESHOLDS)


def describe() -> str:
    """Return name and version, and what they run on."""
    machine = platform.machine()
    return f"svcdns-{version('svcdns')}\n{sys.platform}/{machine}, python{platform.python_version()}"


async def _serve(settings: Settings, *, quiet: bool) -> None:
    app = App(settings)
    await app.start()
    gc.freeze()  # what is there now stays, and need not be looked at again
    handle_signals(app)
    if not quiet:
        for line in (*app.zones(), *describe().splitlines(), *app.examples()):
            logs.banner.info(line)
    await app.serve()


def _give_up(number: int, _: FrameType | None) -> None:
    """End a start; the kernel would keep from a container's first process a signal that it does not handle."""
    raise SystemExit(_SIGNAL_BASE + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="svcdns", description=__doc__, allow_abbrev=False)
    parser.add_argument("-conf", "--conf", default="Corefile", metavar="FILE", help="Corefile to load; stdin reads it")
    parser.add_argument("-dns.port", "--dns.port", "-p", dest="port", default="53", metavar="PORT", help="default port")
    parser.add_argument("-pidfile", "--pidfile", metavar="FILE", help="where to write the process id")
    parser.add_argument("-plugins", "--plugins", action="store_true", help="list the plugins")
    parser.add_argument("-quiet", "--quiet", action="store_true", help="print nothing at the start")
    parser.add_argument("-version", "--version", action="store_true", help="show the version")
    parser.add_argument("extra", nargs="*", help=argparse.SUPPRESS)
    return parser


def _read_settings(flags: argparse.Namespace) -> Settings:
    if flags.extra:
        raise SvcdnsError(f"found {' '.join(flags.extra)!r}, expected flags only")
    try:
        return Settings(flags.conf, parse_port(flags.port))
    except ValueError as error:
        raise SvcdnsError(f"-dns.port: found {flags.port!r}, {error}") from error
