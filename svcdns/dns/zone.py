"""What stands at a name of a zone, and what a question for it is answered.

A plugin that serves a zone finds the `Node` of a name, or finds none; `Zone.answer` does the rest: data, CNAME, NODATA
or NXDOMAIN, with what belongs into the other sections.

Source: RFC 1034 section 4.3.2, RFC 2308 sections 2 and 3, RFC 8020, RFC 8482 section 4.1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from svcdns.dns.message import Lease, Rcode, Repeat, Response
from svcdns.dns.name import Name
from svcdns.dns.records import RRset, Rtype, as_denial


class Records(NamedTuple):
    """A record set, and what goes with it into the additional section."""

    rrset: RRset
    additional: tuple[RRset, ...] = ()


Maker = Callable[[], Records | None]
"""Makes the records of one type when they are first asked for; None where it turns out that there are none."""


class Node:
    """What stands at one name: records by type. One without any is an empty non-terminal.

    Args:
        parts: The records of each type, or what makes them. With a CNAME there is nothing else (RFC 2181 section 10.1).
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Mapping[int, Records | Maker]) -> None:
        self._parts = dict(parts)

    def get(self, rtype: int) -> Records | None:
        """Return the records of *rtype*, if there are any."""
        part = self._parts.get(rtype)
        if part is None or isinstance(part, Records):
            return part
        made = part()
        if made is None:
            del self._parts[rtype]
        else:
            self._parts[rtype] = made
        return made

    def smallest(self) -> Records | None:
        """Return the records that take the fewest octets, without additional ones: the answer to ANY (RFC 8482).

        The others, which nobody asked for, are not kept.
        """
        made = (part if isinstance(part, Records) else part() for part in self._parts.values())
        rrsets = [records.rrset for records in made if records is not None]
        return Records(min(rrsets, key=lambda rrset: len(rrset.octets))) if rrsets else None


EMPTY = Node({})
"""A name that exists only because one below it does."""


class Zone:
    """The answers of one version of a zone; all of them are authoritative.

    A version may be over before anybody is denied anything, so what denials need is made when it is asked for.

    Args:
        apex: The name of the zone.
        publish: Makes its SOA record set.
        plugin: The plugin that answers.
        lease: How long this version holds good.

    Attributes:
        apex: See above.
    """

    def __init__(self, apex: Name, publish: Callable[[], RRset], plugin: str, lease: Lease) -> None:
        self.apex = apex
        self._publish = publish
        self._plugin = plugin
        self._repeat = Repeat(lease)
        self._soa: RRset | None = None
        self._denial: RRset | None = None
        self._nodata: Response | None = None
        self._nxdomain: Response | None = None

    @property
    def soa(self) -> RRset:
        """Its SOA record set."""
        if self._soa is None:
            self._soa = self._publish()
        return self._soa

    @property
    def denial(self) -> RRset:
        """The SOA as negative answers carry it."""
        if self._denial is None:
            self._denial = as_denial(self.soa)
        return self._denial

    @property
    def nodata(self) -> Response:
        """The answer for a name that has nothing of the type asked for."""
        if self._nodata is None:
            self._nodata = Response(authority=(self.denial,), aa=True, plugin=self._plugin, repeat=self._repeat)
        return self._nodata

    @property
    def nxdomain(self) -> Response:
        """The answer for a name that does not exist, nor any below it."""
        if self._nxdomain is None:
            self._nxdomain = self.nodata.replace(rcode=Rcode.NXDOMAIN)
        return self._nxdomain

    def answer(self, node: Node | None, rtype: int) -> Response:
        """Answer a question for the name at which *node* stands; None for a name that does not exist.

        A CNAME answers every type; whoever asks follows it.
        """
        if node is None:
            return self.nxdomain
        records = node.smallest() if rtype == Rtype.ANY else node.get(rtype) or node.get(Rtype.CNAME)
        if records is None:
            return self.nodata
        return Response(
            answer=(records.rrset,),
            additional=records.additional,
            aa=True,
            plugin=self._plugin,
            repeat=self._repeat,
        )
