import os
from pathlib import Path

import pytest

from svcdns.corefile import Source, parse
from svcdns.corefile_files import CorefileInput, read_import
from svcdns.errors import ConfigError, SvcdnsError
from tests.frontend import few_files


def test_what_is_odd_is_told_of_the_last_reading_alone(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_text(". {\n    forward . {$NOT_SET}\n}\n")
    written = CorefileInput(str(path), ["forward"], {})
    for _ in range(2):
        written.read()
        assert written.warnings == [f"{path}:2: the environment has no 'NOT_SET': it is left empty"]
    path.unlink()
    with pytest.raises(SvcdnsError):
        written.read()
    assert written.warnings == []


def test_files_are_read_relative_to_their_importer_in_lexical_order(tmp_path: Path) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "b.override").write_text("log")
    (tmp_path / "custom" / "a.override").write_text("errors")
    (tmp_path / "custom" / "a.server").write_text("")
    assert read_import("custom/*.override", str(tmp_path / "Corefile")) == (
        Source(str(tmp_path / "custom/a.override"), "errors"),
        Source(str(tmp_path / "custom/b.override"), "log"),
    )


def test_a_path_from_the_root_needs_no_importer(tmp_path: Path) -> None:
    (tmp_path / "NodeHosts").write_text("10.0.0.1 node")
    found = (Source(str(tmp_path / "NodeHosts"), "10.0.0.1 node"),)
    assert read_import(f"{tmp_path}/NodeHosts", "stdin") == read_import(f"{tmp_path}/Node?osts", "stdin") == found


@pytest.mark.parametrize("pattern", ["nowhere", "nowhere/*.conf", "*.conf"])
def test_what_is_not_there_is_no_files(tmp_path: Path, pattern: str) -> None:
    assert read_import(pattern, str(tmp_path / "Corefile")) == ()


def test_the_versions_of_a_mounted_config_map_are_passed_over(tmp_path: Path) -> None:
    version = tmp_path / "..2025_01_01"
    version.mkdir()
    (version / "a.server").write_text(". {\n}")
    (tmp_path / "..data").symlink_to(version)
    (tmp_path / "a.server").symlink_to("..data/a.server")
    (tmp_path / ".hidden.server").write_text("")
    paths = [source.path for source in read_import("*", str(tmp_path / "Corefile"))]
    assert paths == [str(tmp_path / ".hidden.server"), str(tmp_path / "a.server")]


def test_an_import_that_cannot_be_read_is_told_of_in_words(tmp_path: Path) -> None:
    (tmp_path / "custom").write_text("log")
    path = str(tmp_path / "Corefile")
    with few_files(0), pytest.raises(ConfigError) as caught:
        parse(". {\n import custom\n}", path, known=["log"], environ={}, read=read_import, warn=pytest.fail)
    assert str(caught.value) == f"{path}:2: import: cannot read 'custom': {tmp_path}/custom: Too many open files"


def test_an_import_that_cannot_be_looked_at_is_told_of_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "custom").symlink_to("x" * 300)
    path = tmp_path / "Corefile"
    path.write_text(". {\n import custom\n}")
    with pytest.raises(ConfigError) as caught:
        CorefileInput(str(path), [], {}).read()
    assert str(caught.value) == f"{path}:2: import: cannot read 'custom': {tmp_path}/custom: File name too long"


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"\xfe", "1: found octet 0xfe, expected UTF-8"),
        (b". {\r\n    log\n    # caf\xe9\n}\n\xff", "3: found octet 0xe9, expected UTF-8"),
    ],
)
def test_a_line_that_is_not_utf_8_is_named_in_the_corefile_and_in_what_it_imports(
    octets: bytes, told: str, tmp_path: Path
) -> None:
    path, importer = tmp_path / "Corefile", tmp_path / "importer"
    path.write_bytes(octets)
    importer.write_text("import Corefile")
    for written in (path, importer):
        with pytest.raises(ConfigError) as caught:
            CorefileInput(str(written), ["log"], {}).read()
        assert str(caught.value) == f"{path}:{told}"


def test_folders_and_devices_are_no_imports(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        corefile = f". {{\n import {name}\n}}"
        with pytest.raises(ConfigError, match=rf"Corefile:2: import: cannot read '{name}': .*/{name} is not a file$"):
            parse(corefile, str(tmp_path / "Corefile"), known=[], environ={}, read=read_import, warn=pytest.fail)
