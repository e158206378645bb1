"""What plugins look for in each other (`chain.Environment.find`)."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from svcdns.dns.message import Query, Response
from svcdns.net.upstream import Upstream


@runtime_checkable
class Keeper(Protocol):
    """What keeps answers: the cache."""

    def keep(self, query: Query, response: Response) -> None:
        """Keep the answer to *query*, which came when somebody had not waited for it."""


@runtime_checkable
class Forwarder(Protocol):
    """What asks upstreams."""

    def upstreams(self) -> Sequence[Upstream]:
        """Return every upstream that is asked at the time."""
