"""loadbalance - orders addresses, so that clients that take the first one spread.

Syntax:
    ```
    loadbalance [round_robin | weighted FILE] {
        reload DURATION
        prefer CIDR...
    }
    ```

In positive answers, records of type A, AAAA and MX come in another order each time; none is left out.

- `round_robin`, the default: each record comes first equally often.
- `weighted`: addresses come first as often as FILE says, relative to the other addresses of their name. FILE (relative
  to the Corefile) holds lines with a name, each followed by lines with an address and its weight from 1 to 255, 1 being
  that of addresses which are not in there; `#` starts a comment.
- `reload`: how often FILE is read again (30s); 0s for never. A file that cannot be used changes nothing.
- `prefer`: addresses in CIDR come before others, those in the first CIDR first of all.

Examples:
    ```
    . {
        loadbalance
    }
    ```
    ```
    . {
        loadbalance weighted weights.txt {
            reload 10s
            prefer 10.0.0.0/8 fd00::/8
        }
    }
    ```
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from svcdns.chain import Environment, Handler, Plugin, only
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_duration
from svcdns.dns.message import Query, Rcode, Repeat, Response
from svcdns.dns.name import Name, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.errors import ConfigError, describe

_SYNTAX = "[round_robin | weighted FILE]"
_ADDRESSES = frozenset({Rtype.A, Rtype.AAAA})
_ORDERED = _ADDRESSES | {Rtype.MX}
_RELOAD = 30.0
_HEAVIEST = 255

Network = IPv4Network | IPv6Network
Weights = Mapping[Name, Mapping[bytes, int]]
"""By name and packed address."""

log = logging.getLogger(__name__)


class LoadBalance(Plugin):
    """Orders addresses.

    Args:
        weights: The file of weights, if there is one.
        preferred: The networks whose addresses come first, in this order.
    """

    skippable = True

    def __init__(self, weights: "WeightFile | None", preferred: Sequence[Network]) -> None:
        self._weights = weights
        self._preferred = [
            (int(each.network_address), int(each.netmask), each.max_prefixlen // 8) for each in preferred
        ]

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Return the answer of the rest of the chain, in another order where it has several addresses."""
        response = await rest(query)
        for rrset in response.answer + response.additional:
            if len(rrset.rdatas) > 1 and rrset.rtype in _ORDERED and response.rcode == Rcode.NOERROR:
                return self._reorder(response)
        return response

    async def run(self) -> None:
        """Read the file of weights again and again."""
        if self._weights is not None:
            await self._weights.follow()

    def _reorder(self, response: Response) -> Response:
        repeat = response.repeat
        if repeat is not None and self._weights is None:
            repeat = Repeat(repeat.lease, None, partial(self._reorder, response.repeatable(None)), repeat.notes)
        else:
            repeat = None  # with weights that are read again, orders that were made before would be wrong ones
        additional = self._order_all(response.additional) if response.additional else ()
        return response.with_records(self._order_all(response.answer), response.authority, additional, repeat)

    def _order_all(self, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
        return (self._order(rrsets[0]),) if len(rrsets) == 1 else tuple(map(self._order, rrsets))

    def _order(self, rrset: RRset) -> RRset:
        count = len(rrset.rdatas)
        if count < 2 or rrset.rtype not in _ORDERED:
            return rrset
        first = int(random.random() * count)  # noqa: S311 - no secret
        if rrset.rtype in _ADDRESSES:
            if self._weights is not None:
                first = self._weights.choose(rrset)
            if self._preferred:
                others = rrset.rdatas[:first] + rrset.rdatas[first + 1 :]
                shuffled = [rrset.rdatas[first], *random.sample(others, len(others))]
                return rrset.with_rdatas(sorted(shuffled, key=self._rank))
        return rrset.starting_at(first)

    def _rank(self, rdata: bytes) -> int:
        """Return the index of the first network that holds the address *rdata*."""
        address = int.from_bytes(rdata)
        for rank, (network, mask, length) in enumerate(self._preferred):
            if length == len(rdata) and address & mask == network:
                return rank
        return len(self._preferred)


class WeightFile:
    """How often each address of a name comes first.

    Args:
        directive: The directive that names the file.
        path: The file.
        interval: How often it is read again, in seconds; 0 for never.
    """

    def __init__(self, directive: Directive, path: Path, interval: float) -> None:
        self._directive = directive
        self._path = path
        self._interval = interval
        self._text = ""
        self._weights: Weights = {}

    def read(self) -> None:
        """Read the file, if it says something else than before.

        Raises:
            ConfigError: It cannot be read, or it has a line that says nothing.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._directive.error(
                f"the file of weights {self._path} cannot be read: {describe(error)}"
            ) from error
        if text != self._text:
            self._weights = _parse_weights(text, str(self._path))
            self._text = text

    async def follow(self) -> None:
        """Read the file every so often."""
        while self._interval:
            await asyncio.sleep(self._interval)
            try:
                self.read()
            except ConfigError as error:
                log.warning("%s", error)

    def choose(self, rrset: RRset) -> int:
        """Return the index of the address that comes first this time."""
        weights = self._weights.get(rrset.owner, {})
        chosen = [weights.get(rdata, 1) for rdata in rrset.rdatas]
        return random.choices(range(len(chosen)), chosen)[0]  # noqa: S311 - no secret


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``loadbalance``."""
    directive = only(directives)
    interval, preferred = _RELOAD, []
    weighted = directive.words[:1] == ("weighted",)
    for option in directive.options:
        match option.name, option.words:
            case "reload", (word,) if weighted:
                interval = option.value(parse_duration, word)
            case "reload", _:
                raise option.expected("DURATION") if weighted else option.error("found without 'weighted'")
            case "prefer", ():
                raise option.expected("CIDR...")
            case "prefer", words:
                preferred += [option.value(_parse_network, word) for word in words]
            case _:
                raise option.unknown(("reload", "prefer"))
    match directive.words:
        case () | ("round_robin",):
            weights = None
        case ("weighted", name):
            weights = _open_weights(directive, Path(directive.path).parent / name, interval, environment.warn)
        case _:
            raise directive.expected(_SYNTAX)
    return LoadBalance(weights, preferred)


def _open_weights(directive: Directive, path: Path, interval: float, warn: Callable[[str], None]) -> WeightFile:
    """Read the file for the first time; one that is not there may come later, if it is read again."""
    weights = WeightFile(directive, path, interval)
    if path.exists() or not interval:
        weights.read()
    else:
        warn(f"there is no {path} yet; it is looked for again in {interval:g}s")
    return weights


def _parse_network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected a CIDR, such as 10.0.0.0/8 or fd00::/8") from None


def _parse_weights(text: str, path: str) -> Weights:
    weights: dict[Name, dict[bytes, int]] = {}
    name = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        try:
            if len(words) == 1:
                name = from_text(words[0])
            elif words:
                address, weight = _parse_weight(words)
                weights.setdefault(_above(name), {})[address] = weight
        except ValueError as error:
            raise ConfigError(path, number, f"found {line!r}, {error}") from None
    return weights


def _above(name: Name | None) -> Name:
    if name is None:
        raise ValueError("expected a name before the first address")
    return name


def _parse_weight(words: Sequence[str]) -> tuple[bytes, int]:
    address, weight, *more = words
    if more or not weight.isdecimal() or not 1 <= int(weight) <= _HEAVIEST:
        raise ValueError(f"expected ADDRESS WEIGHT with a weight from 1 to {_HEAVIEST}")
    return ip_address(address).packed, int(weight)
