"""The command line as a user meets it: a process, its exit code and what it prints."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from svcdns.plugins import DIRECTIVES
from tests.ports import free_port

COREFILE = """
.:0 {
    bind 127.0.0.1
    errors
}
"""

LAME = """
.:0 {
    bind 127.0.0.1
    health 127.0.0.1:0 {
        lameduck 1s
    }
}
"""


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svcdns", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def running(*arguments: str, text: str | None = None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "svcdns", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(text or "")
        process.stdin.close()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def served_port(process: subprocess.Popen[str]) -> int:
    """Read the banner up to its version line and return the port of the first zone."""
    assert process.stdout is not None
    zone = ""
    for line in process.stdout:
        zone = zone or line
        if line.startswith("svcdns-"):
            break
    return int(zone.split(" ")[0].rpartition(":")[2])


def answers(port: int) -> bool:
    query = dns.message.make_query("example.", "A")
    return dns.query.udp(query, "127.0.0.1", port=port, timeout=5).id == query.id


def wait_for_answer(port: int) -> None:
    """Ask until somebody answers, for 20 seconds at most; an unanswered question takes a tenth of one."""
    query = dns.message.make_query("example.", "A")
    for _ in range(200):
        with suppress(dns.exception.Timeout):
            dns.query.udp(query, "127.0.0.1", port=port, timeout=0.1)
            return
    pytest.fail("nobody answers")


@pytest.fixture
def corefile(tmp_path: Path) -> Path:
    path = tmp_path / "Corefile"
    path.write_text(COREFILE)
    return path


def test_version_tells_whether_it_is_compiled(pytestconfig: pytest.Config) -> None:
    assert run("-version").stdout.endswith(", compiled\n") == pytestconfig.getoption("--expect-compiled")


def test_version_prints_name_and_version() -> None:
    done = run("-version")
    assert done.returncode == 0
    assert done.stdout.startswith("svcdns-")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["-version=true"],
        ["--version=1"],
        ["-quiet=true", "-version"],
        ["-quiet=F", "--p=53", "-dns.port=53", "--conf=Corefile", "-log-format=text", "-version=T"],
        ["-version=false", "-version"],
    ],
)
def test_flags_are_written_in_all_of_go_s_ways(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("svcdns-")


def test_without_its_pidfile_it_serves_all_the_same(corefile: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "no" / "pid"
    with running("-conf", str(corefile), "-pidfile", str(pidfile)) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"[ERROR] -pidfile: '{pidfile}' cannot be written: No such file or directory\n"
        assert answers(served_port(process))


def test_a_start_that_fails_leaves_the_pidfile_to_who_serves(corefile: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with running("-conf", str(corefile), "-pidfile", str(pidfile)) as process:
        port = served_port(process)
        taken = tmp_path / "taken"
        taken.write_text(f".:{port} {{\n    bind 127.0.0.1\n}}\n")
        assert run("-conf", str(taken), "-pidfile", str(pidfile)).returncode == 1
        assert int(pidfile.read_text()) == process.pid
        process.terminate()
        assert process.wait(20) == 0
    assert not pidfile.exists()


def test_a_pidfile_that_cannot_be_removed_does_not_fail_a_stop(corefile: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with running("-conf", str(corefile), "-pidfile", str(pidfile)) as process:
        served_port(process)
        pidfile.unlink()
        pidfile.mkdir()
        process.terminate()
        assert process.wait(20) == 0


def test_plugins_lists_every_directive() -> None:
    done = run("-plugins")
    assert done.returncode == 0
    assert done.stdout.splitlines() == sorted(DIRECTIVES)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-nonsense"], 2),
        (["-quiet=maybe"], 2),
        (["-quiet="], 2),
        (["-p53"], 2),
        (["---version"], 2),
        (["-bogus", "-version"], 2),
        (["-conf"], 2),
        (["-version", "extra"], 1),
        (["-version", "true"], 1),
        (["-version", "--", "extra"], 1),
        (["-version=false", "-conf=/no/such/Corefile"], 1),
        (["-log-format", "json"], 1),
        (["-p", "70000"], 1),
        (["-p", "domain"], 1),
        (["-workers", "-1"], 1),
        (["-workers"], 2),
        (["extra"], 1),
        (["-conf", "/no/such/Corefile"], 1),
    ],
)
def test_flags_and_files_that_cannot_be_used_end_the_start(arguments: list[str], code: int) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_the_help_shows_flags_as_go_does_and_says_what_quiet_leaves_out() -> None:
    done = run("-help")
    assert done.returncode == 0
    assert "--" not in done.stdout
    assert "\n  -help, -h             show this\n  -conf FILE            Corefile to load" in done.stdout
    assert "\n  -version[=true|false]\n" in done.stdout
    assert "zones, version and examples" in " ".join(done.stdout.split())
    assert run("-h").stdout == run("--help").stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-workers", "-1"], "-workers: found '-1', expected a number from 1 to 1024, or auto"),
        (["-workers=-1"], "-workers: found '-1', expected a number from 1 to 1024, or auto"),
        (["-p", "-quiet"], "-dns.port: found '-quiet', expected a port from 0 to 65535"),
        (["-workers"], "svcdns: error: argument -workers: expected one argument"),
        (["-quiet=x--y --z"], "svcdns: error: argument -quiet: found 'x--y --z', expected true or false"),
        (["-nonsense"], "svcdns: error: unrecognized arguments: -nonsense"),
        (["--nonsense=a --b", "x"], "svcdns: error: unrecognized arguments: --nonsense=a --b"),
        (["-bogus", "-conf", "x"], "svcdns: error: unrecognized arguments: -bogus"),
        (["---conf", "x"], "svcdns: error: unrecognized arguments: ---conf"),
        (["-p53"], "svcdns: error: unrecognized arguments: -p53"),
        (["-1"], "svcdns: error: unrecognized arguments: -1"),
        (["--", "-conf", "x"], "found '-conf x', expected flags only"),
        (["--", "--", "-"], "found '-- -', expected flags only"),
        (["x", "-bogus", "--"], "found 'x -bogus --', expected flags only"),
    ],
)
def test_a_flag_that_cannot_be_used_is_named_as_it_is_written(arguments: list[str], told: str) -> None:
    assert run(*arguments).stderr.splitlines()[-1] == told


@pytest.mark.parametrize("arguments", [["-h", "-conf", "x"], ["-help=true"], ["--h=false"], ["-h", "-bogus"]])
def test_the_help_is_shown_whatever_follows(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (0, run("-help").stdout)


def test_a_missing_corefile_is_named() -> None:
    told = "/no/such/Corefile: the Corefile cannot be read: No such file or directory\n"
    assert run("-conf", "/no/such/Corefile").stderr == told


def start_in_vain(path: Path, corefile: str) -> subprocess.CompletedProcess[str]:
    """Write a Corefile that ends the start, and return what was said."""
    path.write_text(corefile)
    done = run("-conf", str(path))
    assert done.returncode == 1
    return done


def test_a_fault_of_one_plugin_does_not_hide_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    block = ". {\n    kubernetes cluster.local\n    forward . 192.0.2.1 {\n        max_concurent 1000\n    }\n}\n"
    faults = start_in_vain(path, block + block.replace("kubernetes", "cache 30 {\n bogus\n}\nkubernetes")).stderr
    assert [line.removeprefix(f"{path}:").partition(",")[0] for line in faults.splitlines()] == [
        "2: kubernetes: found no cluster around this process",
        "4: unknown option 'max_concurent'",
        "7: . is served at port 53 by a server block above",
        "9: unknown option 'bogus'",
        "11: kubernetes: found no cluster around this process",
        "13: unknown option 'max_concurent'",
    ]


def test_an_unknown_directive_names_file_line_and_the_nearest_word(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    done = start_in_vain(path, ". {\n    erors\n}\n")
    assert f"{path}:2" in done.stderr
    assert "'errors'" in done.stderr


def test_a_start_that_fails_tells_which_variable_was_empty(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    done = start_in_vain(path, ". {\n    forward . {$NOT_SET_ANYWHERE}\n}\n")
    assert f"{path}:2: the environment has no 'NOT_SET_ANYWHERE': it is left empty" in done.stdout
    expected = "expected an address, a host name or a file that is there"
    assert done.stderr == f"{path}:2: forward: found '', {expected}; the environment has no 'NOT_SET_ANYWHERE'\n"


def test_a_corefile_without_server_blocks_is_refused() -> None:
    done = run("-conf", "stdin", text="# nothing\n")
    assert done.returncode == 1
    assert "server block" in done.stderr


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_is_one_clear_line(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        done = run("-conf", "stdin", "-p", str(port), text=". {\n bind 127.0.0.1\n}\n")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(corefile: Path, number: signal.Signals) -> None:
    with running("-conf", str(corefile)) as process:
        assert answers(served_port(process))
        process.send_signal(number)
        assert process.wait(20) == 0


def test_a_line_of_standard_input_that_is_not_utf_8_is_named() -> None:
    command = [sys.executable, "-m", "svcdns", "-conf", "stdin"]
    done = subprocess.run(command, input=b". {\n # \xff\n}", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"stdin:2: found octet 0xff, expected UTF-8\n")


def test_a_closed_standard_input_holds_no_corefile() -> None:
    command = 'exec "$0" -m svcdns -conf stdin <&-'
    closed = ["sh", "-c", command, sys.executable]
    done = subprocess.run(closed, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "stdin:1: found no server block, expected at least one\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_who_starts_it_may_have_closed_what_it_reads_and_writes(corefile: Path, tmp_path: Path, closed: str) -> None:
    pidfile = tmp_path / "pid"
    command = f'exec "$0" -m svcdns -conf "$1" -pidfile "$2" {closed}'
    with subprocess.Popen(["sh", "-c", command, sys.executable, corefile, pidfile]) as process:
        try:
            while not (pidfile.exists() and pidfile.read_text()):
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ((signal.SIGTERM, signal.SIGTERM), 0),
        ((signal.SIGINT, signal.SIGTERM), 0),
        ((signal.SIGTERM, signal.SIGINT), 0),
        ((signal.SIGINT, signal.SIGINT), 2),
    ],
)
def test_only_a_second_interrupt_cuts_a_stop_short(
    tmp_path: Path, numbers: Sequence[signal.Signals], code: int
) -> None:
    path = tmp_path / "Corefile"
    path.write_text(LAME)
    with running("-conf", str(path)) as process:
        port = served_port(process)
        process.send_signal(numbers[0])
        assert process.stdout is not None
        while "lame-duck" not in process.stdout.readline():
            pass
        process.send_signal(numbers[1])
        if code == 0:
            assert answers(port)
        assert process.wait(20) == code


def test_a_quit_ends_it_at_once(corefile: Path) -> None:
    with running("-conf", str(corefile)) as process:
        served_port(process)
        process.send_signal(signal.SIGQUIT)
        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_ends_it_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    corefile = tmp_path / "Corefile"
    os.mkfifo(corefile)
    with running("-conf", str(corefile)) as process:
        # It opens as soon as the process reads its Corefile, which may have ended before there is anything to read.
        with suppress(BrokenPipeError), corefile.open("w") as pipe:
            process.send_signal(number)
            pipe.write(COREFILE)
        assert process.wait(20) == 128 + number
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_wait_until_it_is_up(tmp_path: Path, number: signal.Signals) -> None:
    corefile = tmp_path / "Corefile"
    os.mkfifo(corefile)
    with running("-conf", str(corefile)) as process:
        with corefile.open("w") as pipe:
            process.send_signal(number)
            pipe.write(COREFILE)
        port = served_port(process)
        if number == signal.SIGUSR1:
            corefile.write_text(COREFILE)  # which waits until it is read again
        assert answers(port)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_do_not_end_a_stop(corefile: Path, number: signal.Signals) -> None:
    with running("-conf", str(corefile)) as process:
        served_port(process)
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(number)
        assert process.returncode == 0


def test_who_wants_an_upgrade_in_place_is_told_that_there_is_none(corefile: Path) -> None:
    with running("-conf", str(corefile)) as process:
        port = served_port(process)
        process.send_signal(signal.SIGUSR2)
        assert process.stdout is not None
        assert any(line.startswith("[WARNING] SIGUSR2: ") for line in process.stdout)
        assert answers(port)


def test_hangup_is_ignored_and_the_pid_is_written(corefile: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with running("-conf", str(corefile), "-pidfile", str(pidfile)) as process:
        port = served_port(process)
        assert int(pidfile.read_text()) == process.pid
        process.send_signal(signal.SIGHUP)
        assert answers(port)


def test_standard_input_can_be_the_corefile() -> None:
    with running("-conf", "stdin", text=COREFILE) as process:
        assert answers(served_port(process))


@pytest.mark.parametrize("kind", ["full disk", "full pipe", "no reader", "closed"])
def test_a_log_that_cannot_be_written_harms_nothing(tmp_path: Path, kind: str) -> None:
    port = free_port()
    path = tmp_path / "Corefile"
    path.write_text(f".:{port} {{\n    bind 127.0.0.1\n    log\n}}\n")
    reading, writing = os.pipe()
    if kind == "full pipe":
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"\n")
        os.set_blocking(writing, True)
    if kind == "no reader":
        os.close(reading)
    elsewhere = {"full disk": ">/dev/full", "closed": ">&-"}.get(kind, "")
    command = f'exec "$0" -m svcdns -conf "$1" {elsewhere}'
    with subprocess.Popen(
        ["sh", "-c", command, sys.executable, path], stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_answer(port)
        assert all(answers(port) for _ in range(100))
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    for end in (writing, reading)[: 1 if kind == "no reader" else 2]:
        os.close(end)


def test_quiet_prints_nothing_at_the_start() -> None:
    port = free_port()
    with running("-conf", "stdin", "-quiet", "-p", str(port), text=". {\n bind 127.0.0.1\n}\n") as process:
        wait_for_answer(port)
        process.terminate()
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert lines == ["[INFO] SIGTERM: shutting down"]
