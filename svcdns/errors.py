"""The error tree: one class for each decision that a caller can take; and what errors of others say."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBER = re.compile(r"\[Errno -?[0-9]+\] ")


class SvcdnsError(Exception):
    """The root of every error that svcdns itself raises."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(SvcdnsError):
    """The Corefile cannot be used: it stops a start and leaves a reload undone.

    Args:
        path: the file as the user would name it.
        line: counted from 1.
        reason: what was found and what was expected.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Faults:
    """Gathers what is wrong, so that one fault does not hide the others."""

    def __init__(self) -> None:
        self._found: list[ConfigError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Take note of the fault that ends the block, if one does."""
        try:
            yield
        except ConfigError as error:
            self._found.append(error)

    def check(self) -> None:
        """End what cannot go on.

        Raises:
            ConfigError: There are faults; its text has a line for each, by file and line.
        """
        if self._found:
            first, *others = sorted(self._found, key=lambda fault: (fault.path, fault.line))
            raise ConfigError(first.path, first.line, "\n".join((first.reason, *map(str, others)))) from first


class WireError(SvcdnsError):
    """The octets are no message: FORMERR where there is a header to answer, else silence."""


class UpstreamError(SvcdnsError):
    """An upstream gave no answer: the next one is asked, and at last it is SERVFAIL.

    Args:
        upstream: the upstream's address as logs and metrics name it.
        reason: what went wrong.
    """

    def __init__(self, upstream: str, reason: str) -> None:
        super().__init__(reason)
        self.upstream = upstream

    def __str__(self) -> str:
        return f"{self.upstream}: {self.reason}"


class ClusterError(SvcdnsError):
    """The API server failed: it is asked again with back-off, and no query sees it."""


class Expired(ClusterError):  # noqa: N818 - the API's own word for 410 Gone
    """The resource version is too old for a watch: list again."""


def find_octet(error: UnicodeDecodeError) -> tuple[int, int]:
    """Return the first octet that does not fit its encoding: its line, counted from 1, and its value."""
    return error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]


def describe(error: BaseException) -> str:
    """Say in words what went wrong: of an error of the system neither its number nor its file."""
    number = getattr(error, "errno", None) or 0
    if number > 0 and type(error).__module__ == "builtins":  # OpenSSL and resolvers have numbers of their own
        return os.strerror(number)  # asyncio has an address where the system's words should be
    return _NUMBER.sub("", getattr(error, "strerror", None) or str(error)) or type(error).__name__


def describe_with_file(error: OSError) -> str:
    """Say in words what went wrong, and with which file where the error knows."""
    return f"{error.filename}: {describe(error)}" if error.filename else describe(error)
