"""One question to one upstream, for who waits for it in a task."""

import asyncio

from svcdns.dns.message import Query, Response
from svcdns.errors import UpstreamError
from svcdns.net.client import STREAM_SHARE, Exchange
from svcdns.net.upstream import Upstream


class _Answer:
    """An asker that waits in a task."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def hear(self, exchange: Exchange, response: Response) -> None:  # noqa: ARG002 - there is one
        if not self.future.done():
            self.future.set_result(response)

    def fail(self, exchange: Exchange, error: UpstreamError) -> None:  # noqa: ARG002 - as above
        if not self.future.done():
            self.future.set_exception(error)

    def miss(self, exchange: Exchange) -> None:
        """Wait on."""


async def ask(upstream: Upstream, query: Query, patience: float, *, stream_after: float | None = None) -> Response:
    """Ask one upstream one question.

    Args:
        upstream: Whom to ask.
        query: What to ask.
        patience: How long to wait for the answer, in seconds.
        stream_after: Seconds until TCP is asked where UDP brings nothing; 0 leaves UDP out. By default a part of
            *patience*.

    Raises:
        UpstreamError: There was no answer within *patience* seconds.
    """
    answer = _Answer()
    after = STREAM_SHARE * patience if stream_after is None else stream_after
    exchange = Exchange(upstream, query, answer, patience=patience, stream_after=after, lifetime=patience)
    exchange.start()
    try:
        return await answer.future
    finally:
        exchange.close()
