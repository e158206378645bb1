"""What one `kubernetes` directive answers from a cluster.

What stands at a name is kept until the objects behind it change, as far as there is room, so the answer to a question
asked before costs a few dictionary look-ups. No answer is older than the last event that the cluster took in: revisions
are compared before. Each answer has a lease: that of the Service behind its name, or that of the zone's version, which
any change ends. A denial has the SOA of that version in it, so it has such a lease, and is renewed while there still is
nothing.

Source: RFC 1034 section 4.3.2, RFC 2308, RFC 6604.
"""

from collections.abc import Callable, Sequence
from functools import partial

from svcdns.dns.message import ENDED, Ede, ExtendedError, Lease, Rcode, Repeat, Response
from svcdns.dns.name import ROOT, Name, parent
from svcdns.dns.records import RRset, Rtype
from svcdns.dns.zone import Zone
from svcdns.kube.cluster import Cluster
from svcdns.kube.directory import EVERY_CHANGE, UNREAD, Directory, Options
from svcdns.kube.memo import Chase, Entry, Memo
from svcdns.kube.objects import Key, Kind
from svcdns.kube.reverse import is_reverse
from svcdns.kube.schema import make_soa, name_service

PLUGIN = "kubernetes"

MAX_LINKS = 8
"""How many CNAMEs are followed inside a zone."""

PRESENT_OCTETS = 3 * 2**20
"""About how much memory is there for what stands at names: enough for a thousand or more.

More would help where answers cannot be given again alone; each process has it.
"""

ABSENT_OCTETS = 2**20
"""About how much is there for names that do not exist: search lists ask for the same ones again and again."""

PRESENT_LEASES = 2**16
"""Of how many Services answers may be given again."""

ABSENT_LEASES = 2**13
"""The same of Services that do not exist, of which there may be any number."""

_DISPENSABLE = frozenset({Kind.ENDPOINT_SLICE, Kind.POD})
_ADDRESS_TYPES = frozenset({Rtype.A, Rtype.AAAA})
_ALIAS_TYPES = frozenset({Rtype.CNAME, Rtype.ANY})


class View:
    """Answers questions from a cluster.

    Args:
        cluster: The cluster.
        options: What to show of it.
        local: Returns the addresses that this server answers at, as octets.
    """

    def __init__(self, cluster: Cluster, options: Options, local: Callable[[], Sequence[bytes]]) -> None:
        self._cluster = cluster
        self._options = options
        self._apexes = {zone: zone for zone in options.zones}  # finds the object that equals a name
        self._endings = tuple(options.zones)
        self._directory = Directory(cluster, options, local)
        self._revision = -1
        self._prepared = cluster.revision
        self._late: frozenset[Kind] = frozenset()
        self._lease = Lease()
        self._zones: dict[Name, Zone] = {}
        self._present = Memo(PRESENT_OCTETS, PRESENT_LEASES)
        self._absent = Memo(ABSENT_OCTETS, ABSENT_LEASES)

    def find(self, name: Name, rtype: int) -> Response | Chase | None:
        """Answer a question; None where it is for the rest of the chain."""
        self.refresh()
        entry = self._present.get(name)
        if entry is not None:
            found = entry.answers.get(rtype)
            if found is not None:
                return found
        return self._find(name, rtype, entry)

    def covers(self, name: Name) -> bool:
        """Tell whether *name* is in one of the zones, so that what it is answered with depends on the cluster."""
        return self._apex(name) is not None

    def refresh(self) -> None:
        """Forget what the changes since the last call touched, and end the leases of its answers."""
        if self._cluster.revision != self._revision:
            self._catch_up()

    def prepare(self) -> None:
        """Look up the Services that are new, for who created one will ask for it.

        Those with addresses of their own alone: others may be large, or not whole yet. What came first gives way to
        them, but is as a rule still known to who gives answers again.
        """
        since, self._prepared = self._prepared, self._cluster.revision
        for key in self._cluster.arrivals_since(since):
            service = self._cluster.services.get(key)
            if service is None or not service.addresses or not self._directory.exposes(key[0]):
                continue
            name = name_service(key, self._options.primary)
            if name is not None:
                for rtype in _ADDRESS_TYPES:
                    self.find(name, rtype)

    def zone(self, apex: Name) -> Zone:
        """Return the current version of a zone."""
        zone = self._zones.get(apex)
        if zone is None:
            publish = partial(make_soa, apex, self._options.ttl, self._cluster.serial)
            zone = self._zones[apex] = Zone(apex, publish, PLUGIN, self._lease)
        return zone

    def _catch_up(self) -> None:
        cluster = self._cluster
        touched = cluster.changes_since(self._revision)
        self._revision = cluster.revision
        unread = cluster.pending & cluster.denied & _DISPENSABLE
        self._late = cluster.pending - unread
        self._directory.unread = unread
        self._directory.take_in(touched)
        self._lease.until = ENDED
        self._lease = Lease()
        self._zones.clear()
        for memo in (self._present, self._absent):
            if touched is None:
                memo.clear()
            else:
                memo.forget((EVERY_CHANGE, *touched))

    def _find(self, name: Name, rtype: int, entry: Entry | None) -> Response | Chase | None:
        """Answer a question whose answer is not kept under its name."""
        if entry is None:
            entry = self._absent.get(name)
        apex = self._apex(name) if entry is None else entry.zone
        if apex is None:
            return None
        zone = self.zone(apex)
        if self._late:
            return self._fail(name, zone, self._late)
        if entry is not None:
            return self._answer(name, rtype, entry, zone)
        found = self._directory.look_up(name, zone)
        if found.node is UNREAD:
            return self._fail(name, zone, self._directory.unread)
        if found.node is None and self._options.falls_through(name):
            return None
        entry = Entry(found.node, apex)
        if found.key is not None:
            self._keep(name, entry, found.key)
        return self._answer(name, rtype, entry, zone)

    def _answer(self, name: Name, rtype: int, entry: Entry, zone: Zone) -> Response | Chase:
        """Answer from what stands at a name; what depends on nothing else is kept with it."""
        if entry.node is None:
            return self._lend(zone.nxdomain, entry)
        alias = entry.node.get(Rtype.CNAME)
        if alias is None or rtype in _ALIAS_TYPES:
            answer: Response | Chase = zone.answer(entry.node, rtype)
        else:
            answer = self._follow(alias.rrset, rtype, zone)
        if isinstance(answer, Response) and not answer.answer:
            return self._lend(answer, entry)
        if self._present.get(name) is entry:
            if isinstance(answer, Response):
                answer = answer.repeatable(Repeat(entry.lease))
            self._present.add(name, entry, rtype, answer)
        return answer

    def _lend(self, denial: Response, entry: Entry) -> Response:
        """Let a denial be renewed as long as what *entry* says holds good.

        It is not kept with the entry, where the SOA of each version that was ever asked for would stay with it.
        """
        return denial.repeatable(Repeat(self._lease, _Renewal(self, entry.lease, entry.zone, denial.rcode)))

    def _follow(self, alias: RRset, rtype: int, zone: Zone) -> Response | Chase:
        """Follow CNAMEs through a zone. A loop ends the chain, and so does what comes after too many links.

        Others are asked for addresses alone: nobody looks for anything else behind an external name.
        """
        links: list[RRset] = []
        while alias not in links and len(links) < MAX_LINKS:
            links.append(alias)
            target = Name(alias.rdatas[0])
            outside = self._apex(target) != zone.apex
            node = None if outside else self._directory.look_up(target, zone).node
            if outside or (node is None and self._options.falls_through(target)):
                if rtype in _ADDRESS_TYPES:
                    return Chase(tuple(links), target)
                break
            if node is UNREAD:
                return self._failure(zone, self._directory.unread).replace(answer=tuple(links))
            further = None if node is None else node.get(Rtype.CNAME)
            if further is None:
                last = zone.answer(node, rtype)
                return last.replace(answer=(*links, *last.answer))
            alias = further.rrset
        return zone.nodata.replace(answer=tuple(links), authority=())

    def _fail(self, name: Name, zone: Zone, kinds: frozenset[Kind]) -> Response | None:
        """Answer what cannot be told without *kinds*; what an address is called, others may know."""
        if is_reverse(zone.apex) and self._options.falls_through(name):
            return None
        return self._failure(zone, kinds)

    def _failure(self, zone: Zone, kinds: frozenset[Kind]) -> Response:
        missing = " and ".join(sorted(kind.value for kind in kinds))
        ede = ExtendedError(Ede.NOT_READY, f"{missing} not listed yet")
        return zone.nodata.replace(rcode=Rcode.SERVFAIL, ede=ede, repeat=None)

    def _apex(self, name: Name) -> Name | None:
        """Return the longest zone that holds *name*, the same object each time: it is kept with each denial."""
        if not name.endswith(self._endings):
            return None
        while (apex := self._apexes.get(name)) is None:
            if name == ROOT:
                return None
            name = parent(name)
        return apex

    def _keep(self, name: Name, entry: Entry, key: Key) -> None:
        """Keep *entry* until what it depends on changes: behind a CNAME inside the cluster, that may be anything."""
        if entry.node is None:
            self._absent.keep(name, entry, key)
            return
        alias = entry.node.get(Rtype.CNAME)
        if alias is not None and self._apex(Name(alias.rrset.rdatas[0])) is not None:
            key = EVERY_CHANGE
        self._present.keep(name, entry, key)


class _Renewal:
    """Makes a denial again, of the zone's current version, while there still is nothing.

    It has no entry: who keeps the denial would keep that as well, with all records that were made of it. There may be
    tens of thousands, and a function with its arguments (`functools.partial`) takes three times the memory.

    Args:
        view: Knows the zone.
        lease: How long there is nothing.
        apex: The zone.
        rcode: The denial's response code.
    """

    __slots__ = ("_apex", "_lease", "_rcode", "_view")

    def __init__(self, view: View, lease: Lease, apex: Name, rcode: int) -> None:
        self._view = view
        self._lease = lease
        self._apex = apex
        self._rcode = rcode

    def __call__(self) -> Response | None:
        """Return the denial, or None if there may be something."""
        if self._lease.until == ENDED:
            return None
        zone = self._view.zone(self._apex)
        return zone.nxdomain if self._rcode == Rcode.NXDOMAIN else zone.nodata
