"""Log lines as CoreDNS writes them: ``[LEVEL] plugin/NAME: message``, on standard output.

A full pipe, a full disk or a reader that has gone must not hold up an answer, nor a stop, so lines go through a bounded
queue to a thread that writes them; what cannot be written is counted, and said afterwards.
"""

import logging
import os
import queue
import sys
import threading
from contextlib import suppress

_LONGEST_QUEUE = 10_000
_LAST_WORDS = 1.0  # seconds that a stop waits for lines to be taken
_PLUGINS = "svcdns.plugins."
_LEVELS = {"CRITICAL": "FATAL"}

banner = logging.getLogger("svcdns.banner")
"""Takes what a start prints, which stands as it is."""


class LineFormatter(logging.Formatter):
    """Writes a record as one line; line ends within it are shown as such, so that no input can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback behind it where there is one."""
        if record.name == banner.name:
            return record.getMessage()
        level = _LEVELS.get(record.levelname, record.levelname)
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        name = record.name
        prefix = f"plugin/{name.removeprefix(_PLUGINS).partition('.')[0]}: " if name.startswith(_PLUGINS) else ""
        line = f"[{level}] {prefix}{message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class Writer(logging.Handler):
    """Writes records in a thread of its own.

    The descriptor is written to directly: a buffered stream has a lock, and a thread that is held up with it would
    hold up the end of the process.

    Args:
        descriptor: Where lines go.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._descriptor = descriptor
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(_LONGEST_QUEUE)
        self._lost = 0
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have *record* written, if there is room for it, without waiting."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._lose()

    def stop(self) -> None:
        """Write what is left, in a second at most."""
        with suppress(queue.Full):
            self._records.put(None, timeout=_LAST_WORDS)
            self._thread.join(_LAST_WORDS)

    def _lose(self) -> None:
        with self._counting:
            self._lost += 1

    def _run(self) -> None:
        while (record := self._records.get()) is not None:
            try:
                self._write(self.format(record))
            except OSError:
                self._lose()
            except Exception:  # noqa: BLE001 - a record that cannot be formatted must not end the thread
                self.handleError(record)

    def _write(self, line: str) -> None:
        with self._counting:
            lost, self._lost = self._lost, 0
        try:
            octets = (f"[WARNING] {lost} log lines were lost\n" * (lost > 0) + f"{line}\n").encode(errors="replace")
            while octets:
                octets = octets[os.write(self._descriptor, octets) :]
        except OSError:
            with self._counting:
                self._lost += lost
            raise


def start(descriptor: int | None = None) -> Writer:
    """Send all log records from INFO up to *descriptor*, by default that of standard output.

    Returns:
        What writes them; its `stop` writes the rest.
    """
    if descriptor is None:
        descriptor = os.open(os.devnull, os.O_WRONLY) if sys.stdout is None else sys.stdout.fileno()
    writer = Writer(descriptor)
    root = logging.getLogger()
    root.handlers = [writer]
    root.setLevel(logging.INFO)
    return writer
