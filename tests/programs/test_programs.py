import fcntl
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import programs
from tests.programs import DebianProgram, GoProgram, ProgramError
from tests.programs.cache import cache_entry, cache_folder, fill
from tests.programs.command import run

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GO_PROGRAMS = [program for program in programs.PROGRAMS.values() if isinstance(program, GoProgram)]

# Each stands for the real command and does what little of it is asked for.
GO = """
case $1 in
env) echo {version} ;;
build) while [ "$1" != -o ]; do shift; done; printf '#!/bin/sh\\necho built\\n' > "$2"; chmod +x "$2" ;;
esac
"""
APT_GET = """
case "$*" in
*--simulate*) echo 'Inst libhello1 [0.9] (1.0 Debian:12 [amd64])'; echo 'Inst hello (2.0-1 Debian:12 [amd64])' ;;
*download*) shift 4; touch "$@" ;;
esac
"""
DPKG_DEB = """
case $2 in
*/libhello1=1.0) mkdir -p "$3/usr/lib/x"; touch "$3/usr/lib/x/libhello.so.1" ;;
*/hello=2.0-1) mkdir -p "$3/usr/sbin"; printf '#!/bin/sh\\necho "$1 $LD_LIBRARY_PATH"\\n' > "$3/usr/sbin/hello"
    chmod +x "$3/usr/sbin/hello" ;;
esac
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty cache and an environment that names no program."""
    for variable in list(os.environ):
        if variable.startswith(("TEST_ASSET_", "KUBEBUILDER_")):
            monkeypatch.delenv(variable)
    folder = tmp_path / "cache"
    monkeypatch.setenv("SVCDNS_CACHE", str(folder))
    return folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an empty folder at the front of the PATH."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def write_program(path: Path, script: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    path.chmod(0o755)
    return path


# --- where a program is


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("TEST_ASSET_ETCD", "etcd"),
        ("TEST_ASSET_KUBE_APISERVER", "kube-apiserver"),
        ("TEST_ASSET_COREDNS", "coredns"),
        ("TEST_ASSET_DIG", "dig"),
    ],
)
def test_a_variable_names_the_file_of_one_program(
    variable: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_program(tmp_path / "mine")
    monkeypatch.setenv(variable, str(file))
    assert programs.path(name) == file
    assert programs.obtain(name) == file


def test_a_variable_that_names_no_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ASSET_ETCD", str(tmp_path / "gone"))
    with pytest.raises(ProgramError, match=r"^TEST_ASSET_ETCD names .*/gone, which is not an executable file$"):
        programs.path("etcd")


def test_the_folder_of_assets_holds_some_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    file = write_program(tmp_path / "etcd")
    assert programs.path("etcd") == file
    with pytest.raises(ProgramError, match="kube-apiserver is missing"):
        programs.path("kube-apiserver")


def test_a_file_of_its_own_precedes_the_folder_of_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path / "etcd")
    file = write_program(tmp_path / "other")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("TEST_ASSET_ETCD", str(file))
    assert programs.path("etcd") == file


def test_a_debian_program_is_found_on_the_path(commands: Path) -> None:
    file = write_program(commands / "dig")
    assert programs.path("dig") == file


@pytest.mark.parametrize("program", GO_PROGRAMS, ids=lambda program: program.name)
def test_a_missing_program_names_the_line_that_obtains_it(program: GoProgram) -> None:
    with pytest.raises(ProgramError) as error:
        programs.path(program.name)
    line = f"{program.name} is missing: run `make programs` or `python -m tests.programs {program.name}`"
    assert str(error.value) == line


# --- the cache


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SVCDNS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/svcdns"),
        ({"HOME": "/home/me"}, "/home/me/.cache/svcdns"),
        ({"HOME": "/home/me", "SVCDNS_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/svcdns"),
    ],
)
def test_the_environment_places_the_cache(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SVCDNS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert cache_folder() == Path(expected)


def test_the_same_sources_have_the_same_entry(cache: Path) -> None:
    entry = cache_entry("etcd", b"module", b"flags")
    assert entry == cache_entry("etcd", b"module", b"flags")
    assert entry.parent == cache
    assert re.fullmatch(r"etcd-[0-9a-f]{12}", entry.name)


@pytest.mark.parametrize("sources", [(b"module", b"flag"), (b"modulef", b"lags"), (b"flags", b"module"), (b"module",)])
def test_other_sources_have_another_entry(sources: tuple[bytes, ...]) -> None:
    assert cache_entry("etcd", *sources) != cache_entry("etcd", b"module", b"flags")


def test_an_entry_is_made_once(cache: Path) -> None:
    entry = cache_entry("etcd")
    made = []

    def make(scratch: Path) -> Path:
        made.append(scratch)
        return write_program(scratch / "anything")

    assert fill(entry, make) == fill(entry, make) == entry
    assert len(made) == 1
    assert sorted(path.name for path in cache.iterdir()) == [entry.name, "lock"]


def test_a_failure_leaves_nothing_behind(cache: Path) -> None:
    def make(scratch: Path) -> Path:
        write_program(scratch / "half")
        raise ProgramError("no network")

    with pytest.raises(ProgramError, match="no network"):
        fill(cache_entry("etcd"), make)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_process_that_waited_for_another_makes_nothing(cache: Path) -> None:
    entry = cache_entry("etcd")
    made = []

    def make(scratch: Path) -> Path:
        made.append(scratch)
        return write_program(scratch / "anything")

    cache.mkdir()
    waiter = threading.Thread(target=fill, args=(entry, make))
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiter.start()
        entry.touch()
    waiter.join()
    assert made == []


# --- obtaining


def test_a_go_program_is_built_into_the_cache(cache: Path, commands: Path) -> None:
    write_program(commands / "go", GO.format(version="go1.99.0"))
    program = programs.PROGRAMS["coredns"]
    assert program.find() is None
    built = program.obtain()
    assert built.parent == cache
    assert built == program.find() == programs.path("coredns")
    assert subprocess.check_output([built], text=True) == "built\n"


def test_a_failed_build_shows_what_the_compiler_said(cache: Path, commands: Path) -> None:
    write_program(commands / "go", "test $1 = env && echo go1.99.0 && exit; echo 'no such package' >&2; exit 3")
    with pytest.raises(ProgramError, match=r"(?s)^etcd: .*/go failed with status 3:.*no such package"):
        programs.obtain("etcd")
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_an_old_go_is_not_used(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(commands / "go", GO.format(version="go1.9.7"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(commands))
    with pytest.raises(ProgramError, match=r"the build needs Go 1\.26\.0 or later: install it, or give .* pip$"):
        programs.obtain("etcd")


def test_without_apt_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramError) as error:
        DebianProgram("hello", package="hello-tools").obtain()
    assert str(error.value) == "hello is missing: install it, on Debian with `apt-get install hello-tools`"


def test_an_unpacked_program_runs_with_the_libraries_unpacked_beside_it(cache: Path, commands: Path) -> None:
    write_program(commands / "apt-get", APT_GET)
    write_program(commands / "dpkg-deb", DPKG_DEB)
    program = DebianProgram("hello", package="hello-tools", service=True)
    found = program.obtain()
    assert found == program.find()
    assert found.is_relative_to(cache)
    libraries = found.parents[1] / "usr/lib/x"
    assert subprocess.check_output([found, "world"], text=True) == f"world {libraries}\n"


def test_a_failed_unpacking_names_the_package(commands: Path) -> None:
    write_program(commands / "apt-get", "echo 'E: no network'; exit 100")
    with pytest.raises(ProgramError) as error:
        DebianProgram("hello", package="hello-tools", service=True).obtain()
    assert "E: no network" in str(error.value)
    assert str(error.value).endswith("`apt-get install hello-tools`")


def test_a_command_s_output_is_returned() -> None:
    assert run(["sh", "-c", 'echo "$WORD"; echo two >&2'], title="echo", environment={"WORD": "one"}) == "one\ntwo\n"


# --- the command line


def run_command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.programs", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_prints_a_path_a_line(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd, dig = write_program(commands / "etcd"), write_program(commands / "dig")
    monkeypatch.setenv("TEST_ASSET_ETCD", str(etcd))
    assert run_command_line("etcd", "dig").stdout == f"{etcd}\n{dig}\n"


def test_the_command_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ASSET_ETCD", "/gone")
    finished = run_command_line("etcd")
    assert finished.returncode == 1
    assert finished.stderr == "TEST_ASSET_ETCD names /gone, which is not an executable file\n"


def test_the_command_knows_no_other_names() -> None:
    finished = run_command_line("bind")
    assert finished.returncode == 2
    assert "kube-apiserver" in finished.stderr


# --- the locks


@pytest.mark.parametrize("program", GO_PROGRAMS, ids=lambda program: program.name)
def test_a_go_program_is_a_tool_of_its_module(program: GoProgram) -> None:
    module = (HERE / program.folder / "go.mod").read_text()
    assert re.search(rf"^(tool |\t){re.escape(program.package)}$", module, re.MULTILINE)


def test_kube_apiserver_is_told_the_version_that_is_locked() -> None:
    module = (HERE / "kube-apiserver" / "go.mod").read_text()
    version = re.search(r"k8s\.io/kubernetes v1\.(\d+)\.(\d+)", module)
    assert version is not None
    minor, patch = version.groups()
    program = programs.PROGRAMS["kube-apiserver"]
    assert isinstance(program, GoProgram)
    told = [variable.partition("/version.")[2] for variable in program.variables]
    assert told == [f"gitVersion=v1.{minor}.{patch}", "gitMajor=1", f"gitMinor={minor}"]
    staged = set(re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ (\S+)$", module, re.MULTILINE))
    assert staged == {f"v0.{minor}.{patch}"}
