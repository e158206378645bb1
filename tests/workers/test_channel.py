"""Messages between processes, where the other one is gone."""

import asyncio
import logging
import socket

import pytest

from svcdns.workers.channel import Channel, Ping


async def test_what_is_sent_to_one_that_is_gone_is_dropped_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    channel, ended = Channel(), asyncio.Event()
    channel.end = ended.set
    await channel.open(ours)
    theirs.close()
    with caplog.at_level(logging.DEBUG):
        for _ in range(100):
            channel.send(Ping())
        await ended.wait()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
