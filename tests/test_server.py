"""One process that answers, seen from inside the process."""

import asyncio
import gc

import pytest

from svcdns.assembly import Assembly, Block
from svcdns.chain import Plugin, Resource
from svcdns.corefile import Corefile, ServerBlock
from svcdns.dns.records import RRset
from svcdns.server import Server
from tests.serving import serving

COREFILE = ". {\n    kubernetes cluster.local {\n        manifests manifests\n    }\n}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {{name: web{0}}}\nspec: {{clusterIP: 10.96.0.{0}}}\n"


async def test_a_new_service_is_looked_up_before_anybody_asks() -> None:
    async with serving(COREFILE, {"manifests/20.yaml": SERVICE.format(20)}) as server:
        for number in (21, 22):
            server.write(f"manifests/{number}.yaml", SERVICE.format(number))

            async def is_looked_up(rdatas: tuple[bytes] = (bytes((10, 96, 0, number)),)) -> bool:
                return any(isinstance(each, RRset) and each.rdatas == rdatas for each in gc.get_objects())

            await server.until(is_looked_up)


class Heard(Resource):
    """Knows what it was told."""

    def __init__(self) -> None:
        self.changes: list[object] = []

    def learn(self, change: object) -> None:
        self.changes.append(change)


class Preparing(Plugin):
    """Knows what was told whenever it prepared, and may fail to."""

    def __init__(self, heard: Heard, *, fails: bool) -> None:
        self.known: list[list[object]] = []
        self._heard = heard
        self._fails = fails

    def prepare(self) -> None:
        self.known.append(list(self._heard.changes))
        if self._fails:
            raise ValueError("not today")


async def test_all_plugins_prepare_once_after_changes_that_another_process_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = Heard()
    made = [Preparing(heard, fails=fails) for fails in (True, False)]
    plugins: list[tuple[str, Plugin]] = [("one", made[0]), ("other", made[1])]
    server = Server(first=False)
    written = ServerBlock(path="Corefile", line=1, keys=(), directives=())
    server.assembly = Assembly(Corefile((written,)), [Block(written, (), plugins)])
    server.learn(heard, "a")
    server.learn(heard, "b")
    await asyncio.sleep(0)
    assert [each.known for each in made] == [[["a", "b"]]] * 2
    assert caplog.messages == ["one cannot prepare for questions"]
