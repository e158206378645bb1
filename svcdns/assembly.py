"""A Corefile made into what serves it: chains of plugins, routes to them, pages of the side ports.

Nothing is opened or started here, so a Corefile that cannot be used leaves no trace.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

from svcdns import plugins
from svcdns.admin import Page
from svcdns.chain import Environment, Lent, Plugin, Resource, chain
from svcdns.corefile import DEFAULT_PORTS, Corefile, Key, Place, ServerBlock
from svcdns.dns.name import Name, from_text
from svcdns.errors import Faults
from svcdns.net.listeners import EVERYWHERE, Endpoint
from svcdns.net.sockets import is_any
from svcdns.responder import Route, refuse

T = TypeVar("T")
R = TypeVar("R", bound=Resource)


@dataclass(slots=True)
class Block:
    """A server block with its plugins, by name and in the order of the chain.

    Attributes:
        written: What the Corefile says.
        zones: What it answers for.
        plugins: Its plugins with their names.
        addresses: Where it listens, and where the Corefile says so; nothing stands for all addresses.
    """

    written: ServerBlock
    zones: tuple[Name, ...]
    plugins: list[tuple[str, Plugin]] = field(default_factory=list)
    addresses: dict[str, Place] = field(default_factory=dict)

    @property
    def recursive(self) -> bool:
        """Whether one of the plugins asks other servers."""
        return any(plugin.recursive for _, plugin in self.plugins)

    def place(self) -> Hashable:
        """Return what tells the block from all others, in this Corefile and in the next."""
        return tuple((key.scheme, key.zone, key.port) for key in self.written.keys), tuple(self.addresses)

    def find(self, interface: type[T]) -> T | None:
        """Return the first plugin that is an instance of *interface*."""
        return next((plugin for _, plugin in self.plugins if isinstance(plugin, interface)), None)


@dataclass(slots=True)
class Assembly:
    """All that one Corefile asks for.

    Attributes:
        corefile: The Corefile.
        blocks: Its server blocks.
        routes: Which block takes which zone, by listener.
        pages: The HTTP pages by address and path.
        places: Where the Corefile asks for each listener and for each HTTP address.
        resources: What outlives a reload, by key.
    """

    corefile: Corefile
    blocks: list[Block] = field(default_factory=list)
    routes: dict[Endpoint, dict[Name, Route]] = field(default_factory=dict)
    pages: dict[str, dict[str, Page]] = field(default_factory=dict)
    places: dict[Endpoint | str, Place] = field(default_factory=dict)
    resources: dict[Hashable, Resource] = field(default_factory=dict)

    def plugins(self) -> Iterator[tuple[str, Plugin]]:
        """Yield every plugin of every block with its name."""
        for block in self.blocks:
            yield from block.plugins

    @property
    def workers(self) -> int:
        """How many processes are to answer queries."""
        return max((plugin.workers for _, plugin in self.plugins()), default=1)

    def unready(self) -> dict[str, str]:
        """Return the names of plugins that cannot answer yet, each with its reasons."""
        reasons: dict[str, list[str]] = {}
        for name, plugin in self.plugins():
            if reason := plugin.unready:
                reasons.setdefault(name, []).append(reason)
        return {name: "; ".join(found) for name, found in reasons.items()}


def assemble(corefile: Corefile, lent: Lent, held: Mapping[Hashable, Resource], port: int) -> Assembly:
    """Set up the plugins of every server block.

    Args:
        corefile: What to make.
        lent: What the process lends.
        held: Resources of the Corefile in force, which live on where they are asked for again.
        port: The port of keys that name none.

    Raises:
        ConfigError: Directives cannot be used, or blocks would answer for the same zone at the same place; its text has
            a line for each.
    """
    assembly = Assembly(corefile)
    faults = Faults()
    for written in corefile.blocks:
        block = Block(written, tuple(from_text(zone) for zone in written.zones))
        assembly.blocks.append(block)
        environment = _environment(assembly, block, lent, held)
        for name in plugins.PLUGINS:
            directives = written.named(name)
            if directives or name in plugins.UNASKED:
                with faults.noted():
                    made = plugins.load(name).setup(directives, environment)
                    block.plugins += [(name, each) for each in ([made] if isinstance(made, Plugin) else made)]
        with faults.noted():
            _route(assembly, block, port)
    faults.check()
    return assembly


def _environment(assembly: Assembly, block: Block, lent: Lent, held: Mapping[Hashable, Resource]) -> Environment:
    def keep(key: Hashable, make: Callable[[], R], /) -> R:
        if key not in assembly.resources:
            assembly.resources[key] = held[key] if key in held else make()
        return assembly.resources[key]  # type: ignore[return-value]  # a key names one type of resource

    def listen(place: Place, addresses: Sequence[str]) -> None:
        block.addresses.update((address, place) for address in addresses if address not in block.addresses)

    def serve(place: Place, address: str, path: str, page: Page, /) -> None:
        assembly.pages.setdefault(address, {})[path] = page
        assembly.places.setdefault(address, place)

    return Environment(
        **{each.name: getattr(lent, each.name) for each in fields(Lent)},
        zones=block.zones,
        place=block.place,
        recursive=lambda: block.recursive,
        find=block.find,
        keep=keep,
        serve=serve,
        listen=listen,
    )


def _route(assembly: Assembly, block: Block, port: int) -> None:
    """Lead the block's zones to its chain, at each of its addresses."""
    handler = chain([plugin for _, plugin in block.plugins], refuse)
    refreshes = tuple(plugin.refresh for _, plugin in block.plugins if type(plugin).refresh is not Plugin.refresh)
    for key in block.written.keys:
        zone = from_text(key.zone)
        for address, place in (block.addresses or {EVERYWHERE: key}).items():
            endpoint = Endpoint(address, _port(key, port))
            assembly.places.setdefault(endpoint, place)
            _check_overlap(assembly, key, endpoint)
            routes = assembly.routes.setdefault(endpoint, {})
            if zone in routes:
                raise key.error(f"{key.zone} is served at port {endpoint.port} by a server block above, expected once")
            routes[zone] = Route(zone, handler, block.recursive, refreshes)


def _check_overlap(assembly: Assembly, key: Key, endpoint: Endpoint) -> None:
    """Refuse a zone both at some addresses of a port and at all: which block answers would depend on the address.

    No zone can have all addresses both with and without `bind`: nothing would tell the two listeners apart.
    """
    unbound = endpoint.address == EVERYWHERE
    for other, routes in assembly.routes.items():
        if other.port != endpoint.port or not other.port or (other.address == EVERYWHERE) == unbound:
            continue
        if from_text(key.zone) in routes:
            raise key.error(
                f"{key.zone} is served at port {endpoint.port} both with and without 'bind', expected one of them"
            )
        if is_any(other.address or endpoint.address):
            raise key.error(f"port {endpoint.port} is listened on at all addresses both with and without 'bind'")


def _port(key: Key, default: int) -> int:
    if key.port is not None:
        return key.port
    return default if key.scheme == "dns" else DEFAULT_PORTS[key.scheme]
