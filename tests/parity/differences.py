"""Where svcdns answers otherwise than CoreDNS, and why: the whole list.

Each row has the number that DIFFERENCES.md gives it. It does not only say where answers may differ, but what svcdns
must answer there instead, as a change of CoreDNS's answer; a row that hides a fault cannot be written that way. The
rows apply in order, each to what those before it made.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.parity.answers import Answer
from tests.parity.cases import (
    PAYLOAD,
    Case,
    ask_in_lower_case,
    circles,
    cut,
    has_other_types,
    hide,
    is_about_servers,
    is_denied,
    is_left,
    is_pointer,
    is_soa_below_apex,
    keep_ttls,
    keep_what_was_asked,
    leave_out_hostnames,
    point_to_primary,
    points_to_hidden,
    rename_dotted,
    say_absent,
    say_address,
    say_bound_address,
    say_followed,
    say_nodata,
    say_not_ready,
    say_once,
    say_own_opt,
    say_refused,
    say_smallest,
    say_who_speaks,
)
from tests.parity.evidence import is_below_pod, is_no_address, is_reverse


class Difference(NamedTuple):
    """A row.

    Attributes:
        id: Its number in DIFFERENCES.md.
        reason: Why it is so, in a sentence.
        applies: Tells whether it speaks of a question.
        expect: Makes of CoreDNS's answer, or what other rows made of it, what svcdns must answer.
    """

    id: str
    reason: str
    applies: Callable[[Case], bool]
    expect: Callable[[Case, Answer], Answer]


DIFFERENCES = (
    Difference(
        "4",
        "Letter case never matters (RFC 4343).",
        lambda case: case.question.name != case.name and is_about_servers(case),
        ask_in_lower_case,
    ),
    Difference(
        "1",
        "NXDOMAIN speaks for all types and for all names below, and resolvers believe it (RFC 2308, 8020).",
        lambda case: case.rtype in ("TXT", "PTR") and is_denied(case) and has_other_types(case),
        say_nodata,
    ),
    Difference(
        "6",
        "A name with a PTR record exists for other types, too (RFC 2308).",
        lambda case: is_denied(case) and is_pointer(case),
        say_nodata,
    ),
    Difference(
        "37",
        "A name above that of an address exists (RFC 8020).",
        lambda case: is_denied(case) and not is_pointer(case) and is_reverse(case.name),
        say_nodata,
    ),
    Difference(
        "3",
        "A name above one that exists, exists (RFC 8020).",
        lambda case: is_denied(case) and not is_reverse(case.name),
        say_nodata,
    ),
    Difference(
        "5",
        "No name stands below that of a Pod.",
        lambda case: case.zone is not None and is_below_pod(case.name) and case.leg.pods,
        say_absent,
    ),
    Difference(
        "7",
        "No name stands below that of an address, and no address of IPv4 has two names.",
        lambda case: case.zone is not None and is_no_address(case.name),
        say_absent,
    ),
    Difference(
        "2",
        "Whether a name exists does not depend on the type asked for.",
        lambda case: is_soa_below_apex(case) and not case.evidence.exists(case.name),
        say_absent,
    ),
    Difference(
        "8",
        "What is hidden is hidden from PTR as well.",
        lambda case: case.zone is not None and points_to_hidden(case),
        hide,
    ),
    Difference(
        "9",
        "Nothing in a reverse zone could be resolved, so no PTR points into one.",
        lambda case: case.rtype == "PTR" and is_reverse(case.leg.zones[0]),
        point_to_primary,
    ),
    Difference(
        "18",
        "A host name is no address, and a name with a dot in it is no label: neither could be resolved.",
        lambda case: case.evidence.is_hostname(case.name),
        leave_out_hostnames,
    ),
    Difference(
        "18",
        "A host name is no address, and a name with a dot in it is no label: neither could be resolved.",
        lambda case: case.leg.pod_names and case.rtype in ("SRV", "PTR"),
        rename_dotted,
    ),
    Difference(
        "18",
        "The endpoint of a Pod with a dot in its name is called after its address.",
        lambda case: case.name in case.evidence.added,
        say_address,
    ),
    Difference(
        "23",
        "A circle of aliases has no end, and a long chain may be one: after eight links the answer is what was found.",
        lambda case: case.rtype != "CNAME" and case.alias is not None and circles(case),
        say_followed,
    ),
    Difference(
        "11",
        "An alias is an answer, and the response code speaks of where it leads (RFC 6604).",
        lambda case: case.rtype in ("A", "AAAA") and case.alias is not None,
        say_followed,
    ),
    Difference(
        "12",
        "An alias stands for all types, so it is the answer to each (RFC 1034 section 4.3.2).",
        lambda case: case.rtype not in ("A", "AAAA", "CNAME", "ANY") and case.alias is not None,
        say_followed,
    ),
    Difference(
        "10",
        "A zone has a name server.",
        lambda case: bool(case.leg.local) and is_about_servers(case),
        say_bound_address,
    ),
    Difference(
        "10",
        "A record has no duplicate (RFC 2181 section 5).",
        is_about_servers,
        say_once,
    ),
    Difference(
        "26",
        "ANY is answered with one set of records (RFC 8482).",
        lambda case: case.rtype == "ANY" and case.zone is not None,
        say_smallest,
    ),
    Difference(
        "13",
        "A wrong NXDOMAIN is kept by resolvers, a SERVFAIL is asked again.",
        lambda case: not case.leg.synced and case.zone is not None,
        say_not_ready,
    ),
    Difference(
        "38",
        "A name that nobody here answers for is no failure of this server (RFC 8914 section 4.21).",
        is_left,
        say_refused,
    ),
    Difference(
        "22",
        "Another class is another name space.",
        lambda case: case.question.rclass != "IN",
        say_refused,
    ),
    Difference(
        "19",
        "What nobody asked for may be forged (RFC 2181 section 5.4.1).",
        lambda case: case.zone is None and case.leg.forwards,
        keep_what_was_asked,
    ),
    Difference(
        "29",
        "A block that forwards offers recursion for every name, and says so.",
        lambda case: True,
        say_who_speaks,
    ),
    Difference(
        "21",
        "An OPT record speaks of its sender: its own payload size, and options that it has itself (RFC 6891).",
        lambda case: case.question.payload is not None,
        say_own_opt,
    ),
    Difference(
        "27",
        "A message larger than 1232 octets may meet a fragment and be lost (RFC 9715): the rest is to be had over TCP.",
        lambda case: case.question.transport == "udp" and (case.question.payload or 0) > PAYLOAD,
        cut,
    ),
    Difference(
        "28",
        "TC speaks of the answer, not of what was added to it (RFC 2181 section 9).",
        lambda case: case.question.transport == "udp" and (case.question.payload or 0) <= PAYLOAD,
        cut,
    ),
    Difference(
        "24",
        "A record's TTL is its own, and what the cluster says is never kept.",
        lambda case: case.leg.caches,
        keep_ttls,
    ),
)

ELSEWHERE = {
    "14": "how often the API server is asked is in no answer; the tests of the throttle prove it",
    "15": "a process that ends answers nothing; the tests of the directive prove it",
    "16": "serials are times, and compared with the clock instead",
    "17": "it is the ready page that says so; its tests prove it",
    "20": "it is a metric; the tests of metrics prove it",
    "25": "where the cache stands shows in other rows only",
    "30": "none of the questions here is malformed; the tests by section of the specifications prove it",
    "31": "the letter case of names in data is not compared, for it means nothing",
    "32": "it is over when questions begin",
    "33": "nothing is reloaded here; the tests of the application prove it",
    "34": "the upstream here neither fails nor loses anything; the tests of the forwarder prove it",
    "35": "no record here has a TTL of 0 or is stale; the tests of the cache prove it",
    "36": "nothing loops here; the tests of the plugin prove it",
    "39": "a server that does not start answers nothing; the comparison of Corefiles proves it",
    "40": "the same",
    "41": "how many processes answer is in no answer; the tests of workers prove it",
    "42": "signals are in no answer; the tests of the command line prove it",
}
"""The rows of DIFFERENCES.md that no answer to a plain question shows, each with what proves it instead."""
