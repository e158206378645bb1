"""The UDP sockets that an upstream is asked from: each at a port that the kernel draws, for one question at a time.

To open, watch and close a socket takes a fifth of all that is done for a question. So a socket whose question was
answered at once may serve some more, for a second. It stays as hard to forge an answer: ports are drawn from all that
the kernel has, questions that are under way together have different ones, and each question has an id and letter case
of its own. A port that was found out by probing tells neither, and is soon closed; one that is used for each question
anew may be found out as well while the question waits.

A socket is not used again where anything was odd: a question was sent more than once, so that an answer may still come;
something came that was not the answer; or anything at all while nobody asked.

Source: RFC 5452 sections 9.1 and 9.2.
"""

import socket
from collections.abc import Callable
from functools import partial

from svcdns.metrics import Counter
from svcdns.net.poller import Poller
from svcdns.net.timers import Timer

MOST_QUESTIONS = 16
"""How many questions a socket serves."""

LIFETIME = 1.0
"""For how long a socket is given further questions, in seconds."""


class Ports:
    """The sockets to one upstream.

    Args:
        open_socket: Opens a socket that hears the upstream alone.
        poller: Its clock, its timers, and what watches sockets.
        found: Counts questions that found a socket.
        opened: Counts those that had to open one.
    """

    def __init__(
        self, open_socket: Callable[[], socket.socket], poller: Poller, found: Counter, opened: Counter
    ) -> None:
        self._open_socket = open_socket
        self._poller = poller
        self._found = found
        self._opened = opened
        self._idle: dict[Port, None] = {}

    def take(self, hear: Callable[[], None]) -> "Port":
        """Return a socket for a question.

        Args:
            hear: Is called when there is something to read.

        Raises:
            OSError: There is no way to the upstream, or no file is left.
        """
        if self._idle:
            port, _ = self._idle.popitem()
            del self._poller.idle[port]
            port.hear = hear
            self._found.value += 1
        else:
            self._poller.make_room()
            port = Port(self._open_socket(), hear, self._poller.clock() + LIFETIME)
            self._poller.watch(port.socket, partial(self._ready, port))
            port.timer = self._poller.timers.at(port.until, partial(self._close_idle, port))
            self._opened.value += 1
        return port

    def give_back(self, port: "Port") -> None:
        """Keep a socket whose question was answered at once, if it may serve another."""
        poller = self._poller
        port.served += 1
        if port.served < MOST_QUESTIONS and not poller.crowded and poller.clock() < port.until:
            port.hear = None
            self._idle[port] = None
            poller.idle[port] = partial(self._close_idle, port)
        else:
            self.close(port)

    def close(self, port: "Port") -> None:
        """Close a socket."""
        port.timer.clear()
        self._poller.forget(port.socket)
        port.socket.close()

    def _ready(self, port: "Port") -> None:
        if port.hear is None:
            self._close_idle(port)
        else:
            port.hear()

    def _close_idle(self, port: "Port") -> None:
        if port in self._idle:
            del self._idle[port]
            del self._poller.idle[port]
            self.close(port)


class Port:
    """A socket.

    Args:
        opened: The socket.
        hear: Is called when there is something to read for the question at hand.
        until: When it is given no further question.

    Attributes:
        socket: The socket.
        hear: As given; each question has its own, and there is none while nobody asks.
        until: As given.
        served: How many questions were answered.
        timer: Closes the socket when it may serve no further question.
    """

    __slots__ = ("hear", "served", "socket", "timer", "until")

    def __init__(self, opened: socket.socket, hear: Callable[[], None], until: float) -> None:
        self.socket = opened
        self.hear: Callable[[], None] | None = hear
        self.until = until
        self.served = 0
        self.timer: Timer = []
