"""What the table of differences is written in: which questions a row can speak of, and what it can make of answers."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from tests.parity.answers import EDE, Answer, Edns, Name, Question, Record, Reply
from tests.parity.evidence import Evidence, is_reverse, namespace_of
from tests.parity.legs import Leg
from tests.parity.questions import NEUTRAL

MOST_LINKS = 8
"""How many CNAMEs svcdns follows."""

PAYLOAD = 1232
"""The largest message that svcdns sends over UDP, in octets."""

SMALLEST = 512
HEADER, FIXED, OPT = 16, 12, 11
NOT_READY, NOT_AUTHORITATIVE, NO_REACHABLE_AUTHORITY = 14, 20, 22
"""Extended errors (RFC 8914)."""

VERSION_TTL = 28800
LONGEST_TTL = 30
"""How long the leg with a cache keeps an answer, in seconds."""

UPSTREAM_TTL = 60
SHORT_TTLS = {("alias.example.net.", "CNAME"): 10, ("two.example.net.", "A"): 20}
"""The records of the upstream that have less."""


class Case(NamedTuple):
    """A question, and what there is to judge an answer by.

    Attributes:
        question: The question.
        name: The name asked for, in lower case.
        zone: The zone that the name is in, if it is in any.
        leg: The Corefile.
        evidence: What CoreDNS answers to other questions.
        expect: What svcdns must answer to another question.
        ours: What svcdns does answer, of which no row may make use but to see which records it left out.
    """

    question: Question
    name: Name
    zone: Name | None
    leg: Leg
    evidence: Evidence
    expect: Callable[[Question], Answer]
    ours: Reply

    @property
    def rtype(self) -> str:
        """The type asked for."""
        return self.question.rtype

    @property
    def alias(self) -> Record | None:
        """The CNAME record that the name has."""
        return self.evidence.alias(self.name)


class Followed(NamedTuple):
    """Where aliases lead from a name.

    Attributes:
        links: The CNAME records on the way.
        last: What is answered at the end; None where svcdns goes no further.
    """

    links: tuple[Record, ...]
    last: Answer | None


# --- names that exist


def is_denied(case: Case) -> bool:
    """Tell whether CoreDNS denies a name, or leaves it to the upstream, although it has some type or names below."""
    plain = case.evidence.answer(case.name, case.rtype)
    denied = plain.rcode == "NXDOMAIN" or not (plain.answer or case.evidence.is_own(plain))
    return case.zone is not None and denied and case.evidence.exists(case.name)


def has_other_types(case: Case) -> bool:
    return case.evidence.is_own(other := case.evidence.answer(case.name, NEUTRAL)) and other.rcode == "NOERROR"


def is_pointer(case: Case) -> bool:
    return bool(case.evidence.answer(case.name, "PTR").answer)


def say_nodata(case: Case, answer: Answer) -> Answer:
    return case.evidence.as_nodata(case.name, answer)


def say_absent(case: Case, answer: Answer) -> Answer:
    return case.evidence.as_absent(case.name, answer)


def is_soa_below_apex(case: Case) -> bool:
    return case.rtype == "SOA" and case.zone not in (None, case.name)


# --- letter case


def ask_in_lower_case(case: Case, answer: Answer) -> Answer:
    plain = case.evidence.answer(case.name, case.rtype)
    return answer._replace(
        rcode=plain.rcode, answer=plain.answer, authority=plain.authority, additional=plain.additional
    )


# --- addresses of names


def points_to_hidden(case: Case) -> bool:
    return case.rtype == "PTR" and any(
        namespace_of(record.data) in case.leg.hidden for record in case.evidence.answer(case.name, "PTR").answer
    )


def hide(case: Case, answer: Answer) -> Answer:
    shown = tuple(record for record in answer.answer if namespace_of(record.data) not in case.leg.hidden)
    return answer._replace(answer=shown) if shown else say_absent(case, answer)


def point_to_primary(case: Case, answer: Answer) -> Answer:
    return answer._replace(answer=tuple(sorted(
        record._replace(data=record.data.replace(f".svc.{case.leg.zones[0]}", f".svc.{case.leg.primary}"))
        for record in answer.answer
    )))  # fmt: skip


# --- names that CoreDNS lacks, or has in vain


def leave_out_hostnames(case: Case, answer: Answer) -> Answer:
    if not case.evidence.exists(case.name):
        return say_absent(case, answer)
    kept = tuple(record for record in answer.answer if record.owner == case.name and record.rtype != "CNAME")
    return answer._replace(answer=kept) if kept else say_nodata(case, answer)


def rename_dotted(case: Case, answer: Answer) -> Answer:
    def rename(records: tuple[Record, ...]) -> tuple[Record, ...]:
        for before, (after, _) in case.evidence.dotted.items():
            records = tuple(
                record._replace(owner=record.owner.replace(before, after), data=record.data.replace(before, after))
                for record in records
            )
        return tuple(sorted(records))

    return answer._replace(answer=rename(answer.answer), additional=rename(answer.additional))


def say_address(case: Case, answer: Answer) -> Answer:
    address = case.evidence.added[case.name]
    if case.rtype == address.rtype:
        return answer._replace(rcode="NOERROR", aa=True, answer=(address,), authority=(), additional=())
    if case.rtype == "SRV":
        record = Record(case.name, "SRV", case.leg.ttl, f"0 100 80 {case.name}")
        return answer._replace(rcode="NOERROR", aa=True, answer=(record,), authority=(), additional=(address,))
    return say_nodata(case, answer)


# --- aliases


def follow(case: Case) -> Followed:
    """Follow the aliases that begin at the name asked for, as an authoritative server does (RFC 1034 section 4.3.2)."""
    links: list[Record] = []
    record = case.alias
    while record is not None:
        if record in links or len(links) == MOST_LINKS:
            return Followed(tuple(links), None)
        links.append(record)
        target = record.data
        if not is_inside(case, target):
            known = case.rtype in ("A", "AAAA") and (case.leg.forwards or case.evidence.zone(target) is not None)
            return Followed(tuple(links), case.expect(Question(target, case.rtype)) if known else None)
        record = case.evidence.alias(target)
    return Followed(tuple(links), case.expect(Question(target, case.rtype)))


def is_inside(case: Case, target: Name) -> bool:
    """Tell whether the zone of the name asked for answers for *target* as well."""
    absent = not case.evidence.exists(target) and case.evidence.falls_through(target)
    return case.evidence.zone(target) == case.zone and not absent


def circles(case: Case) -> bool:
    links = follow(case).links
    return bool(links) and is_inside(case, links[-1].data) and case.evidence.alias(links[-1].data) is not None


def say_followed(case: Case, answer: Answer) -> Answer:
    links, last = follow(case)
    if last is None:
        return answer._replace(rcode="NOERROR", aa=True, answer=tuple(sorted(links)), authority=(), additional=())
    whole = tuple(sorted({*links, *last.answer}))
    return answer._replace(
        rcode=last.rcode, aa=True, answer=whole, authority=last.authority, additional=last.additional
    )


# --- name servers


def is_about_servers(case: Case) -> bool:
    """Tell whether a question is for a zone's name servers or their addresses."""
    return case.zone is not None and (
        case.name == f"ns.dns.{case.zone}" or (case.name == case.zone and case.rtype == "NS")
    )


def say_bound_address(case: Case, answer: Answer) -> Answer:
    """Name the zone's own server, which is where the block is bound to."""
    server = f"ns.dns.{case.zone}"
    address = Record(server, "AAAA" if ":" in case.leg.local else "A", case.leg.ttl, case.leg.local)
    if case.name == case.zone:
        record = Record(case.name, "NS", case.leg.ttl, server)
        return answer._replace(answer=(record,), authority=(), additional=(address,))
    return answer._replace(answer=(address,), authority=()) if case.rtype == address.rtype else answer


def say_once(case: Case, answer: Answer) -> Answer:
    return answer._replace(additional=tuple(sorted(set(answer.additional))))


# --- ANY


def say_smallest(case: Case, answer: Answer) -> Answer:
    if case.alias is not None:
        return answer._replace(rcode="NOERROR", aa=True, answer=(case.alias,), authority=(), additional=())
    types = ("SOA", "NS") if case.name == case.zone else ("A", "AAAA", "SRV", "PTR", "TXT")
    sets = [found for rtype in types if (found := case.expect(ask_for_whole(case, rtype)).answer)]
    if not sets:
        return answer
    return answer._replace(
        rcode="NOERROR",
        aa=True,
        answer=min(sets, key=lambda records: sum(map(measure, records))),
        authority=(),
        additional=(),
    )


def ask_for_whole(case: Case, rtype: str) -> Question:
    """Return the question to which the answer is whole."""
    plain = Question(case.name, rtype)
    return plain if case.evidence.is_whole(plain) else plain._replace(transport="tcp")


@lru_cache(maxsize=4096)
def measure(record: Record) -> int:
    """Return how many octets a record takes whose owner is the question."""
    rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(record.rtype), record.data)
    return FIXED + len(rdata.to_wire() or b"")


# --- the whole answer


def say_not_ready(case: Case, answer: Answer) -> Answer:
    if is_reverse(case.name):
        return say_absent(case, answer)
    authority = answer.authority or case.evidence.denial(case.name)
    return answer._replace(rcode="SERVFAIL", aa=True, answer=(), authority=authority, additional=())


def is_left(case: Case) -> bool:
    """Tell whether no plugin takes a question."""
    return case.zone is None and not case.leg.forwards


def say_refused(case: Case, answer: Answer) -> Answer:
    return answer._replace(rcode="REFUSED", aa=False, answer=(), authority=(), additional=())


def say_own_opt(case: Case, answer: Answer) -> Answer:
    assert answer.edns is not None
    refusal = NO_REACHABLE_AUTHORITY if case.leg.forwards else NOT_AUTHORITATIVE
    errors = {"SERVFAIL": NOT_READY, "REFUSED": refusal} if case.question.rclass == "IN" else {}
    error = errors.get(answer.rcode)
    return answer._replace(edns=Edns(PAYLOAD, answer.edns.do, () if error is None else (EDE,), error))


def cut(case: Case, answer: Answer) -> Answer:
    """Leave out what svcdns leaves out, if it must: additional records first, and TC speaks of the others."""
    if not case.evidence.is_whole(case.question):
        whole = case.expect(ask_for_whole(case, case.rtype))
        answer = answer._replace(tc=False, answer=whole.answer, authority=whole.authority, additional=whole.additional)
    limit = min(max(case.question.payload or 0, SMALLEST), PAYLOAD)
    found, size = case.ours.answer, case.ours.size
    missing = [*subtract(answer.answer, found.answer), *subtract(answer.additional, found.additional)]
    if not missing or surely_fits(case, answer, limit) or not limit - max(map(measure, missing)) < size <= limit:
        return answer
    if found.answer == answer.answer:
        return answer._replace(additional=subtract(answer.additional, missing))
    return answer._replace(tc=True, answer=subtract(answer.answer, missing), additional=())


def surely_fits(case: Case, answer: Answer, limit: int) -> bool:
    """Tell whether an answer fits without any compression."""
    records = sum(len(record.owner) + measure(record) for record in answer.sections)
    return HEADER + len(case.name) + records + OPT <= limit


def subtract(records: Iterable[Record], others: Iterable[Record]) -> tuple[Record, ...]:
    return tuple(sorted((Counter(records) - Counter(others)).elements()))


def keep_what_was_asked(case: Case, answer: Answer) -> Answer:
    found = any(case.rtype in (record.rtype, "ANY") for record in answer.answer)
    return answer._replace(authority=(), additional=()) if found else answer


def say_who_speaks(case: Case, answer: Answer) -> Answer:
    foreign = case.zone is None or (case.evidence.falls_through(case.name) and not case.evidence.exists(case.name))
    return answer._replace(ra=case.leg.forwards, aa=answer.aa and not foreign)


def keep_ttls(case: Case, answer: Answer) -> Answer:
    """Give each record its own TTL: the cluster's what it has without a cache, others' what is left of theirs."""
    kept = answer.rcode == "NOERROR" or bool(answer.authority)
    left = {record._replace(ttl=0): record.ttl for record in case.ours.answer.sections}

    def age(record: Record) -> Record:
        if case.evidence.zone(record.owner) is not None:
            return record._replace(ttl=VERSION_TTL if record.rtype == "TXT" else case.leg.ttl)
        longest = SHORT_TTLS.get((record.owner, record.rtype), LONGEST_TTL if kept else UPSTREAM_TTL)
        return record._replace(ttl=min(longest, left.get(record._replace(ttl=0), longest)))

    return answer._replace(
        answer=tuple(sorted(map(age, answer.answer))),
        authority=tuple(sorted(map(age, answer.authority))),
        additional=tuple(sorted(map(age, answer.additional))),
    )
