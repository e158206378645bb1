"""A worker: what a fork of the first process does."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import uvloop

from svcdns import logs, memory
from svcdns.assembly import assemble
from svcdns.chain import Resource
from svcdns.corefile import Corefile
from svcdns.errors import SvcdnsError
from svcdns.net.listeners import Endpoint, Share, list_sockets
from svcdns.server import Server
from svcdns.workers.channel import Changed, Channel, Count, Counted, Leave, Ping, Pong, Resign

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
"""What the first process handles for all."""

_FAILED = 1
_STANDARD_ERROR = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bequest:
    """What the first process leaves to a fork.

    Attributes:
        corefile: The Corefile in force.
        port: The port of keys that name none.
        resources: The resources in use, by key.
        shares: The sockets to read, by where they are.
    """

    corefile: Corefile
    port: int
    resources: Mapping[Hashable, Resource]
    shares: Mapping[Endpoint, Share]


def work(bequest: Bequest, connected: socket.socket) -> NoReturn:
    """Serve, in a process that was just forked, until told to leave or until the first process is gone.

    It ends with `os._exit`, since all that stands above in the stack, and what hangs on it, is the first process's. For
    the same reason the collector must not look at what was there before: files that were closed here behind the back of
    their objects would be closed again, when their numbers are those of others.

    Args:
        bequest: What to serve.
        connected: The connection to the first process.
    """
    code = _FAILED
    writer = None
    try:
        gc.freeze()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        sockets = list_sockets(bequest.shares.values())
        _close_all_but({connected.fileno(), *(each.fileno() for each in sockets)})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        writer = logs.start()
        worker = _Worker(bequest)  # holds the channel, which is to close when the process ends, and not before
        uvloop.run(worker.run(connected))
        code = 0
    except SvcdnsError as error:
        log.error("a worker cannot begin: %s", error)  # noqa: TRY400 - it says where
    except Exception:
        log.exception("a worker failed")
    finally:
        if writer is not None:
            writer.stop()
        os._exit(code)


class _Worker:
    """Serves what it was left, as the first process says.

    Args:
        bequest: What to serve.
    """

    def __init__(self, bequest: Bequest) -> None:
        self._bequest = bequest
        self._server = Server(first=False)
        self._channel = Channel()
        self._channel.hear = self._hear
        self._channel.end = partial(os._exit, _FAILED)  # the first process is gone, and the next one needs the ports
        self._leaving = asyncio.Event()
        self._learning: list[Resource] = []

    async def run(self, connected: socket.socket) -> None:
        """Serve until told to leave."""
        server, bequest = self._server, self._bequest
        inherited = {key: each.inherit() for key, each in bequest.resources.items()}
        held = {key: each for key, each in inherited.items() if each is not None}
        assembly = assemble(bequest.corefile, server.lent, held, bequest.port)
        for endpoint in assembly.routes.keys() & bequest.shares.keys():
            server.listeners[endpoint] = server.listen(assembly, endpoint, [_take_over(bequest.shares[endpoint])])
        self._learning = [assembly.resources[key] for key in bequest.resources]
        await server.put_in_force(assembly)
        await self._channel.open(connected)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._channel.send, Resign())
        server.tasks.keep_running("memory", memory.keep_small)
        for listeners in server.listeners.values():
            listeners.start(0)
        self._channel.send(Pong())
        await self._leaving.wait()
        await server.stop_listening()
        await server.tasks.cancel()
        self._channel.send(Counted(server.metrics.take()))
        await self._channel.flush()

    def _hear(self, message: object) -> None:
        match message:
            case Changed(number, change):
                self._server.learn(self._learning[number], change)
            case Ping():
                self._channel.send(Pong())
            case Count():
                self._server.tasks.spawn(self._count())
            case Leave():
                self._leaving.set()

    async def _count(self) -> None:
        await self._server.settle()
        self._channel.send(Counted(self._server.metrics.take()))


def _take_over(share: Share) -> Share:
    """Return the sockets of a share as objects of our own.

    The first process's event loop holds those that it reads, which the fork has a copy of: a `close` here would wait
    for that loop to let go, and what comes to the sockets meanwhile would be lost.
    """
    return [(socket.socket(fileno=udp.detach()), socket.socket(fileno=tcp.detach())) for udp, tcp in share]


def _close_all_but(kept: set[int]) -> None:
    """Close the files of the first process: connections would not end as long as a fork holds them."""
    for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - names are all that is wanted
        if number > _STANDARD_ERROR and number not in kept:
            with suppress(OSError):  # the directory that is read is one of them
                os.close(number)
