"""The Corefile and what it imports, read from the file system or from standard input."""

import glob
from collections.abc import Collection, Mapping
from pathlib import Path

from svcdns.corefile import Corefile, Source, parse
from svcdns.errors import ConfigError, SvcdnsError, describe, find_octet

STANDARD_INPUT = "stdin"


class CorefileInput:
    """Where a Corefile is written, to be read again and again.

    Args:
        path: Its path; ``stdin`` for standard input.
        known: The directives that there are.
        environ: The environment's variables.

    Attributes:
        warnings: What is odd about it as it was read last.
    """

    def __init__(self, path: str, known: Collection[str], environ: Mapping[str, str]) -> None:
        self._path = path
        self._known = known
        self._environ = environ
        self._standard_input: str | None = None
        self.warnings: list[str] = []

    def read(self) -> Corefile:
        """Read it as it is now.

        Raises:
            SvcdnsError: It cannot be read.
            ConfigError: It is no Corefile, or serves nothing.
        """
        self.warnings = []
        path = self._path
        try:
            text = self._read_standard_input() if path == STANDARD_INPUT else Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise SvcdnsError(f"{path}: the Corefile cannot be read: {describe(error)}") from error
        except UnicodeDecodeError as error:
            raise _blame(path, error) from error
        corefile = parse(text, path, known=self._known, environ=self._environ, read=read_import, warn=self.warn)
        if not corefile.blocks:
            raise ConfigError(path, 1, "found no server block, expected at least one")
        return corefile

    def warn(self, warning: str) -> None:
        """Take note of what else turns out to be odd about it."""
        self.warnings.append(warning)

    def _read_standard_input(self) -> str:
        """Return what standard input held, which can be read but once."""
        if self._standard_input is None:
            with open(0, encoding="utf-8", closefd=False) as standard_input:  # sys.stdin is None where it was closed
                self._standard_input = standard_input.read()
        return self._standard_input


def read_import(pattern: str, importer: str) -> tuple[Source, ...]:
    """Read the files that *pattern* names, in lexical order.

    Hidden files match a `*` as any other, but names that start with two dots do not: these are the folders in which a
    mounted ConfigMap keeps its versions.

    Args:
        pattern: a path with or without `*` and `?`, relative to the folder of *importer*.
        importer: the file that holds the import.

    Raises:
        ValueError: a file cannot be read, or is a folder or a device.
        ConfigError: a file is not UTF-8.
    """
    folder = Path(importer).parent
    matches = sorted(glob.glob(pattern, root_dir=folder, include_hidden=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    paths = [folder / match for match in matches]
    return tuple(Source(str(path), _read_text(path)) for path in paths if not path.name.startswith(".."))


def _read_text(path: Path) -> str:
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {describe(error)}") from error
    except UnicodeDecodeError as error:
        raise _blame(str(path), error) from error
    raise ValueError(f"{path} is not a file")


def _blame(path: str, error: UnicodeDecodeError) -> ConfigError:
    """Blame the line that holds the first octet that is not UTF-8."""
    line, octet = find_octet(error)
    return ConfigError(path, line, f"found octet {octet:#04x}, expected UTF-8")
