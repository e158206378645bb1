"""Log lines through pipes that are read, full or gone."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from svcdns.logs import Writer

LINES = 20_000
"""More than are kept."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("svcdns.plugins.health", logging.INFO, "", 0, message, arguments, None)


def fill(end: int) -> int:
    """Write to a pipe until there is no room in it; return how many octets it took."""
    os.set_blocking(end, False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            count += os.write(end, b"\n")
    os.set_blocking(end, True)
    return count


def read_all(end: int) -> list[str]:
    with os.fdopen(end, encoding="utf-8") as reader:
        return reader.read().splitlines()


def test_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    writer = Writer(pipe[1])
    writer.emit(record("one"))
    writer.emit(record("two\nlines"))
    writer.stop()
    os.close(pipe[1])
    assert read_all(pipe[0]) == ["[INFO] plugin/health: one", "[INFO] plugin/health: two\\nlines"]


def test_lines_that_there_is_no_room_for_are_counted(pipe: tuple[int, int]) -> None:
    filler = fill(pipe[1])
    writer = Writer(pipe[1])
    for number in range(LINES):
        writer.emit(record("%d", number))
    os.read(pipe[0], filler)
    reader = os.fdopen(pipe[0], encoding="utf-8", closefd=False)
    line = reader.readline()
    assert line == "[INFO] plugin/health: 0\n"
    line = reader.readline()
    assert line.endswith(" log lines were lost\n")
    lost = int(line.split()[1])
    numbers = [int(reader.readline().split()[-1]) for _ in range(LINES - lost - 1)]
    assert numbers == list(range(1, LINES - lost))
    writer.emit(record("after"))
    assert reader.readline() == "[INFO] plugin/health: after\n"
    writer.stop()


def test_a_stop_does_not_wait_for_a_reader_that_does_not_read(pipe: tuple[int, int]) -> None:
    fill(pipe[1])
    writer = Writer(pipe[1])
    for _ in range(LINES):
        writer.emit(record("lost"))
    writer.stop()
    os.close(pipe[0])
    writer.stop()  # nothing holds the thread up any more, so it ends before another test has its descriptor


def test_what_a_reader_that_has_gone_would_have_read_is_lost_and_nothing_else(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = Writer(pipe[1])
    writer.emit(record("lost"))
    writer.stop()


def test_a_record_that_is_wrong_is_told_on_standard_error(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(pipe[1])
    writer.emit(record("%d", "no number"))
    writer.emit(record("right"))
    writer.stop()
    os.close(pipe[1])
    assert read_all(pipe[0]) == ["[INFO] plugin/health: right"]
    assert "Arguments: ('no number',)" in capsys.readouterr().err
