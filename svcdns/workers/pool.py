"""The workers of the first process: forks them, tells them what changes, and replaces those that end."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from svcdns.errors import describe
from svcdns.metrics import Metrics
from svcdns.net.listeners import GRACE
from svcdns.workers.channel import Changed, Channel, Count, Counted, Leave, Ping, Pong, Resign, pack
from svcdns.workers.worker import SIGNALS, Bequest, work

PULSE = 1.0
"""Seconds between two questions whether a worker lives."""

SILENT = 2
"""How many such questions a worker leaves unanswered at most, or it counts as unwell."""

STUCK = 5
"""The same until it is killed."""

PULSES_TO_COUNT = 10
"""Every so many such questions are what a worker counted, so that one that dies takes little of that with it."""

COUNTING = 1.0
"""How many seconds workers have to say what they counted."""

PATIENCE = 30.0
"""How many seconds the first process may take to become ready; then workers are forked all the same."""

_UNTIL_READY = 0.05
_LEAVING = GRACE + 1.0
_SHORT_LIFE = 10.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0

log = logging.getLogger(__name__)


class First(Protocol):
    """The first process, as the pool needs it."""

    @property
    def metrics(self) -> Metrics:
        """Where what workers count is added."""

    def is_ready(self) -> bool:
        """Tell whether there is all to inherit that workers need."""

    def bequeath(self, number: int) -> Bequest:
        """Return what worker *number* is left; the first one has the number 1."""

    def read(self, number: int) -> None:
        """Read the sockets of worker *number*, for there is none."""

    def leave_to(self, number: int) -> None:
        """Leave its sockets to worker *number*."""


class Member:
    """A worker, seen from the first process.

    Args:
        number: Which share of the sockets it reads.
        channel: Leads to it.
        pid: Its process id.
        began: When it was forked, in monotonic seconds.

    Attributes:
        unanswered: How often it was asked whether it lives since it was heard of last.
        serving: Whether it reads its sockets.
        leaving_since: When it was told to leave, if it was.
        asked_to_count: How many times it was asked what it counted and has not said so yet.
        counted: Done when it has said so each time, or is gone; None where nobody waits for that.
    """

    def __init__(self, number: int, channel: Channel, pid: int, began: float) -> None:
        self.number = number
        self.channel = channel
        self.pid = pid
        self.began = began
        self.unanswered = 0
        self.serving = False
        self.leaving_since: float | None = None
        self.asked_to_count = 0
        self.counted: asyncio.Future[None] | None = None

    def ask_to_count(self) -> None:
        """Have it say what it counted until now."""
        self.asked_to_count += 1
        self.channel.send(Count())

    def note_counted(self) -> None:
        """Tell who waits for that that it has said all."""
        self.asked_to_count = 0
        counted, self.counted = self.counted, None
        if counted is not None and not counted.done():
            counted.set_result(None)


class Pool:
    """The workers of a server, numbered from 1.

    Args:
        first: The first process.
        clock: Monotonic time in seconds.
    """

    def __init__(self, first: First, clock: Callable[[], float]) -> None:
        self._first = first
        self._clock = clock
        self._size = 0
        self._members: dict[int, Member] = {}
        self._leaving: set[Member] = set()
        self._emptied = asyncio.Event()
        self._due = asyncio.Event()
        self._pulses = 0
        self._ready_by = 0.0
        self._pauses: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        serving = first.metrics.gauge("svcdns_workers", "Processes that answer queries.").labels()
        serving.follow(lambda: 1 + sum(member.serving for member in self._members.values()))
        self._lost = first.metrics.counter(
            "svcdns_workers_lost_total", "Processes that ended though they were not told to."
        ).labels()

    @property
    def pids(self) -> list[int]:
        """The process ids of all workers."""
        return [member.pid for member in self._all()]

    def unwell(self) -> str:
        """Return which workers have not been heard of for too long; nothing where there are none."""
        return "; ".join(
            f"worker {member.number} (process {member.pid}) does not answer"
            for member in self._members.values()
            if member.unanswered > SILENT
        )

    async def run(self) -> None:
        """Have as many workers as there are to be, until cancelled."""
        while True:
            await self._look_after()
            busy = self._size or self._leaving
            pause = (PULSE if self._members or self._is_time() else _UNTIL_READY) if busy else None
            try:
                await asyncio.wait_for(self._due.wait(), pause)
            except TimeoutError:
                self._pulses += 1
                for member in self._members.values():
                    member.unanswered += 1
                    if self._pulses % PULSES_TO_COUNT:
                        member.channel.send(Ping())
                    else:
                        member.ask_to_count()
            self._due.clear()

    def renew(self, size: int) -> None:
        """Have *size* workers who inherit what there is now, in the place of all who are there."""
        self._size = size
        self._ready_by = self._clock() + PATIENCE
        for member in list(self._members.values()):
            self._dismiss(member)
        self._due.set()

    def tell(self, number: int, change: object) -> None:
        """Have workers learn a change of a resource; None stands for more than can be told.

        Args:
            number: Which of the resources that workers are left, counted from 0.
            change: The change.
        """
        if change is None:
            self.renew(self._size)
        elif self._members:
            octets = pack(Changed(number, change))
            for member in self._members.values():
                member.channel.write(octets)

    async def settle(self) -> None:
        """Add what workers counted, and what they have, to the metrics of the first process."""
        waiting = []
        for member in self._all():
            member.ask_to_count()
            if member.counted is None:
                member.counted = asyncio.get_running_loop().create_future()
            waiting.append(member.counted)
        if waiting:
            await asyncio.wait(waiting, timeout=COUNTING)

    async def stop(self) -> None:
        """Have all workers answer what has come, and end."""
        self.renew(0)
        try:
            async with asyncio.timeout(_LEAVING):
                while self._leaving:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            for member in self._leaving:
                _kill(member)

    def _all(self) -> list[Member]:
        return [*self._members.values(), *self._leaving]

    def _is_time(self) -> bool:
        """Tell whether to fork: once there is all to inherit, but for some of it nobody waits for ever."""
        return self._first.is_ready() or self._clock() > self._ready_by

    async def _look_after(self) -> None:
        """Kill who is stuck, and fork who is missing."""
        now = self._clock()
        for member in self._all():
            told = member.leaving_since
            if member.unanswered > STUCK or (told is not None and now - told > _LEAVING):
                log.error("worker %d (process %d) does not answer and is killed", member.number, member.pid)
                _kill(member)
        while missing := self._missing():
            await self._add(missing[0])

    def _missing(self) -> list[int]:
        """Return the numbers of workers that are to be forked now."""
        now = self._clock()
        wanted = range(1, self._size + 1) if self._is_time() else ()
        return [each for each in wanted if each not in self._members and self._not_before.get(each, now) <= now]

    async def _add(self, number: int) -> None:
        """Add a worker.

        It is forked by a callback: a fork of a task would find itself in the midst of that task.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            self._fail_to_fork(number, error)
            return
        channel = Channel()
        await channel.open(ours)
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(self._try_to_fork, number, channel, theirs, done)
        await done

    def _try_to_fork(self, number: int, channel: Channel, theirs: socket.socket, done: "asyncio.Future[None]") -> None:
        """Fork a worker, if it is still missing: a reload or a stop may have come in between."""
        if number in self._missing():
            self._fork(number, channel, theirs)
        else:
            channel.abort()
        theirs.close()
        if not done.done():
            done.set_result(None)

    def _fork(self, number: int, channel: Channel, theirs: socket.socket) -> None:
        bequest = self._first.bequeath(number)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                work(bequest, theirs)
        except OSError as error:
            self._fail_to_fork(number, error)
            channel.abort()
        else:
            member = self._members[number] = Member(number, channel, pid, self._clock())
            channel.hear, channel.end = partial(self._hear, member), partial(self._lose, member)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _hear(self, member: Member, message: object) -> None:
        member.unanswered = 0
        match message:
            case Counted(reports):
                self._first.metrics.add(reports, member.pid)
                member.asked_to_count -= 1
                if member.asked_to_count <= 0:
                    member.note_counted()
            case Pong() if not member.serving and member.leaving_since is None:
                member.serving = True
                self._first.leave_to(member.number)
            case Resign() if member.leaving_since is None:
                log.info(
                    "worker %d (process %d) ends after SIGTERM; another takes its place", member.number, member.pid
                )
                self._dismiss(member)
                self._due.set()

    def _dismiss(self, member: Member) -> None:
        """Have a worker leave; what comes to it from now on is read here."""
        del self._members[member.number]
        self._leaving.add(member)
        member.leaving_since = self._clock()
        member.channel.send(Leave())
        self._first.read(member.number)

    def _lose(self, member: Member) -> None:
        """Take in that a worker is gone, as its end of the channel is: that is the last that it does."""
        _kill(member)
        _, status = os.waitpid(member.pid, 0)
        self._first.metrics.forget(member.pid)
        member.note_counted()
        if member in self._leaving:
            self._leaving.remove(member)
            self._emptied.set()
            return
        del self._members[member.number]
        self._first.read(member.number)
        self._lost.value += 1
        code = os.waitstatus_to_exitcode(status)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        log.warning("worker %d (process %d) %s; another takes its place", member.number, member.pid, how)
        self._wait_before(member.number, self._clock() - member.began)

    def _fail_to_fork(self, number: int, error: OSError) -> None:
        log.error("no worker can be forked: %s", describe(error))
        self._wait_before(number)

    def _wait_before(self, number: int, lived: float = 0.0) -> None:
        """Have a worker's place filled again: at once, or after a pause where those in it ended again and again."""
        pause = self._pauses.get(number, 0.0) if lived < _SHORT_LIFE else 0.0
        self._pauses[number] = min(max(_FIRST_PAUSE, 2 * pause), _LONGEST_PAUSE)
        self._not_before[number] = self._clock() + pause
        self._due.set()


def _kill(member: Member) -> None:
    with suppress(ProcessLookupError):
        os.kill(member.pid, signal.SIGKILL)
