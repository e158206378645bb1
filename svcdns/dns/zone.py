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

    Args:
        soa: The zone's SOA record set; its owner is the apex.
        plugin: The plugin that answers.
        lease: How long this version holds good.

    Attributes:
        apex: The name of the zone.
        soa: Its SOA record set.
        denial: The SOA as negative answers carry it.
        nodata: The answer for a name that has nothing of the type asked for.
        nxdomain: The answer for a name that does not exist, nor any below it.
    """

    __slots__ = ("_plugin", "_repeat", "apex", "denial", "nodata", "nxdomain", "soa")

    def __init__(self, soa: RRset, plugin: str, lease: Lease) -> None:
        self.apex: Name = soa.owner
        self.soa = soa
        self.denial = as_denial(soa)
        self._repeat = Repeat(lease)
        self.nodata = Response(authority=(self.denial,), aa=True, plugin=plugin, repeat=self._repeat)
        self.nxdomain = self.nodata._replace(rcode=Rcode.NXDOMAIN)
        self._plugin = plugin

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
