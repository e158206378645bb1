"""What all questions to upstreams share."""

import asyncio
import resource
import socket
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest

from svcdns.net.poller import AT_ONCE, MOST_QUESTIONS, Poller, limit_questions
from svcdns.tasks import Tasks

SOCKETS = 2 * AT_ONCE + 1


@pytest.mark.parametrize(
    ("files", "limit"),
    [(1024, 512), (2 * MOST_QUESTIONS + 2, MOST_QUESTIONS), (resource.RLIM_INFINITY, MOST_QUESTIONS)],
)
def test_a_half_of_the_open_files_is_for_questions(files: int, limit: int) -> None:
    assert limit_questions(files) == limit


def test_the_files_that_count_are_those_of_this_process() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert Poller(time.monotonic, Tasks().spawn).limit == 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_many_messages_at_once_are_read_in_several_turns_of_the_loop() -> None:
    poller = Poller(time.monotonic, Tasks().spawn)
    read: Counter[int] = Counter()
    turn = 0

    def ready(receiver: socket.socket) -> None:
        receiver.recv(1)
        read[turn] += 1

    with ExitStack() as stack:
        for _ in range(SOCKETS):
            sender, receiver = map(stack.enter_context, socket.socketpair(type=socket.SOCK_DGRAM))
            poller.watch(receiver, partial(ready, receiver))
            sender.send(b"x")
        while read.total() < SOCKETS:
            await asyncio.sleep(0)
            turn += 1
        poller.close()
    assert sorted(read.values()) == [1, AT_ONCE, AT_ONCE]


async def test_who_is_forgotten_meanwhile_is_not_called() -> None:
    poller = Poller(time.monotonic, Tasks().spawn)
    called: list[socket.socket] = []
    with ExitStack() as stack:
        pairs = [list(map(stack.enter_context, socket.socketpair(type=socket.SOCK_DGRAM))) for _ in range(SOCKETS)]

        def ready(receiver: socket.socket) -> None:
            called.append(receiver)
            for _, each in pairs:
                poller.forget(each)

        for sender, receiver in pairs:
            poller.watch(receiver, partial(ready, receiver))
            sender.send(b"x")
        for _ in range(10):
            await asyncio.sleep(0)
        poller.close()
    assert len(called) == 1


async def test_what_is_held_is_called_even_if_the_poller_closes_meanwhile() -> None:
    poller = Poller(time.monotonic, Tasks().spawn)
    called: list[int] = []
    poller.hold(partial(called.append, 1))
    poller.close()
    await asyncio.sleep(0)
    assert called == [1]


async def test_what_is_held_is_sent_together_and_a_failure_stops_none() -> None:
    poller = Poller(time.monotonic, Tasks().spawn)
    sent: list[int] = []
    failures: list[object] = []

    def fail() -> None:
        raise ConnectionError

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    poller.hold(partial(sent.append, 1))
    poller.hold(fail)
    poller.hold(partial(sent.append, 2))
    assert sent == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sent == [1, 2]
    assert [type(failure) for failure in failures] == [ConnectionError]
