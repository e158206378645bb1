import os
import socket
import ssl

import pytest

from svcdns.errors import (
    ClusterError,
    ConfigError,
    Expired,
    SvcdnsError,
    UpstreamError,
    WireError,
    describe,
    describe_with_file,
)


def test_a_config_error_reads_as_path_line_and_reason() -> None:
    error = ConfigError("Corefile", 3, "found 'x', expected 'y'")
    assert str(error) == "Corefile:3: found 'x', expected 'y'"
    assert (error.path, error.line, error.reason) == ("Corefile", 3, "found 'x', expected 'y'")


def test_an_upstream_error_names_the_upstream() -> None:
    error = UpstreamError("192.0.2.1:53", "timed out")
    assert (str(error), error.upstream, error.reason) == ("192.0.2.1:53: timed out", "192.0.2.1:53", "timed out")


def test_every_error_is_of_the_tree_and_has_a_reason() -> None:
    for kind in (WireError, ClusterError, Expired):
        error: SvcdnsError = kind("because")
        assert (str(error), error.reason) == ("because", "because")
    assert issubclass(Expired, ClusterError)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, os.strerror(2), "/no/such/file"), "No such file or directory"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 6443)"), os.strerror(111)),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL] wrong version number"), "[SSL] wrong version number"),
        (OSError(-2, "Name or service not known"), "Name or service not known"),
        (
            OSError("Multiple exceptions: [Errno 111] Refused, [Errno -2] Unknown"),
            "Multiple exceptions: Refused, Unknown",
        ),
        (ValueError("found 'x', expected 'y'"), "found 'x', expected 'y'"),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_what_went_wrong_is_told_in_words(error: Exception, words: str) -> None:
    assert describe(error) == words


def test_the_file_is_named_where_the_error_knows_it() -> None:
    assert describe_with_file(FileNotFoundError(2, "", "/no/such/file")) == f"/no/such/file: {os.strerror(2)}"
    assert describe_with_file(FileNotFoundError(2, "")) == os.strerror(2)
