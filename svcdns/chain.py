"""What a plugin is, and how plugins form the chain of a server block.

A query meets the plugins of its block in the order of `plugins.PLUGINS`. Each either answers or returns what the rest
of the chain answers, perhaps changed. Nobody writes to a socket: values go in, values come out.
"""

from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from svcdns.admin import Page
from svcdns.corefile import Directive, Place
from svcdns.corefile.values import parse_address
from svcdns.dns.message import Query, Response
from svcdns.dns.name import Name
from svcdns.metrics import Metrics

Handler = Callable[[Query], Coroutine[Any, Any, Response]]
Handle = Callable[[Query, Handler], Coroutine[Any, Any, Response]]
R = TypeVar("R", bound="Resource")
T = TypeVar("T")


class Plugin:
    """One link of a server block's chain.

    Attributes:
        recursive: Whether the plugin asks other servers for the client, so that answers of its block say so (RA).
        lameduck: How long the server goes on answering after it was told to stop, in seconds.
        startup_timeout: How long a reload waits for the plugin to become ready, in seconds.
        workers: How many processes are to answer queries.
        singular: Whether `run` does its work for all of these processes, so that only the first one is to do it.
        skippable: Whether an answer that passed the plugin may be given again without it (`Response.repeat`): what the
            plugin does depends on the question alone, or it takes `repeat` away where it does not.
    """

    skippable: bool = False
    recursive: bool = False
    lameduck: float = 0.0
    startup_timeout: float = 0.0
    workers: int = 1
    singular: bool = False

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Answer *query*, by default with what the rest of the chain answers.

        It runs in no task: it may await futures, and spawns what needs a task, such as a timeout.
        """
        return await rest(query)

    def refresh(self) -> None:
        """End the leases of answers that hold good no longer. Called before any answer is given again."""

    def prepare(self) -> None:
        """Have at hand what is likely to be asked for next. Called soon after a change of a resource."""

    async def run(self) -> None:
        """Do the plugin's background work, if any, until cancelled."""

    @property
    def unready(self) -> str:
        """Why the plugin cannot answer yet, in a few words; empty once it can. Asked by the ready endpoint."""
        return ""

    @property
    def example(self) -> str:
        """A question that the plugin answers, as ``NAME TYPE``, to show to people who start it by hand; or nothing."""
        return ""


class Wait(Future[T]):
    """A future whose maker may have the chain that awaits it stepped on with others: many in one turn cost less.

    Attributes:
        go_on: The callback that steps the chain on; None where no chain awaits the future.
    """

    go_on: Callable[..., None] | None = None

    def end(self, result: T, hold: Callable[[Callable[[], None]], None]) -> None:
        """Set the result, and leave it to *hold* when the chain is stepped on; whatever else ends it, the loop does."""
        go_on = self.go_on
        if go_on is not None:
            self.remove_done_callback(go_on)
        self.set_result(result)
        if go_on is not None:
            hold(go_on)


class Resource:
    """What outlives a reload: a watch, a cache, whatever the next Corefile asks for under the same key.

    Worker processes are forked from the one that holds it. They make one of their own, unless they inherit this one.
    """

    async def run(self) -> None:
        """Do the resource's background work until cancelled, or return at once where there is none."""

    def inherit(self) -> "Resource | None":
        """Return what a worker has in its place, asked in the worker; None where it makes its own."""
        return None

    def publish(self, tell: "Tell") -> None:
        """Have *tell* called with each change, for those who inherited the resource, and for plugins to prepare."""

    def learn(self, change: object) -> None:
        """Take in a change that the process tells of from which this one inherited the resource."""


Tell = Callable[[object], None]
"""Takes a change of a resource; None where there is too much to tell, so that workers are to inherit it again."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What the application lends to every plugin.

    Attributes:
        clock: Monotonic time in seconds: for lifetimes and timers.
        wall: Unix time in seconds: for serials and certificates only.
        metrics: Where counters and gauges are kept.
        resolve: Ask the whole server, as a client of the same listener would: for chases.
        settle: Have everything counted that was answered, in all processes of the server, before counts are shown.
        spawn: Run work that outlives a query; failures are logged, the process lives on.
        unready: The names of plugins, of all blocks, that cannot answer yet, with the reason of each.
        unwell: What keeps other processes of the server from answering; empty where nothing does.
        workers: The process ids of the others that answer, too.
        listening: The addresses and ports that the server answers at, once it does; an address may stand for all.
        look_again: Ask for the Corefile to be read again, and to be put in force if it says something else.
        stopping: Whether the server was told to stop and only drains.
        warn: Take note of what is odd about the Corefile while it is set up, to be told where that is told of it.
    """

    clock: Callable[[], float]
    wall: Callable[[], float]
    metrics: Metrics
    resolve: Callable[[Query], Awaitable[Response]]
    settle: Callable[[], Awaitable[None]]
    spawn: "Spawn"
    unready: Callable[[], dict[str, str]]
    unwell: Callable[[], str]
    workers: Callable[[], Sequence[int]]
    listening: Callable[[], Sequence[tuple[str, int]]]
    look_again: Callable[[], None]
    stopping: Callable[[], bool]
    warn: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Environment(Lent):
    """What is lent to the plugins of one server block.

    Attributes:
        zones: The zones of the block's keys, in the order written.
        place: What tells the block from all others, in this Corefile and in the next. Known once `bind` is set up.
        recursive: Whether a plugin of the block asks other servers. Known once all plugins of the block are set up.
        find: Another plugin of the block that is an instance of a class or runtime protocol, or None. Known once all
            plugins of the block are set up.
        keep: The resource kept under a key since an earlier Corefile, else the one that the maker makes.
        serve: Answer GET requests for a path on an HTTP side port; ``serve(place, address, path, page)``.
        listen: Ask for the block to be served on these addresses instead of on all; ``listen(place, addresses)``.
    """

    zones: tuple[Name, ...]
    place: Callable[[], Hashable]
    recursive: Callable[[], bool]
    find: "Find"
    keep: "Keep"
    serve: "Serve"
    listen: Callable[[Place, Sequence[str]], None]


class Spawn(Protocol):
    """Begins work that no query owns."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Task[T]:
        """Make a task of *work*; a failure is logged, and the process lives on."""


class Find(Protocol):
    """Finds another plugin of the block by what it offers."""

    def __call__(self, interface: type[T], /) -> T | None:
        """Return the block's first plugin that is an instance of *interface*."""


class Keep(Protocol):
    """Holds on to resources across reloads."""

    def __call__(self, key: Hashable, make: Callable[[], R], /) -> R:
        """Return the resource under *key*, made by *make* where no Corefile in force holds it."""


class Serve(Protocol):
    """Opens an HTTP side port."""

    def __call__(self, place: Place, address: str, path: str, page: Page, /) -> None:
        """Answer GET and HEAD of *path* at *address* with *page*.

        Args:
            place: Where the Corefile asks for it.
            address: ``HOST:PORT``; an empty host stands for all addresses.
            path: The URL's path.
            page: Makes the answer.
        """


Setup = Callable[[Sequence[Directive], Environment], Plugin | Sequence[Plugin]]
"""What a plugin module offers as `setup`: the block's directives of that name, in file order, to links of the chain."""


def only(directives: Sequence[Directive]) -> Directive:
    """Return the one directive of those that a `setup` got.

    Raises:
        ConfigError: There are several.
    """
    first, *more = directives
    if more:
        raise more[0].error(f"found again in the server block after {first.path}:{first.line}, expected only once")
    return first


def read_address(directive: Directive, default: str) -> str:
    """Return the address of an HTTP side port, which is all that *directive* may name, or else *default*.

    Raises:
        ConfigError: It names something else, or more.
    """
    if len(directive.words) > 1:
        raise directive.expected("[ADDRESS]")
    for word in directive.words:
        directive.value(parse_address, word)
    return next(iter(directive.words), default)


def chain(plugins: Sequence[Plugin], end: Handler) -> Handler:
    """Link the plugins that handle queries, first to last, before *end*, which answers what none of them did."""
    handler = end
    for plugin in reversed(plugins):
        if type(plugin).handle is not Plugin.handle:
            handler = _link(plugin.handle if plugin.skippable else _see_all(plugin.handle), handler)
    return handler


def _see_all(handle: Handle) -> Handle:
    """Have every query come by."""

    async def see(query: Query, rest: Handler) -> Response:
        response = await handle(query, rest)
        return response if response.repeat is None else response.repeatable(None)

    return see


def _link(handle: Handle, rest: Handler) -> Handler:
    """Bind *rest* in half the time that a partial takes for each query."""

    def link(query: Query) -> Coroutine[Any, Any, Response]:
        return handle(query, rest)

    return link
