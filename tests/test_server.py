"""One process that answers, seen from inside the process."""

import gc

from svcdns.dns.records import RRset
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
