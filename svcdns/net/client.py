"""One question to one upstream: over UDP and, where that does not do, over TCP or TLS.

Each question has a socket to itself, connected, at a random port from the kernel, a random id and random letter case.
Whatever does not answer exactly that question is waited out; where such a message came, the question goes over TCP
instead of being repeated, for somebody may be guessing. Questions cost no tasks: everything happens in callbacks.

Source: RFC 5452 section 9, RFC 5625 section 4, RFC 6891 section 7, RFC 7766 section 5, RFC 9520 section 3.1.
"""

import math
from typing import Protocol

from svcdns.dns.message import Query, Rcode, Response
from svcdns.dns.upstream import Answer, Asked, Likeness, compare, decode_response, without_edns
from svcdns.dns.wire import is_truncated
from svcdns.errors import UpstreamError, WireError, describe
from svcdns.net.ports import Port
from svcdns.net.timers import Timer
from svcdns.net.upstream import Upstream

TRIES = 3
"""How often a question is sent to one upstream over UDP."""

MOST_REJECTED = 32
"""How many messages that do not answer a question are read before TCP is asked."""

_LARGEST_DATAGRAM = 4096  # octets of an answer over UDP, though 1232 are asked for; a larger one is fetched over TCP

STREAM_SHARE = 0.6
"""Which part of the time that an asker has is left to UDP, where no answer comes at all."""

_STREAM_PATIENCE = 0.5


class Asker(Protocol):
    """Who asked; exactly one of `hear` and `fail` is called, at most once and never after `Exchange.close`."""

    def hear(self, exchange: "Exchange", response: Response) -> None:
        """Take the upstream's answer, which may be an error of its own."""

    def fail(self, exchange: "Exchange", error: UpstreamError) -> None:
        """Learn that the upstream gives no answer; its cause is an OSError where the network said so."""

    def miss(self, exchange: "Exchange") -> None:
        """Learn that the upstream is silent for longer than it should be; it may still answer."""


class Exchange:
    """One question to one upstream.

    Args:
        upstream: Whom to ask.
        query: What to ask.
        asker: Learns what comes of it.
        patience: Seconds until the asker is told of silence at the latest.
        stream_after: Seconds until TCP is asked where UDP brings nothing; 0 leaves UDP out.
        lifetime: Seconds until the question is given up.
        plugin: The plugin that asks, which the answer names.

    Attributes:
        upstream: As given.
        health: What tells whether the upstream answers over what it is asked over.
        begun: When the question was put.
        over: Whether it is over.
    """

    __slots__ = (
        "_asked", "_asker", "_bare", "_deadline", "_failure", "_first", "_folded", "_last", "_lifetime", "_missed",
        "_next", "_patience", "_plugin", "_port", "_query", "_rejected", "_repeat_at", "_sent", "_stream_after",
        "_stream_at", "_streamed", "_suspicious", "_timer", "_tries", "begun", "health", "over", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        upstream: Upstream,
        query: Query,
        asker: Asker,
        *,
        patience: float,
        stream_after: float,
        lifetime: float,
        plugin: str = "",
    ) -> None:
        self.upstream = upstream
        self.health = upstream.datagrams if stream_after > 0 else upstream.streams
        self.begun = now = upstream.poller.clock()
        self.over = False
        self._asker = asker
        self._query = query
        self._plugin = plugin
        self._lifetime = lifetime
        self._deadline = now + lifetime
        self._patience = now + patience
        self._stream_after = 0.0 if self.health.stream else stream_after
        self._stream_at = now + self._stream_after
        self._first = self._last = self._repeat_at = now
        self._next = math.inf
        self._timer: Timer | None = None
        self._sent = self._rejected = 0
        self._tries = TRIES
        self._missed = self._suspicious = self._folded = self._bare = False
        self._port: Port | None = None
        self._asked: Asked | None = None
        self._streamed: list[Asked] = []
        self._failure: Exception | None = None

    def start(self) -> None:
        """Ask."""
        self.upstream.poller.asking += 1
        if self.health.stream:
            self._ask_stream()
            self._wait()
        else:
            self._ask_datagram()

    def ask_again(self) -> None:
        """Wait anew, and send one more packet if there is none to come, since somebody wants the answer only now.

        It is the same packet from the same port: another would be one more for a forger to hit. TCP has its turn anew.
        """
        now = self.upstream.poller.clock()
        self._deadline = now + self._lifetime
        self._stream_at = now + self._stream_after
        if self._port is not None and self._sent >= self._tries and not self._suspicious:
            self._tries = self._sent + 1
            self._repeat_at = now
        self._wait()

    def close(self) -> None:
        """Stop; the asker hears no more."""
        if self.over:
            return
        self.over = True
        self.upstream.poller.asking -= 1
        self._close_socket()
        self._forget_streamed()
        if self._timer is not None:
            self._timer.clear()

    def receive(self, asked: Asked, octets: bytes) -> None:
        """Take what came over a connection: nobody can forge that, so it is believed or the end."""
        self._streamed.remove(asked)
        self.upstream.streams.note_answer()
        likeness = compare(asked, octets)
        if likeness is Likeness.FOLDED:
            self.upstream.note_folding()
        elif likeness is Likeness.REFUSING_EDNS:
            self._ask_without_edns(asked)
            return
        elif likeness is not Likeness.SAME:
            self._fail("it answered another question over TCP")
            return
        if is_truncated(octets):
            self._fail("its answer is truncated even over TCP")
            return
        try:
            self._take(asked, decode_response(asked, octets, self._plugin))
        except WireError as error:
            self._fail(str(error))

    def lose(self, asked: Asked, error: Exception) -> None:
        """Go on over UDP, where that is still possible, once there is no connection any more."""
        self._streamed.remove(asked)
        if not self._streamed:
            self._end_streams(error)

    def _end_streams(self, error: Exception) -> None:
        """Give up TCP; the same over UDP, without mixing for who folds letters, may still bring the answer."""
        self._blame(error)
        if self._folded:
            self._folded = self._suspicious = False
            self.upstream.note_folding()
            self._close_socket()
            self._ask_datagram()
        elif self._port is None:
            self._fail(describe(error))

    def _ask_datagram(self) -> None:
        """Send the question from a socket that no other is asked from meanwhile."""
        self._asked = self.upstream.encode(self._query, opt=not self._bare)
        try:
            self._port = self.upstream.ports.take(self._read)
        except OSError as error:
            self._end_datagrams(error)
            return
        self._sent = 0
        self.upstream.poller.hold(self._send_first)

    def _send_first(self) -> None:
        if self._asked is not None and not self._sent:
            self._send(self._asked.octets)
            self._wait()

    def _send(self, octets: bytes) -> None:
        if self._port is None:
            return
        upstream = self.upstream
        self._last = now = upstream.poller.clock()
        if not self._sent:
            self._first = now
        self._repeat_at = now + upstream.round_trip.timeout * (1 << min(self._sent, TRIES))
        self._sent += 1
        try:
            self._port.socket.send(octets)
        except BlockingIOError:
            pass  # as if lost
        except OSError as error:
            self._end_datagrams(error)

    def _read(self) -> None:
        """Read one message."""
        if self._port is None or self._asked is None:
            return
        try:
            octets = self._port.socket.recv(_LARGEST_DATAGRAM + 1)
        except BlockingIOError:
            return
        except OSError as error:
            self._end_datagrams(error)
            return
        likeness = compare(self._asked, octets)
        if likeness is Likeness.FOREIGN or likeness is Likeness.CLOSE:
            self._reject(close=likeness is Likeness.CLOSE)
            return
        self.health.note_answer()
        if likeness is Likeness.SAME:
            self._read_answer(self._asked, octets)
        elif likeness is Likeness.REFUSING_EDNS:
            self._ask_without_edns(self._asked)
        else:
            self._folded = True
            self._reject(close=True)

    def _read_answer(self, asked: Asked, octets: bytes) -> None:
        if is_truncated(octets) or len(octets) > _LARGEST_DATAGRAM:
            self._learn()
            self._close_socket()
            self.health = self.upstream.streams
            self._need_stream()
            return
        try:
            answer = decode_response(asked, octets, self._plugin)
        except WireError:
            self._reject(close=True)
            return
        self._learn()
        self._leave_socket()
        if asked.edns and (answer.edns or self._sent == TRIES):
            self.upstream.note_edns(answered=answer.edns)
        self._take(asked, answer)

    def _learn(self) -> None:
        now = self.upstream.poller.clock()
        self.upstream.round_trip.note_answer(now - self._first, now - self._last)

    def _reject(self, *, close: bool) -> None:
        """Wait on after a message that is not the answer, but not for ever.

        Args:
            close: Whether the message was nearly right, so that a guess may have hit or the upstream is odd.
        """
        self.upstream.counters.rejected.value += 1
        self._rejected += 1
        self._suspicious |= close
        if self._rejected == MOST_REJECTED:
            self._close_socket()
            self._need_stream()

    def _take(self, asked: Asked, answer: Answer) -> None:
        """Give the answer to the asker, unless it only says that EDNS is not known (RFC 6891 section 7)."""
        response = answer.response
        if response.rcode == Rcode.FORMERR and asked.edns and not answer.edns and not self._bare:
            self._ask_without_edns(asked)
            return
        if self._bare and not answer.edns and response.rcode != Rcode.FORMERR:
            self.upstream.note_no_edns()
        self.close()
        self._asker.hear(self, response)

    def _ask_without_edns(self, asked: Asked) -> None:
        """Ask once more as before EDNS, over what *asked* went over."""
        self._bare = True
        if asked is not self._asked:
            self._ask_stream()
        else:
            self._close_socket()
            self._ask_datagram()

    def _need_stream(self) -> None:
        """Ask over a connection, unless that is under way."""
        if not self._streamed:
            self._ask_stream()

    def _ask_stream(self) -> None:
        """Ask over a connection."""
        self._stream_at = math.inf
        pool = self.upstream.pool
        try:
            asked = pool.ask(lambda: self.upstream.encode(self._query, opt=not self._bare), self)
        except OSError as error:
            if not self._streamed:
                self._end_streams(error)
        else:
            self._streamed.append(asked)

    def _forget_streamed(self) -> None:
        for asked in self._streamed:
            self.upstream.pool.forget(asked)
        self._streamed.clear()

    def _wait(self) -> None:
        """Have `_wake` called when something is due next, if that is earlier than it is called anyway."""
        if self.over:
            return
        repeat_at = self._deadline if self._port is None else self._repeat_at
        patience = self._deadline if self._missed else self._patience
        when = min(self._deadline, self._stream_at, repeat_at, patience)
        if when < self._next:
            self._next = when
            if self._timer is not None:
                self._timer.clear()
            self._timer = self.upstream.poller.timers.at(when, self._wake)

    def _wake(self) -> None:
        """Do what is due."""
        now = self.upstream.poller.clock()
        if self.over or now < self._next:
            return
        self._next = math.inf
        if now >= self._deadline:
            self._fail("it did not answer")
            return
        silent = now >= self._patience
        if self._port is not None and self._asked is not None and now >= self._repeat_at:
            if self._suspicious:
                self._ask_safely(now)
            elif self._sent < self._tries:
                self._repeat(self._asked)
            else:
                self._repeat_at = self._deadline
                silent = True
        if now >= self._stream_at and not self.over:
            self._ask_stream()
        if silent and not self._missed and not self.over:
            self._missed = True
            self._asker.miss(self)
        self._wait()

    def _ask_safely(self, now: float) -> None:
        """Ask over TCP instead of again over UDP; who folds letters and does not take TCP is asked without mixing."""
        if not self._streamed:
            self._repeat_at = now + _STREAM_PATIENCE if self._folded else self._deadline
            self._ask_stream()
            return
        self._forget_streamed()
        self._end_streams(TimeoutError("it does not answer over TCP"))

    def _repeat(self, asked: Asked) -> None:
        """Send the same again; the last time without OPT, since some drop what they do not know, where it may be that.

        Where it cannot be, loss must not cost the signatures that DO asks for.
        """
        last = self._sent == TRIES - 1 and asked.edns and not self.upstream.knows_edns
        self._send(without_edns(asked) if last else asked.octets)

    def _end_datagrams(self, error: OSError) -> None:
        """Give up UDP, which the network refuses; a connection may still bring the answer."""
        self._blame(error)
        self._close_socket()
        if not self._streamed:
            self._fail(describe(error))

    def _close_socket(self) -> None:
        if self._port is not None:
            self.upstream.ports.close(self._port)
            self._port = None

    def _leave_socket(self) -> None:
        """Leave the socket to other questions, unless more may come for this one, or somebody may know the port."""
        if self._port is not None and self._sent == 1 and not self._rejected:
            self.upstream.ports.give_back(self._port)
            self._port = None

    def _blame(self, error: Exception) -> None:
        """Remember what failed, without the traceback, which would keep this question and all before it in memory."""
        self._failure = error.with_traceback(None)

    def _fail(self, reason: str) -> None:
        if self.over:
            return
        self.close()
        failure = UpstreamError(self.upstream.label, reason)
        failure.__cause__ = self._failure
        self._asker.fail(self, failure)
