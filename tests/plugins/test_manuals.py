"""The command that prints manuals, as a user calls it."""

import subprocess
import sys

import pytest

from svcdns.plugins import DIRECTIVES


def print_manuals(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svcdns.plugins", *names]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["forward", "import"])
def test_a_manual_is_printed_and_nothing_else(name: str) -> None:
    done = print_manuals(name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name} - ")
    assert done.stdout.rstrip().endswith(("```", "."))
    assert "\nSyntax:\n" in done.stdout


def test_without_a_name_there_is_a_line_on_each_directive() -> None:
    lines = print_manuals().stdout.splitlines()
    assert [line.partition(" - ")[0] for line in lines] == sorted((*DIRECTIVES, "import"))


def test_what_is_no_directive_has_no_manual() -> None:
    done = print_manuals("forwrad")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("found 'forwrad', expected a directive: bind, cache, ")
