"""The tasks of the process: none is lost, and none fails unseen.

Nothing that comes from outside may end the process, so work that fails is logged and, where it is to last, begun again
with back-off. What is left at the end is cancelled and waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

log = logging.getLogger(__name__)


class Tasks:
    """Makes tasks and keeps them from the collector until they are done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin *work*; a failure is logged here and kept for whoever awaits the task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep_running(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Begin work that lasts; when it fails it is begun again after a pause that grows to 30 seconds."""
        return self.spawn(_begin_again(name, run))

    async def cancel(self, tasks: Iterable[asyncio.Task[Any]] | None = None) -> None:
        """Cancel *tasks*, by default all, and wait until they are done."""
        chosen = set(self._tasks if tasks is None else tasks) - {asyncio.current_task()}
        for task in chosen:
            task.cancel()
        await asyncio.gather(*chosen, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed: %r", task.get_coro(), error, exc_info=error)


async def _begin_again(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE
    while True:
        begun = loop.time()
        try:
            return await run()
        except Exception:
            log.exception("%s failed and is begun again", name)
        pause = _FIRST_PAUSE if loop.time() - begun > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
        await asyncio.sleep(pause)
