"""Every configuration that is shipped can be used: Corefiles, manifests, and the examples of the manuals."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from svcdns.assembly import Assembly, assemble
from svcdns.corefile import parse
from svcdns.corefile_files import read_import
from svcdns.errors import ConfigError
from svcdns.kube.manifests import documents
from svcdns.plugins import DIRECTIVES
from tests.fakes import environment
from tests.manuals import fenced, find_plugins

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
MANIFESTS = CONFIGS / "manifests"
COREFILES = sorted(CONFIGS.rglob("*Corefile"))
DOCUMENTS = sorted(path for ending in ("*.yaml", "*.yml", "*.json") for path in CONFIGS.rglob(ending))
EXAMPLES = [(plugin, text) for plugin in find_plugins() for text in fenced(plugin, "Examples")]

SOURCES = re.compile(r"^ *(endpoint|tls|kubeconfig) .*\n", re.MULTILINE)
OPENING = re.compile(r"^( *kubernetes .*\{\n)", re.MULTILINE)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def outside_of_a_cluster(text: str) -> str:
    """Name an API server in a Corefile that takes the one around its Pod, or one of a file that is not here."""
    if " manifests " in text:
        return text.replace(" /manifests", f" {MANIFESTS}")
    return OPENING.sub(r"\1endpoint http://127.0.0.1:8001\n", SOURCES.sub("", text))


def load(text: str, path: Path) -> Assembly:
    """Do all that a start does before the first socket is opened."""
    environ = {"MANIFESTS": str(MANIFESTS)}
    corefile = parse(text, str(path), known=DIRECTIVES, environ=environ, read=read_import, warn=lambda _: None)

    return assemble(corefile, environment(), {}, port=53)


def read_documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(read(path))


def corefile_in_config_map() -> str:
    (config_map,) = read_documents(CONFIGS / "kubernetes" / "configmap.yaml")
    return str(config_map["data"]["Corefile"])


def test_there_are_corefiles_manifests_and_examples() -> None:
    assert len(COREFILES) > 1
    assert len(DOCUMENTS) > 1
    assert len(EXAMPLES) >= len(DIRECTIVES)


@pytest.mark.parametrize("path", COREFILES, ids=lambda path: str(path.relative_to(CONFIGS)))
async def test_every_corefile_can_be_set_up(path: Path) -> None:
    assembly = load(outside_of_a_cluster(read(path)), path)
    assert assembly.routes


@pytest.mark.parametrize(("plugin", "text"), EXAMPLES)
async def test_every_example_of_a_manual_can_be_set_up(plugin: str, text: str) -> None:
    assembly = load(outside_of_a_cluster(text), ROOT / "Corefile")
    assert plugin in {name for name, _ in assembly.plugins()}


@pytest.mark.parametrize("plugin", sorted(DIRECTIVES))
async def test_a_manual_has_the_options_that_the_plugin_knows(plugin: str) -> None:
    """An unknown option is refused with all that are known, if none of these is near."""
    syntax, example = fenced(plugin, "Syntax")[0], fenced(plugin, "Examples")[0]
    directive = re.search(rf"^ *{plugin}\b[^{{\n]*", example, re.MULTILINE)
    assert directive is not None
    text = f". {{\n{directive[0]} {{\nzzqqzz\n}}\n}}"
    with pytest.raises(ConfigError, match="unknown option 'zzqqzz'") as caught:
        load(text, ROOT / "Corefile")
    known = set(re.findall(r"'(\w+)'", caught.value.reason)) - {"zzqqzz"}
    assert known == {line.split()[0] for line in syntax.splitlines()[1:-1]}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_manifest_is_one_and_can_be_read_as_the_kubernetes_plugin_does(path: Path) -> None:
    assert list(read_documents(path))
    found = documents.parse(str(path), read(path))
    assert found or path.parent != MANIFESTS


async def test_the_dev_corefile_keeps_to_loopback_and_to_ports_of_its_own() -> None:
    path = CONFIGS / "dev.Corefile"
    assembly = load(read(path), path)
    assert [(endpoint.address, endpoint.port) for endpoint in assembly.routes] == [("127.0.0.1", 1053)]
    addresses = [address.rpartition(":") for address in assembly.pages]
    assert {host for host, _, _ in addresses} == {"127.0.0.1"}
    assert not {"53", "1053", "5353", "8080", "8181", "9153"} & {port for _, _, port in addresses}
    pages = sorted(page for pages in assembly.pages.values() for page in pages)
    assert pages == ["/health", "/metrics", "/ready"]


async def test_the_dev_corefile_has_a_line_to_paste() -> None:
    path = CONFIGS / "dev.Corefile"
    assembly = load(read(path), path)
    assert "web.default.svc.cluster.local A" in [plugin.example for _, plugin in assembly.plugins()]


async def test_containers_ask_the_address_that_the_compose_file_gives_svcdns() -> None:
    (compose,) = read_documents(CONFIGS / "compose" / "compose.yaml")
    address = compose["services"]["svcdns"]["networks"]["svcdns"]["ipv4_address"]
    path = CONFIGS / "compose" / "Corefile"
    assembly = load(outside_of_a_cluster(read(path)), path)
    assert [(endpoint.address, endpoint.port) for endpoint in assembly.routes] == [(address, 53)]
    assert compose["services"]["example"]["dns"] == address


def test_the_config_map_holds_kubeadms_corefile() -> None:
    comment, _, corefile = read(CONFIGS / "kubeadm.Corefile").partition("\n")
    assert comment.startswith("#")
    assert corefile_in_config_map() == corefile


def test_no_corefile_needs_a_variable_but_the_folder_of_manifests() -> None:
    used = {name for path in COREFILES for name in re.findall(r"\{[$%](\w+)", read(path))}
    assert used == {"MANIFESTS"}
    assert "MANIFESTS" in read(ROOT / "Makefile")
