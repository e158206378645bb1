"""Where the addresses of upstreams come from."""

from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from svcdns.dns.message import Ede, Rcode
from svcdns.errors import ConfigError
from svcdns.net import resolvconf
from svcdns.plugins.forward import sources
from tests.fake_upstream import GOOD, FakeUpstream, answer, fake_upstream
from tests.fakes import environment, set_up
from tests.frontend import few_files
from tests.plugins.forward.forwarding import addresses, forwarding, until


class Clock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_servers_of_a_file_are_asked_and_the_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "resolv.conf", Clock()
    path.write_text("nameserver 127.0.0.1\n")
    async with forwarding(f"forward . {path}", clock=clock) as forward:
        assert [upstream.label for upstream in forward.plugin.upstreams()] == ["127.0.0.1:53"]
        path.write_text("nameserver 127.0.0.77\nnameserver ::1\n")
        clock.now += 1
        assert [upstream.label for upstream in forward.plugin.upstreams()] == ["127.0.0.77:53", "[::1]:53"]


async def test_what_is_listed_twice_is_asked_once(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver 127.0.0.1\n")
    async with forwarding(f"forward . {path} 127.0.0.1") as forward:
        assert [upstream.label for upstream in forward.plugin.upstreams()] == ["127.0.0.1:53"]


async def test_without_anyone_to_ask_the_answer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolvconf, "SYSTEMD_UPSTREAMS", tmp_path / "none")
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    async with forwarding(f"forward . {path}", listening=lambda: [("0.0.0.0", 53)]) as forward:
        response = await forward.ask("www.example.")
        assert (response.rcode, response.ede) == (
            Rcode.SERVFAIL,
            (Ede.NO_REACHABLE_AUTHORITY, "no upstream is known"),
        )


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"nameserver \xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        set_up(f"forward . {path}", "forward", environment())


def test_a_file_that_cannot_be_opened_is_told_of_in_words(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    with few_files(0), pytest.raises(ConfigError) as caught:
        set_up(f"forward . {path}", "forward", environment())
    assert str(caught.value) == f"Corefile:2: forward: {path} cannot be read: Too many open files"


def addresses_of(address: str) -> FakeUpstream:
    """Make a resolver that knows one name."""

    def resolve(query: dns.message.Message) -> dns.message.Message:
        if query.question[0].rdtype == dns.rdatatype.A:
            return answer(query, f"@ A {address}")
        return dns.message.make_response(query)

    return FakeUpstream(answers=resolve)


async def test_a_host_name_is_looked_up_at_the_resolver() -> None:
    async with fake_upstream() as fake, fake_upstream(addresses_of("127.0.0.1")) as resolver:
        text = f"forward . ns.example:{fake.port} {{\n resolver 127.0.0.1:{resolver.port}\n}}"
        async with forwarding(text) as forward:
            await until(lambda: not forward.plugin.unready)
            assert addresses(await forward.ask("www.example.")) == [GOOD]
            assert {seen.message.question[0].rdtype for seen in resolver.seen} == {1, 28}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rcode-nxdomain.example", "the name is not found, says {}"),
        ("rcode-refused.example", "{} answers REFUSED"),
        ("rcode-noerror.example", "the name has no address, says {}"),
        ("blackhole.example", "{} gives no answer"),
    ],
)
async def test_a_host_name_without_an_address_is_named_with_the_reason(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.1)
    async with fake_upstream() as resolver:
        text = f"forward . {name} {{\n resolver 127.0.0.1:{resolver.port}\n}}"
        told = f"{name}: {reason.format(f'127.0.0.1:{resolver.port}')}"
        async with forwarding(text) as forward:
            assert forward.plugin.unready == f"{name}: not looked up yet"
            await until(lambda: f"upstream {told}" in caplog.messages)
            assert forward.plugin.unready == told
            response = await forward.ask("www.example.")
            assert (response.rcode, response.ede) == (
                Rcode.SERVFAIL,
                (Ede.NO_REACHABLE_AUTHORITY, f"{name} has no address"),
            )


async def test_a_client_is_told_of_one_host_name_and_how_many_more_there_are() -> None:
    names = " ".join(f"rcode-nxdomain.{number}.example" for number in range(15))
    async with forwarding(f"forward . {names} {{\n resolver 127.0.0.1\n}}") as forward:
        response = await forward.ask("www.example.")
        told = "rcode-nxdomain.0.example and 14 more have no address"
        assert (response.ede, str(response.error)) == ((Ede.NO_REACHABLE_AUTHORITY, told), f"forward: {told}")


async def test_a_host_name_that_stays_unknown_is_told_of_once_and_again_when_it_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(sources, "_AGAIN", 0.0)
    monkeypatch.setattr(sources, "_LONGEST_TTL", 0.0)
    name = "rcode-nxdomain.example"
    resolver = FakeUpstream()
    async with (
        fake_upstream(resolver),
        forwarding(f"forward . {name} {{\n resolver 127.0.0.1:{resolver.port}\n}}") as forward,
    ):
        await resolver.wait_for(4)
        resolver.helpful = True
        await until(lambda: not forward.plugin.unready)
        await resolver.wait_for(len(resolver.seen) + 4)
    assert [message for message in caplog.messages if name in message] == [
        f"upstream {name}: the name is not found, says 127.0.0.1:{resolver.port}",
        f"upstream {name} is found",
    ]
