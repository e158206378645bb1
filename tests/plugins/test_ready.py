import pytest

from svcdns.admin import Page
from svcdns.errors import ConfigError
from tests.fakes import Pages, environment, set_up

OK = (200, "text/plain; charset=utf-8", "OK")


class Server:
    """A server whose plugins become ready as a test tells them."""

    def __init__(self, text: str, **unready: str) -> None:
        self.unready = dict(unready)
        self.stopping = False
        self.pages = Pages()
        lent = environment(serve=self.pages, unready=lambda: dict(self.unready), stopping=lambda: self.stopping)
        set_up(text, "ready", lent)

    @property
    def page(self) -> Page:
        (page,) = self.pages.pages.values()
        return page


@pytest.mark.parametrize(
    ("text", "address"), [("ready", ":8181"), ("ready localhost:8091", "localhost:8091"), ("ready [::1]:1", "[::1]:1")]
)
def test_the_page_is_at_the_address(text: str, address: str) -> None:
    assert list(Server(text).pages.pages) == [(address, "/ready")]


async def test_all_ready_is_ok() -> None:
    assert await Server("ready").page() == OK


async def test_the_names_come_first_and_then_the_reasons() -> None:
    server = Server("ready", kubernetes="services are not listed yet", forward="no address")
    assert await server.page() == (
        503,
        "text/plain; charset=utf-8",
        "forward,kubernetes\nforward: no address\nkubernetes: services are not listed yet",
    )


async def test_a_plugin_that_was_ready_once_is_not_asked_again() -> None:
    server = Server("ready", kubernetes="x", forward="y")
    assert (await server.page())[0] == 503
    server.unready = {"forward": "y"}
    assert (await server.page())[2] == "forward\nforward: y"
    server.unready = {"forward": "y", "kubernetes": "again", "hosts": "new"}
    assert (await server.page())[2] == "forward\nforward: y"
    server.unready = {"kubernetes": "again"}
    assert await server.page() == OK
    server.unready = {"kubernetes": "again", "forward": "again"}
    assert await server.page() == OK


async def test_all_ready_at_first_stays_so() -> None:
    server = Server("ready {\nmonitor until-ready\n}")
    assert await server.page() == OK
    server.unready = {"kubernetes": "again"}
    assert await server.page() == OK


async def test_plugins_are_asked_again_where_that_is_wanted() -> None:
    server = Server("ready {\nmonitor continuously\n}")
    assert await server.page() == OK
    server.unready = {"kubernetes": "again"}
    assert (await server.page())[0] == 503
    server.unready = {}
    assert await server.page() == OK


async def test_a_server_that_shuts_down_is_not_ready() -> None:
    server = Server("ready")
    assert await server.page() == OK
    server.stopping = True
    assert (await server.page())[::2] == (503, "Shutting down")


async def test_what_is_not_ready_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await Server("ready", kubernetes="x").page()
    assert [record.getMessage() for record in caplog.records] == ['Plugins not ready: "kubernetes"']


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ready 8181", "2: ready: found '8181', expected HOST:PORT"),
        ("ready :1 :2", "2: ready: found ':1 :2', expected [ADDRESS]"),
        ("ready\nready", "3: ready: found again"),
        ("ready {\nmonitor\n}", "3: monitor: found no arguments, expected until-ready|continuously"),
        ("ready {\nmonitor often\n}", "3: monitor: found 'often', expected 'until-ready' or 'continuously'"),
        ("ready {\nmoniter x\n}", "3: unknown option 'moniter', did you mean 'monitor'?"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Server(text)
    assert reason in str(caught.value)
