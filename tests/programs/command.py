"""Run the commands that obtain a program, and show that they are alive."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HEARTBEAT = 15  # seconds between two signs of life
_TAIL = 20  # lines of a failed command's output that are shown


class ProgramError(Exception):
    """A program is not to be had; the message says what to do about it."""


def announce(text: str) -> None:
    """Write a line of progress to standard error; standard output is for paths."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(
    command: Sequence[str | Path],
    *,
    title: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run *command* at low priority, with a line of progress every `HEARTBEAT` seconds; return what it wrote.

    Args:
        command: The program, found on the PATH, and its arguments.
        title: What is being done, for the lines of progress and the error.
        folder: Where the command runs, if not in the current folder.
        environment: Variables set on top of those of this process.

    Raises:
        ProgramError: The command failed; the message ends in the last lines of its output.
    """
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            ["nice", *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process:
            status = _wait(process, title)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if status:
        tail = "\n  ".join(text.splitlines()[-_TAIL:])
        raise ProgramError(f"{title}: {command[0]} failed with status {status}:\n  {tail}")
    return text


def _wait(process: subprocess.Popen[bytes], title: str) -> int:
    """Wait for *process*, with a line for each `HEARTBEAT` that it takes; end it if this process is interrupted."""
    started = time.monotonic()
    try:
        while True:
            try:
                return process.wait(timeout=HEARTBEAT)
            except subprocess.TimeoutExpired:
                announce(f"{title}: {time.monotonic() - started:.0f} s so far")
    except BaseException:
        process.terminate()
        raise
