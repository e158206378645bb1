"""Log lines as CoreDNS writes them: ``[LEVEL] plugin/NAME: message``, on standard output.

A full pipe or a slow disk must not hold up an answer, so lines go through a bounded queue to a thread that writes them;
what does not fit is counted and said afterwards.
"""

import logging
import logging.handlers
import queue
import sys
from typing import TextIO

_LONGEST_QUEUE = 10_000
_PLUGINS = "svcdns.plugins."
_LEVELS = {"CRITICAL": "FATAL"}


class LineFormatter(logging.Formatter):
    """Writes a record as one line; line ends within it are shown as such, so that no input can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback behind it where there is one."""
        level = _LEVELS.get(record.levelname, record.levelname)
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        name = record.name
        prefix = f"plugin/{name.removeprefix(_PLUGINS).partition('.')[0]}: " if name.startswith(_PLUGINS) else ""
        line = f"[{level}] {prefix}{message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _BoundedHandler(logging.handlers.QueueHandler):
    """Queues records and, once there is room again, says how many there was none for."""

    def __init__(self, records: "queue.Queue[logging.LogRecord]") -> None:
        super().__init__(records)
        self._lost = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue *record* without waiting."""
        try:
            if self._lost:
                lost = logging.LogRecord(
                    __name__, logging.WARNING, "", 0, "%d log lines were lost", (self._lost,), None
                )
                self.queue.put_nowait(lost)
                self._lost = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave formatting to the thread that writes."""
        return record


def start(stream: TextIO = sys.stdout) -> logging.handlers.QueueListener:
    """Send all log records from INFO up to *stream*.

    Returns:
        What writes them; its `stop` writes the rest.
    """
    records: queue.Queue[logging.LogRecord] = queue.Queue(_LONGEST_QUEUE)
    writer = logging.StreamHandler(stream)
    writer.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers = [_BoundedHandler(records)]
    root.setLevel(logging.INFO)
    listener = logging.handlers.QueueListener(records, writer)
    listener.start()
    return listener
