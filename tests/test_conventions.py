"""The house rules of CONTRIBUTING.md, as far as a machine can judge them."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from svcdns import __version__
from svcdns.plugins import DIRECTIVES, PLUGINS
from tests.manuals import HEADING, fenced, find_plugins, manual, section

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "svcdns").rglob("*.py"))
TEXTS = sorted(
    path
    for folder in (".", ".ci", "configs", "svcdns", "tests", "bench")
    for path in ((ROOT / folder).glob("*") if folder == "." else (ROOT / folder).rglob("*"))
    if path.is_file() and path.suffix in {"", ".md", ".py", ".toml", ".yaml", ".txt", ".Corefile", ".mod"}
)

LONGEST_MODULE = 400
LONGEST_FUNCTION = 40
PLACELESS = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}

KNOWN_HOSTS = {
    "keepachangelog.com",
    "kubernetes.io",
    "semver.org",
    "www.apache.org",
}
"""Whom documents and code may point to."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and its length in lines, its docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            documented = text.count("\n") + 1 if text is not None else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - documented


def table(text: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below *heading*, without its head, as cells."""
    below = f"\n{text}".partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None, f"no table below {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


# --- modules and functions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert path.stem not in PLACELESS


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_function_is_short(path: Path) -> None:
    assert {name: length for name, length in functions(path) if length > LONGEST_FUNCTION} == {}


# --- plugins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_is_a_module_and_a_test(plugin: str) -> None:
    module = ROOT / "svcdns" / "plugins" / plugin
    assert module.with_suffix(".py").exists() != module.is_dir()
    tests = ROOT / "tests" / "plugins"
    assert (tests / f"test_{plugin}.py").exists() or any((tests / plugin).glob("test_*.py"))


def test_every_module_of_a_plugin_is_in_the_registry() -> None:
    assert find_plugins() == sorted(PLUGINS)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_manual_says_what_the_plugin_does_and_how_it_is_written(plugin: str) -> None:
    first, _, rest = manual(plugin).partition("\n")
    assert re.fullmatch(rf"{plugin} - [a-z].*\.", first)
    assert rest.startswith("\n")
    headings = HEADING.findall(rest)
    assert headings == [each for each in ("Syntax", "Examples", "Metrics") if each in headings]
    if plugin in DIRECTIVES:
        (syntax,) = fenced(plugin, "Syntax")
        assert syntax.startswith(plugin)
        assert fenced(plugin, "Examples")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_manual_names_metrics_in_coredns_way_or_as_svcdns_own(plugin: str) -> None:
    for line in section(plugin, "Metrics").splitlines():
        if line.lstrip().startswith("- "):
            assert re.match(r" *- (coredns|svcdns|process|python)_[a-z_0-9*]+(\{[a-z_, ]+\})?[:,]", line), line


# --- documents -----------------------------------------------------------------------------------------------------


def test_the_readme_has_every_directive() -> None:
    directives = [directive.strip("`") for directive, *_ in table(read("README.md"), "### Directives")]
    assert sorted(directives) == sorted({*DIRECTIVES, "import"})


def test_the_readme_has_every_option_of_kubernetes() -> None:
    (syntax,) = fenced("kubernetes", "Syntax")
    options = [line.split()[0] for line in syntax.splitlines()[1:-1]]
    rows = table(read("README.md"), "### Options of `kubernetes`")
    assert sorted(name for words, *_ in rows for name in re.findall(r"`(\w+)", words)) == sorted(options)


def test_the_differences_from_coredns_are_numbered_without_a_gap() -> None:
    rows = table(read("DIFFERENCES.md"), "# Differences from CoreDNS")
    assert [number for number, *_ in rows] == [str(number + 1) for number in range(len(rows))]
    assert all(len(row) == 4 and all(row) for row in rows)


def test_the_tree_of_the_architecture_is_the_tree() -> None:
    drawn = set(drawn_paths(read("ARCHITECTURE.md")))
    top = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    drawn_modules = [path for path in MODULES if "plugins" not in path.parts]
    code = {relative(path) for path in drawn_modules if path.name != "__init__.py"}
    packages = {relative(path.parent) for path in drawn_modules if path.name == "__init__.py"} | {"svcdns/plugins"}
    folders = {
        relative(path)
        for name in ("tests", "configs")
        for path in (ROOT / name).iterdir()
        if path.is_dir() and not path.name.startswith("__") and not (ROOT / "svcdns" / path.name).exists()
    }
    assert drawn == top | code | packages | folders


def drawn_paths(text: str) -> Iterator[str]:
    """Yield the paths of the fenced block below the heading Tree, where two spaces are one step into a folder."""
    block = text.partition("\n## Tree\n")[2].split("```")[1]
    folders: list[str] = []
    for line in block.strip("\n").splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0].rstrip("/")
        folders[depth:] = [name]
        yield "/".join(folders)


def contracts(kind: str) -> list[dict[str, Any]]:
    """Return import-linter's contracts of one kind."""
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]
    return [contract for contract in settings["contracts"] if contract["type"] == kind]


def test_a_module_of_kube_does_io_or_is_kept_from_it() -> None:
    (contract,) = (each for each in contracts("forbidden") if "asyncio" in each["forbidden_modules"])
    core, waits = contract["source_modules"], "|".join(contract["forbidden_modules"])
    modules = [path for path in MODULES if "kube" in path.parts and path.name != "__init__.py"]
    free = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in modules
        if not re.search(rf"^(import|from) ({waits})\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {module for module in core if module.startswith("svcdns.kube.")} == free


def test_the_architecture_has_the_layers_that_are_checked() -> None:
    (layers,) = (contract["layers"] for contract in contracts("layers") if contract["containers"] == ["svcdns"])
    block = read("ARCHITECTURE.md").partition("\n## Who may import whom\n")[2].split("```")[1]
    assert block.strip().splitlines() == layers


def test_the_changelog_keeps_its_shape() -> None:
    text = read("CHANGELOG.md")
    assert text.startswith("# Changelog\n")
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d\d-\d\d)", release) for release in releases)
    assert releases[0].startswith(f"[{__version__}]")
    assert [release for release in releases[1:] if "unreleased" in release] == []
    versions = [tuple(map(int, re.findall(r"\d+", release)[:3])) for release in releases]
    assert all(newer > older for newer, older in pairwise(versions))
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_documents_link_to_what_is_there() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "DIFFERENCES.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
        assert [link for link in links if not (ROOT / link).exists()] == [], name


# --- words ---------------------------------------------------------------------------------------------------------


def test_images_come_by_name_without_the_host_of_a_registry() -> None:
    lines = [line.strip() for path in TEXTS for line in path.read_text(encoding="utf-8").splitlines()]
    images = [match[1] for line in lines if (match := re.match(r"(?:FROM|image:|- image:) ([\w.:/-]+)", line))]
    assert images
    assert [image for image in images if re.search(r"[.:]", image.partition("/")[0]) and "/" in image] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "DIFFERENCES.md"])
def test_documents_point_to_known_hosts(name: str) -> None:
    assert set(re.findall(r"https?://([\w.-]+)", read(name))) <= KNOWN_HOSTS


def test_the_locks_name_no_index() -> None:
    for name in (path.name for path in ROOT.glob("requirements*.txt")):
        assert re.findall(r"^\s*--(?!hash=)\S+|https?://\S+", read(name), re.MULTILINE) == []


def test_nothing_names_a_folder_of_somebodys_machine() -> None:
    assert texts_with(re.compile(r"(?<![\w.])/(?:home/(?!me\b)|Users/|root/)\w+"), TEXTS) == []


def test_nothing_is_left_to_do() -> None:
    assert texts_with(re.compile(r"\b(?:TODO|FIXME|TBD)\b"), [*MODULES, *ROOT.glob("*.md")]) == []


def texts_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    """Return the files of *paths*, but for this one, in which *pattern* matches."""
    others = (path for path in paths if path.name != Path(__file__).name)
    return [relative(path) for path in others if pattern.search(path.read_text(encoding="utf-8"))]
