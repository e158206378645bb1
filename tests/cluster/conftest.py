"""One API server for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.cluster.apiserver import ApiServer, Client, api_server, client_of
from tests.cluster.wire import Wire


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Run a kube-apiserver and its etcd for as long as the tests do."""
    with api_server(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
async def client(api: ApiServer) -> AsyncIterator[Client]:
    """Open a client of the API server."""
    async with client_of(api) as opened:
        yield opened


@pytest.fixture
async def wire(api: ApiServer) -> AsyncIterator[Wire]:
    """Open a way to the API server that can be cut."""
    opened = Wire(api.port)
    await opened.open()
    yield opened
    await opened.close()
