"""What CoreDNS's own answers prove, taken together: which names exist, who answers for them, where aliases lead."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from tests.parity.answers import Answer, Name, Question, Record
from tests.parity.legs import REVERSE, Leg
from tests.parity.objects import OWNER_LABEL
from tests.parity.questions import ABSENT, NEUTRAL, World

_NIBBLES = 32
_IPV4_MAPPED = f".f.f.f.f.{'0.' * 20}ip6.arpa."


class Evidence:
    """CoreDNS's answers to the plain questions of a leg.

    Args:
        leg: The leg.
        world: The objects.
        answers: What CoreDNS answered, by question.
    """

    def __init__(self, leg: Leg, world: World, answers: Mapping[Question, Answer]) -> None:
        self._leg = leg
        self._world = world
        self._answers = answers
        self._zones: dict[Name, Name | None] = {}

    def answer(self, name: Name, rtype: str) -> Answer:
        """Return what CoreDNS answers to a plain question: the whole, over TCP, where that was asked as well."""
        whole = self._answers.get(Question(name, rtype, transport="tcp"))
        return whole or self._answers[Question(name, rtype)]

    def zone(self, name: Name) -> Name | None:
        """Return the longest zone of the leg that holds *name*."""
        if name not in self._zones:
            holding = [zone for zone in self._leg.zones if is_below(name, zone)]
            self._zones[name] = max(holding, key=len, default=None)
        return self._zones[name]

    def falls_through(self, name: Name) -> bool:
        """Tell whether *name*, if it does not exist, is for the upstream."""
        return any(is_below(name, zone) for zone in self._leg.fallthrough)

    def is_own(self, answer: Answer) -> bool:
        """Tell whether the cluster, and no upstream, speaks in a negative answer."""
        return any(record.owner in self._leg.zones for record in answer.authority)

    def exists(self, name: Name) -> bool:
        """Tell whether a name exists: it does if it has anything, or if one below it does (RFC 8020)."""
        return name in self._existing

    def denial(self, name: Name) -> tuple[Record, ...]:
        """Return the authority section of a negative answer for *name*."""
        zone = self.zone(name)
        assert zone is not None
        return self.answer(zone, NEUTRAL).authority

    def alias(self, name: Name) -> Record | None:
        """Return the CNAME record at *name*, if there is one and the cluster has it."""
        if self.zone(name) is None or self.is_hostname(name) or Question(name, "CNAME") not in self._answers:
            return None
        return next((record for record in self.answer(name, "CNAME").answer if record.rtype == "CNAME"), None)

    def as_nodata(self, name: Name, answer: Answer) -> Answer:
        """Say that *name* exists and has nothing of the type asked for."""
        return answer._replace(rcode="NOERROR", aa=True, answer=(), authority=self.denial(name), additional=())

    def as_absent(self, name: Name, answer: Answer) -> Answer:
        """Say that *name* does not exist, or what the upstream says of a name that does not."""
        if self.falls_through(name) and self._leg.forwards:
            told = self.answer(f"{ABSENT}.{self.zone(name)}", NEUTRAL)
            return answer._replace(rcode=told.rcode, aa=False, answer=(), authority=told.authority, additional=())
        return answer._replace(rcode="NXDOMAIN", aa=True, answer=(), authority=self.denial(name), additional=())

    def is_whole(self, question: Question) -> bool:
        """Tell whether what CoreDNS answers to a plain question is the whole, and not only what fits."""
        return Question(question.folded, question.rtype, transport="tcp") not in self._answers

    def is_hostname(self, name: Name) -> bool:
        """Tell whether *name* is, or is below, a Service with endpoints that have host names for addresses."""
        return any(is_below(name, service) for service in self._hostname_services)

    @cached_property
    def dotted(self) -> Mapping[Name, tuple[Name, Record]]:
        """What endpoints with a dot in their Pods' names are called by CoreDNS, by svcdns, and their addresses."""
        found = {}
        for namespace, _, slice_ in self._world.of_kind("EndpointSlice") if self._leg.pod_names else ():
            service = f"{(slice_['metadata'].get('labels') or {}).get(OWNER_LABEL)}.{namespace}.svc.{self._leg.primary}"
            for endpoint in slice_["endpoints"] or ():
                pod = (endpoint.get("targetRef") or {}).get("name", "")
                if "." in pod and "hostname" not in endpoint:
                    address = endpoint["addresses"][0]
                    name = f"{address.replace('.', '-')}.{service}"
                    found[f"{pod}.{service}"] = name, Record(name, "A", self._leg.ttl, address)
        return found

    @cached_property
    def added(self) -> Mapping[Name, Record]:
        """The addresses of names that svcdns has and CoreDNS has not."""
        return dict(self.dotted.values())

    @cached_property
    def _hostname_services(self) -> frozenset[Name]:
        return frozenset(
            f"{slice_['metadata']['labels'][OWNER_LABEL]}.{namespace}.svc.{self._leg.primary}"
            for namespace, _, slice_ in self._world.of_kind("EndpointSlice")
            if slice_["addressType"] == "FQDN"
        )

    @cached_property
    def _existing(self) -> frozenset[Name]:
        found = {*self._leg.zones, *self.added}
        for question, answer in self._answers.items():
            if question == Question(question.folded, question.rtype) and self._proves(question, answer):
                found.update(self._above(question.name))
        return frozenset(found)

    def _proves(self, question: Question, answer: Answer) -> bool:
        """Tell whether an answer proves that the name of its question exists."""
        if answer.rcode != "NOERROR" or question.rtype == "SOA" or not (answer.answer or self.is_own(answer)):
            return False
        if self.is_hostname(question.name):
            return any(record.owner == question.name and record.rtype != "CNAME" for record in answer.answer)
        return not (is_below_pod(question.name) or is_no_address(question.name) or self.is_hidden(answer))

    def is_hidden(self, answer: Answer) -> bool:
        """Tell whether an answer holds nothing but pointers to names in hidden namespaces."""
        return bool(answer.answer) and all(
            record.rtype == "PTR" and namespace_of(record.data) in self._leg.hidden for record in answer.answer
        )

    def _above(self, name: Name) -> Iterator[Name]:
        """Yield *name* and those above it that exist because it does."""
        zone = self.zone(name)
        if zone is None:
            return
        yield name
        if zone.endswith(REVERSE) and self.falls_through(name):
            return
        while name != zone:
            yield name
            name = name.partition(".")[2]


def is_below(name: Name, zone: Name) -> bool:
    """Tell whether *name* is *zone* or below it."""
    return zone in (name, ".") or name.endswith(f".{zone}")


def is_reverse(name: Name) -> bool:
    """Tell whether *name* is under in-addr.arpa or ip6.arpa."""
    return any(is_below(name, zone) for zone in REVERSE)


def is_below_pod(name: Name) -> bool:
    """Tell whether there are labels before what may be the name of a Pod."""
    labels = name.split(".")
    return "pod" in labels[3:] and labels[-4:-1] == ["pod", "cluster", "local"]


def is_no_address(name: Name) -> bool:
    """Tell whether a name under ip6.arpa has labels too many, or is that of an address of IPv4 mapped into IPv6."""
    return name.endswith(_IPV4_MAPPED) or (name.endswith(".ip6.arpa.") and name.count(".") > _NIBBLES + 2)


def namespace_of(name: Name) -> str:
    """Return the namespace of the Service or endpoint that is called *name*."""
    labels = name.split(".")
    return labels[labels.index("svc") - 1] if "svc" in labels else ""
