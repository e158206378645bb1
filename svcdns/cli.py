"""The command line: CoreDNS's flags, and what ends a start."""

import argparse
import gc
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain, islice
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvloop

from svcdns import __version__, logs, memory, replies
from svcdns.app import App, Settings, handle_signals
from svcdns.corefile.values import parse_integer, parse_port
from svcdns.errors import SvcdnsError, describe, describe_with_file
from svcdns.plugins import DIRECTIVES
from svcdns.plugins.multisocket import MOST
from svcdns.processors import count_processors

_SIGNAL_BASE = 128
_LATER = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)  # wait until the server is up

_PURPOSE = "Answers DNS queries from the Services of Kubernetes."
_TEXT = "text"
_FLAG = re.compile(r"--?([^-=][^=]*)(=.*)?", re.DOTALL)
_SWITCHES = {
    "plugins": "list the plugins",
    "quiet": "print no zones, version and examples at the start; log lines are printed all the same",
    "version": "show the version",
}
_HELP = ("help", "h")
_ATTACHED = "[="  # a switch has its value attached, if any
_TRUTHS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
"""What Go reads as true and as false."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run svcdns and return its exit code.

    Returns:
        0 after a stop, 1 for all that ends a start, 2 for flags that do not exist, 130 where SIGINT came before the
        server was up.

    Raises:
        SystemExit: SIGTERM came before the server was up: 143.
    """
    parser = _make_parser()
    flags = parser.parse_args(list(parser.spell(sys.argv[1:] if arguments is None else arguments)))
    if flags.extra:
        print(f"found {' '.join(flags.extra)!r}, expected flags only", file=sys.stderr)
        return 1
    if flags.version:
        print(describe_version())
        return 0
    if flags.plugins:
        print("\n".join(sorted(DIRECTIVES)))
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
    signal.signal(signal.SIGTERM, _give_up)
    _open_standard_files()
    memory.tune()
    writer = logs.start()
    try:
        settings = _read_settings(flags)
        uvloop.run(_serve(settings, flags.pidfile, quiet=flags.quiet))
    except SvcdnsError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(describe_with_file(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it starts: later on, SIGINT is a stop
        return 130
    finally:
        writer.stop()
    return 0


def describe_version() -> str:
    """Return name and version, what they run on, and whether what queries pass through is compiled."""
    compiled = "" if replies.__file__.endswith(".py") else ", compiled"
    return f"svcdns-{__version__}\n{sys.platform}/{platform.machine()}, python{platform.python_version()}{compiled}"


async def _serve(settings: Settings, pidfile: str, *, quiet: bool) -> None:
    app = App(settings)
    await app.start()
    gc.freeze()  # what is there now stays, and need not be looked at again
    handle_signals(app)
    with _pid_in(Path(pidfile)) if pidfile else nullcontext():
        if not quiet:
            for line in (*app.zones(), *describe_version().splitlines(), *app.examples()):
                logs.banner.info(line)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
        await app.serve()
        signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)  # the loop lets go of them when it closes


@contextmanager
def _pid_in(path: Path) -> Iterator[None]:
    """Have the process's id in a file until the block ends, if that can be: as for CoreDNS, serving comes first."""
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        log.error("-pidfile: '%s' cannot be written: %s", path, describe(error))  # noqa: TRY400 - it says all
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # whoever took it away or put another thing there has a reason
            path.unlink()


def _open_standard_files() -> None:
    """Open those of the files 0 to 2 that are closed, or what is opened next gets their numbers.

    libuv aborts the process when it closes one of these.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _give_up(number: int, _: FrameType | None) -> None:
    """End a start; the kernel would keep from a container's first process a signal that it does not handle."""
    raise SystemExit(_SIGNAL_BASE + number)


class _Formatter(argparse.HelpFormatter):
    """Shows flags as Go does, with one dash."""

    def format_help(self) -> str:
        return _show(super().format_help())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return _show(super()._format_action_invocation(action))  # or columns would be set for two dashes


class _Parser(argparse.ArgumentParser):
    """Knows flags with two dashes, for with one, `-p53` would be `-p 53`; and shows them with one."""

    def spell(self, arguments: Iterable[str]) -> Iterator[str]:
        """Spell flags as argparse knows them.

        To Go one dash is as good as two, a switch without a value is true, and what follows any other flag is its
        value, whatever it begins with. Flags end at the first word that is none.
        """
        rest = iter(arguments)
        for argument in rest:
            if argument == "-" or not argument.startswith("-"):
                rest = chain((argument,), rest)
                break
            if argument == "--":
                break
            match = _FLAG.fullmatch(argument)
            name, value = match.groups(default="") if match else ("", "")
            if f"--{name}" not in self._option_string_actions:
                self.error(f"unrecognized arguments: {argument}")
            if name in _HELP:
                yield f"--{name}"
                return
            if name in _SWITCHES:
                value = value or "=true"
            elif not value:
                value = "".join(f"={following}" for following in islice(rest, 1))
            yield f"--{name}{value}"
        yield "--"
        yield from rest

    def error(self, message: str) -> NoReturn:
        flag, colon, reason = message.partition(":")  # what is quoted in the reason stays as it was written
        super().error(f"{_show(flag)}{colon}{reason}")


def _show(text: str) -> str:
    return text.replace("--", "-").replace(f" {_ATTACHED}", _ATTACHED)


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="svcdns", description=_PURPOSE, formatter_class=_Formatter, allow_abbrev=False, add_help=False
    )
    add = parser.add_argument
    add(*(f"--{name}" for name in _HELP), action="help", help="show this")
    add("--conf", default="Corefile", metavar="FILE", help="Corefile to load; stdin is standard input")
    add("--dns.port", "--p", dest="port", default="53", metavar="PORT", help="port of server blocks without one (53)")
    add("--log-format", default=_TEXT, metavar="FORMAT", help="how log lines are written: text")
    add("--workers", metavar="NUMBER|auto", help="how many processes answer queries, whatever the Corefile says")
    add("--pidfile", metavar="FILE", help="where to write the process id")
    for switch, purpose in _SWITCHES.items():
        add(f"--{switch}", type=_parse_truth, metavar=f"{_ATTACHED}true|false]", help=purpose)
    add("extra", nargs="*", help=argparse.SUPPRESS)
    return parser


def _parse_truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return _TRUTHS[text]


def _read_settings(flags: argparse.Namespace) -> Settings:
    if flags.log_format != _TEXT:
        raise SvcdnsError(f"-log-format: found {flags.log_format!r}, expected {_TEXT}; svcdns writes no other yet")
    port = _read(flags.port, "-dns.port", parse_port)
    workers = None if flags.workers is None else _read(flags.workers, "-workers", _parse_workers)
    return Settings(flags.conf, port, workers)


def _read(text: str, flag: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise SvcdnsError(f"{flag}: found {text!r}, {error}") from error


def _parse_workers(text: str) -> int:
    """Read how many processes answer queries."""
    if text == "auto":
        return count_processors()
    try:
        return parse_integer(text, 1, MOST)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from error
