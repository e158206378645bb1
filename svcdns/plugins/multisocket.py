"""multisocket - answers queries with several processes.

Syntax:
    ```
    multisocket [NUMBER]
    ```

NUMBER processes (1 to 1024) answer queries, by default as many as there are processors for this one: those of the
machine, within its affinity and the CPU limit of its container. Each has sockets of its own at every address, and the
kernel spreads clients over them. One process follows the cluster and tells the others of each change; one that dies is
replaced, and what comes to it meanwhile is answered by the first one. While there are several, other programs of the
same user may listen at the same ports, if they ask to share them (SO_REUSEPORT).

Each process keeps answers of its own: one more takes some 20 MiB with 2,000 Services, and 50 with 10,000. More
processes than processors answer nothing sooner; the log says so. Of several server blocks, the largest NUMBER counts
for all. `-workers` on the command line counts before all of them.

Examples:
    ```
    . {
        multisocket 2
    }
    ```
    ```
    . {
        multisocket
    }
    ```

Metrics:
    - svcdns_workers: processes that answer queries, the first one included.
    - svcdns_workers_lost_total: how many ended though they were not told to.
"""

from collections.abc import Sequence

from svcdns.chain import Environment, Plugin, only
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_integer
from svcdns.processors import count_processors

MOST = 1024


class Multisocket(Plugin):
    """Asks for several processes.

    Args:
        workers: How many are to answer queries.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read ``multisocket [NUMBER]``."""
    directive = only(directives)
    for option in directive.options:
        raise option.unknown(())
    processors = count_processors()
    match directive.words:
        case ():
            number = processors
        case (word,):
            number = directive.value(parse_integer, word, 1, MOST)
        case _:
            raise directive.expected("[NUMBER]")
    if number > processors:
        environment.warn(f"{number} processes answer where there are processors for {processors}")
    return Multisocket(number)
