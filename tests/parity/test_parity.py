"""svcdns answers as CoreDNS does, but where the table of differences says otherwise."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path

import ifaddr
import pytest

from tests.cluster.apiserver import ApiServer, Object, api_server, client_of
from tests.parity import servers
from tests.parity.answers import Question, Reply
from tests.parity.asking import ask
from tests.parity.comparison import Comparison, Mismatch
from tests.parity.differences import DIFFERENCES, ELSEWHERE
from tests.parity.legs import LEGS, Leg
from tests.parity.objects import dump, fetch, populate, read_objects
from tests.parity.questions import World, make_names, make_questions, vary_size
from tests.ports import free_port

DOCUMENT = Path(__file__).parent.parent.parent / "DIFFERENCES.md"
FEWEST_QUESTIONS = 250_000
MOST_SHOWN = 10
UPSTREAM_SERIAL = 7
NOWHERE = "endpoint http://127.0.0.1:9"

Replies = dict[Question, Reply]


class Run:
    """What all legs share, and what came of them.

    Args:
        api: The API server.
        folder: Where Corefiles and manifests go.

    Attributes:
        comparisons: The comparisons made, by leg.
        local: This machine's addresses, but those of loopback.
    """

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self.comparisons: dict[str, Comparison] = {}
        self._kubeconfig = f"kubeconfig {api.write_kubeconfig()}"
        self._api = api
        self._folder = folder
        self.local = list_local_addresses()
        self._objects: list[Object] = []

    async def compare(self, leg: Leg) -> Comparison:
        """Ask both servers all questions of a leg, once."""
        if leg.name not in self.comparisons:
            if "LOCAL" in leg.corefile:
                leg = leg._replace(local=next(iter(self.local), ""))
            world = World(await self.objects(), leg.primary)
            names = make_names(world, leg.zones)
            questions = list(dict.fromkeys(make_questions(names, leg.zones, leg.types)))
            theirs, ours = await self._ask_both(leg, questions)
            self.comparisons[leg.name] = Comparison(leg, world, theirs, ours)
        return self.comparisons[leg.name]

    async def objects(self) -> list[Object]:
        """Return the objects of the API server, put there first."""
        if not self._objects:
            async with client_of(self._api) as client:
                await populate(client, read_objects(self.local))
                self._objects = await fetch(client)
            dump(self._objects, self._folder / "objects.yaml")
        return self._objects

    async def _ask_both(self, leg: Leg, questions: list[Question]) -> tuple[Replies, Replies]:
        known = Question(leg.known, "A")
        theirs_port, ours_port = free_port(), free_port()
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(servers.upstream(self._folder))
            source = self._kubeconfig if leg.synced else NOWHERE
            corefile = leg.write(self._folder / f"{leg.name}.coredns", source, upstream)
            await stack.enter_async_context(servers.coredns(corefile, theirs_port, known))
            source = f"manifests {self._folder / 'objects.yaml'}" if leg.manifests else source
            corefile = leg.write(self._folder / f"{leg.name}.svcdns", source, upstream)
            await stack.enter_async_context(servers.svcdns(corefile, ours_port, known))
            theirs = await ask(theirs_port, questions)
            cut = [question for question, reply in theirs.items() if reply.answer.tc]
            more = dict.fromkeys(each for question in cut for each in vary_size(question) if each not in theirs)
            return theirs | await ask(theirs_port, more), await ask(ours_port, [*questions, *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with api_server(tmp_path_factory.mktemp("api")) as api:
        yield Run(api, tmp_path_factory.mktemp("parity"))


def list_local_addresses() -> list[str]:
    """Return the addresses of this machine that others can reach it at, IPv4 first."""
    texts = [each.ip if isinstance(each.ip, str) else each.ip[0] for card in ifaddr.get_adapters() for each in card.ips]
    found = [address for address in map(ip_address, texts) if not (address.is_loopback or address.is_link_local)]
    return [str(address) for address in sorted(found, key=lambda address: address.version)]


def describe(mismatches: Sequence[Mismatch]) -> str:
    """Say what is wrong with some answers, an example of each kind."""
    kinds: dict[tuple[object, ...], list[Mismatch]] = {}
    for each in mismatches:
        kinds.setdefault((each.fields, each.expected.rcode, each.ours.rcode, each.rows), []).append(each)
    most = sorted(kinds.values(), key=len, reverse=True)[:MOST_SHOWN]
    return "\n".join(f"{len(alike)} like {alike[0]}" for alike in most)


@pytest.mark.programs
@pytest.mark.parametrize("leg", LEGS, ids=lambda leg: leg.name)
async def test_answers_are_coredns_s_or_what_a_row_makes_of_them(leg: Leg, run: Run) -> None:
    comparison = await run.compare(leg)
    assert describe(comparison.mismatches()) == ""


@pytest.mark.programs
@pytest.mark.parametrize("leg", LEGS, ids=lambda leg: leg.name)
async def test_serials_are_the_time_of_the_last_change(leg: Leg, run: Run) -> None:
    serials = {serial for reply in (await run.compare(leg)).ours.values() for serial in reply.serials}
    now = time.time()
    assert {serial for serial in serials if not now - 600 < serial < now + 600} <= {UPSTREAM_SERIAL}


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_no_row_is_without_need(run: Run) -> None:
    used: Counter[str] = Counter()
    for leg in LEGS:
        used += (await run.compare(leg)).used
    of_interfaces = set() if run.local else {"10"}
    assert {row.id for row in DIFFERENCES} - of_interfaces == set(used)
    asked = sum(len(comparison.ours) for comparison in run.comparisons.values())
    assert asked > FEWEST_QUESTIONS


def test_the_document_has_the_same_rows() -> None:
    numbers = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == {row.id for row in DIFFERENCES} | ELSEWHERE.keys()
    assert not {row.id for row in DIFFERENCES} & ELSEWHERE.keys()
