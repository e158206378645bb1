"""Several processes that serve together, seen from outside."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import pytest

from svcdns.processors import count_processors
from tests.fake_upstream import fake_upstream
from tests.workers.processes import ADDRESS, CLIENTS, PATIENCE, Running, at_ports, is_alive, serving

COREFILE = """
.:PORT {
    bind 127.0.0.1
    health 127.0.0.1:SIDE
    prometheus 127.0.0.1:SIDE
    kubernetes cluster.local {
        manifests web.yaml
    }
}
"""
WEB = """
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  clusterIP: {}
"""
NAME = "web.default.svc.cluster.local"
FIRST, SECOND = "10.96.0.1", "10.96.0.2"


def write_service(folder: Path, address: str) -> None:
    """Have the Service at *address*, in one step."""
    (folder / "new").write_text(WEB.format(address))
    (folder / "new").rename(folder / "web.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_service(tmp_path, FIRST)
    return tmp_path


def test_one_process_is_the_rule(folder: Path) -> None:
    with serving(folder, COREFILE) as server:
        assert set(server.ask_all(NAME)) == {FIRST}
        assert server.sample("svcdns_workers") == 1
        assert server.workers == []


@pytest.mark.parametrize(
    ("directive", "arguments", "count"),
    [
        ("multisocket 3", [], 3),
        ("multisocket", [], count_processors()),
        ("", ["-workers", "2"], 2),
        ("", ["-workers=auto"], count_processors()),
        ("multisocket 3", ["-workers", "1"], 1),
    ],
)
def test_the_number_of_processes_is_what_was_asked_for(
    folder: Path, directive: str, arguments: list[str], count: int
) -> None:
    corefile = COREFILE.replace("bind", f"{directive}\n    bind")
    with serving(folder, corefile, *arguments) as server:
        server.until_serving(count)
        assert len(server.workers) == count - 1
        assert set(server.ask_all(NAME)) == {FIRST}


def test_the_largest_number_of_several_server_blocks_counts_for_all(folder: Path) -> None:
    blocks = "".join(
        f"{zone}:PORT {{\n    bind 127.0.0.1\n    multisocket {number}\n}}\n"
        for zone, number in (("a.test", 2), ("b.test", 3))
    )
    with serving(folder, COREFILE + blocks) as server:
        server.until_serving(3)


def test_what_is_odd_about_the_corefile_is_said_once_whatever_the_number_of_processes(folder: Path) -> None:
    with serving(folder, COREFILE.replace("bind", "cache 10s\n    bind"), "-workers", "3") as server:
        server.until_serving(3)
    assert server.log.read_text().count("'10s' is read as a zone") == 1


def test_a_worker_answers_while_the_first_process_is_held_up(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        assert 0 < count_answered_by_workers(server) < CLIENTS


def count_answered_by_workers(server: Running) -> int:
    """Ask while the first process is held up, and return how many clients are answered all the same."""
    server.signal(signal.SIGSTOP)
    try:
        with server.asked(NAME) as clients:
            return sum(map(_is_answered, clients))
    finally:
        server.signal(signal.SIGCONT)


def _is_answered(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        return bool(client.recv(4096))
    except TimeoutError:
        return False


@pytest.mark.parametrize(("number", "lost_total"), [(signal.SIGKILL, 1), (signal.SIGTERM, 0)])
def test_a_worker_that_ends_is_replaced_and_nobody_else_notices(
    folder: Path, number: signal.Signals, lost_total: int
) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        lost, kept = server.workers
        os.kill(lost, number)
        for _ in range(10):
            assert set(server.ask_all(NAME)) == {FIRST}
        server.until(lambda: lost not in server.workers)
        server.until_serving(3)
        assert kept in server.workers
        assert set(server.ask_all(NAME)) == {FIRST}
        assert server.sample("svcdns_workers_lost_total") == lost_total
    assert f"worker 1 (process {lost})" in server.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_takes_another_s_place_is_asked(folder: Path, number: signal.Signals) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        (lost,) = server.workers
        os.kill(lost, number)
        server.until(lambda: lost not in server.workers)
        server.until_serving(2)
        assert 0 < count_answered_by_workers(server) < CLIENTS


def test_what_a_worker_that_is_told_to_end_leaves_is_answered_before_it_ends(folder: Path) -> None:
    with silent_upstream() as port, serving(folder, COREFILE + forwarding(port), "-workers", "3") as server:
        server.until_serving(3)
        lost, kept = server.workers
        with server.asked("www.test"):
            assert set(server.ask_all(NAME)) == {FIRST}  # by then, what was asked before is in flight
            os.kill(lost, signal.SIGTERM)
            server.until(lambda: len(server.workers) == 3)
            query = dns.message.make_query(NAME, "A")
            for _ in range(CLIENTS):
                assert dns.query.tcp(query, ADDRESS, PATIENCE, server.port).answer[0][0].to_text() == FIRST
            assert {lost, kept} < set(server.workers)


def test_that_there_is_no_file_for_a_worker_is_said_and_tried_again(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        first = server.process.pid
        limits = resource.prlimit(first, resource.RLIMIT_NOFILE)
        resource.prlimit(first, resource.RLIMIT_NOFILE, (3, limits[1]))
        os.kill(server.workers[0], signal.SIGKILL)
        server.until(lambda: "no worker can be forked: Too many open files" in server.log.read_text())
        assert set(server.ask_all(NAME)) == {FIRST}
        resource.prlimit(first, resource.RLIMIT_NOFILE, limits)
        server.until_serving(2)
    assert "Traceback" not in server.log.read_text()


def test_the_first_process_answers_while_a_worker_cannot_begin(folder: Path) -> None:
    upstreams = folder / "resolv.conf"
    upstreams.write_text("nameserver 127.0.0.1\n")
    corefile = f"{COREFILE}\ntest:PORT {{\n    bind 127.0.0.1\n    forward . {upstreams}\n}}\n"
    with serving(folder, corefile, "-workers", "2") as server:
        server.until_serving(2)
        upstreams.unlink()
        os.kill(server.workers[0], signal.SIGKILL)
        server.until(lambda: f"forward: found '{upstreams}'" in server.log.read_text())
        assert set(server.ask_all(NAME)) == {FIRST}
        upstreams.write_text("nameserver 127.0.0.1\n")
        server.until_serving(2)
    assert "Traceback" not in server.log.read_text()


@contextmanager
def silent_upstream() -> Iterator[int]:
    """Yield the port of an upstream that never answers."""
    with socket.socket(type=socket.SOCK_DGRAM) as upstream:
        upstream.bind((ADDRESS, 0))
        yield upstream.getsockname()[1]


def forwarding(port: int) -> str:
    """Return a server block that forwards ``test``."""
    return f"\ntest:PORT {{\n    bind 127.0.0.1\n    forward . 127.0.0.1:{port}\n}}\n"


def test_one_that_is_stuck_makes_health_fail_until_another_has_its_place(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        assert server.get("/health") == (200, "OK")
        (stuck,) = server.workers
        os.kill(stuck, signal.SIGSTOP)
        server.until(lambda: server.get("/health")[0] == 503)
        assert server.get("/health")[1] == f"worker 1 (process {stuck}) does not answer"
        server.until(lambda: server.get("/health") == (200, "OK"))
        server.until_serving(2)
        assert stuck not in server.workers
        assert set(server.ask_all(NAME)) == {FIRST}


def test_a_change_reaches_all(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        workers = server.workers
        for address in (SECOND, FIRST):
            write_service(folder, address)
            server.until(lambda: set(server.ask_all(NAME)) == {address})  # noqa: B023 - called in this turn only
        (folder / "web.yaml").write_text("")
        server.until(lambda: set(server.ask_all(NAME)) == {"NXDOMAIN"})
        assert server.workers == workers


def test_metrics_are_the_sum(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        server.ask_all(NAME)
        assert server.sample("coredns_dns_requests_total") == CLIENTS
        os.kill(server.workers[0], signal.SIGKILL)
        server.until(lambda: server.sample("svcdns_workers_lost_total") == 1)
        server.until_serving(3)
        assert server.sample("coredns_dns_requests_total") == CLIENTS
        server.ask_all(NAME)
        assert server.sample("coredns_dns_requests_total") == 2 * CLIENTS
        assert server.sample("coredns_dns_request_duration_seconds_count") == 2 * CLIENTS


def test_memory_and_files_of_all_are_shown(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        own = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        assert server.sample("process_open_fds") > own + 5


def test_a_reload_acts_on_all(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "2") as server:
        server.until_serving(2)
        before = server.workers
        changed = COREFILE.replace("cluster.local", "example.org")
        (folder / "Corefile").write_text(at_ports(changed, server.port, server.side_port))
        server.signal(signal.SIGUSR1)
        server.until(lambda: set(server.ask_all("web.default.svc.example.org")) == {FIRST})
        server.until_serving(2)
        assert set(server.ask_all(NAME)) == {"REFUSED"}
        assert not set(server.workers) & set(before)


def test_a_reload_changes_the_number_of_processes_and_loses_nothing(folder: Path) -> None:
    def corefile(directive: str) -> str:
        return COREFILE.replace("bind", f"{directive}\n    bind")

    with serving(folder, corefile("multisocket 2")) as server:
        server.until_serving(2)
        for number in (3, 1, 2):
            text = at_ports(corefile(f"multisocket {number}"), server.port, server.side_port)
            (folder / "Corefile").write_text(text)
            server.signal(signal.SIGUSR1)

            def serves(number: int = number) -> bool:
                assert set(server.ask_all(NAME)) == {FIRST}
                return server.sample("svcdns_workers") == number == len(server.workers) + 1

            server.until(serves)


def test_a_reload_while_workers_begin_loses_none(folder: Path) -> None:
    with serving(folder, COREFILE.replace("bind", "multisocket 12\n    bind")) as server:
        fewer = COREFILE.replace("bind", "multisocket 3\n    bind")
        (folder / "Corefile").write_text(at_ports(fewer, server.port, server.side_port))
        server.signal(signal.SIGUSR1)
        server.until(lambda: "reloading complete" in server.log.read_text())
        server.until_serving(3)
        assert server.sample("svcdns_workers_lost_total") == 0
        assert set(server.ask_all(NAME)) == {FIRST}


def test_a_stop_answers_what_is_in_flight_everywhere_and_leaves_nobody(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        workers = server.workers
        with server.asked(NAME) as clients:
            server.signal(signal.SIGTERM)
            assert all(client.recv(4096) for client in clients)
        assert server.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, workers))


def test_who_asks_while_it_stops_is_answered_or_refused(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        with server.asked(NAME) as clients:
            server.signal(signal.SIGTERM)
            outcomes = Counter(map(_outcome, clients))
        while server.process.poll() is None:
            with server.asked(NAME) as clients:
                outcomes.update(map(_outcome, clients))
        assert outcomes["answered"] >= CLIENTS


def _outcome(client: socket.socket) -> str:
    """Say what became of a query, of two things that may."""
    client.settimeout(PATIENCE)
    try:
        client.recv(4096)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        pytest.fail("a query was neither answered nor refused")
    return "answered"


def test_workers_do_not_outlive_the_first_process(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        workers = server.workers
        server.process.kill()
        server.process.wait(PATIENCE)
    other = folder / "other"
    other.mkdir()
    write_service(other, SECOND)
    corefile = COREFILE.replace("PORT", str(server.port))
    with serving(other, corefile) as again:
        assert _ask(again, server.port) == SECOND
    assert not any(map(is_alive, workers))


def test_workers_that_wait_for_an_upstream_do_not_outlive_it_either(folder: Path) -> None:
    with silent_upstream() as port, serving(folder, COREFILE + forwarding(port), "-workers", "3") as server:
        server.until_serving(3)
        with server.asked("www.test"):
            assert set(server.ask_all(NAME)) == {FIRST}  # by then, what was asked before is in flight
            server.signal(signal.SIGTERM)
            server.until(lambda: "shutting down" in server.log.read_text())
            server.process.kill()
            server.process.wait(PATIENCE)
        with serving(folder, COREFILE.replace("PORT", str(server.port))) as again:
            assert _ask(again, server.port) == FIRST


def _ask(server: Running, port: int) -> str:
    assert server.process.poll() is None
    answer = dns.query.udp(dns.message.make_query(NAME, "A"), ADDRESS, port=port, timeout=PATIENCE).answer
    return str(answer[0][0])


async def test_what_is_forwarded_is_answered_by_all(folder: Path) -> None:
    async with fake_upstream() as upstream:
        corefile = (
            f"{COREFILE}\ntest:PORT {{\n    bind 127.0.0.1\n    forward . 127.0.0.1:{upstream.port}\n    cache\n}}\n"
        )
        with serving(folder, corefile, "-workers", "3") as server:
            await asyncio.to_thread(server.until_serving, 3)
            answers = await asyncio.to_thread(server.ask_all, "www.test")
            assert len(set(answers)) == 1
            assert answers[0] not in {"SERVFAIL", "REFUSED"}
            entries = await asyncio.to_thread(server.sample, "coredns_cache_entries")
            assert entries == 3


def test_an_upstream_that_leads_back_is_known_to_all(folder: Path) -> None:
    looping = ".:PORT {\n    bind 127.0.0.1\n    prometheus 127.0.0.1:SIDE\n    forward . 127.0.0.1:PORT\n    loop\n}\n"
    with serving(folder, looping, "-workers", "3") as server:
        server.until(lambda: server.sample("svcdns_loop_detected_total") == 3)
        assert set(server.ask_all("www.test")) == {"SERVFAIL"}
        lines = [line for line in server.log.read_text().splitlines() if "leads back to this server" in line]
        assert len(lines) == 3


def test_connections_are_spread_over_all_as_well(folder: Path) -> None:
    with serving(folder, COREFILE, "-workers", "3") as server:
        server.until_serving(3)
        query = dns.message.make_query(NAME, "A")
        for _ in range(CLIENTS):
            assert dns.query.tcp(query, ADDRESS, PATIENCE, server.port).answer[0][0].to_text() == FIRST
        os.kill(server.workers[0], signal.SIGKILL)
        for _ in range(CLIENTS):
            assert dns.query.tcp(query, ADDRESS, PATIENCE, server.port).answer[0][0].to_text() == FIRST


def test_a_number_that_cannot_be_is_refused() -> None:
    command = [sys.executable, "-m", "svcdns", "-workers", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr == "-workers: found '0', expected a number from 1 to 1024, or auto\n"


def test_that_there_are_too_few_files_for_the_sockets_is_said(folder: Path) -> None:
    (folder / "Corefile").write_text(".:0 {\n    bind 127.0.0.1\n    multisocket 100\n}\n")
    command = f"ulimit -n 50; exec {sys.executable} -m svcdns -conf {folder}/Corefile"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert re.search(r"/Corefile:2: bind: cannot listen on .* over (UDP|TCP): Too many open files\n", done.stderr)
