"""Files and folders that change under a cluster's hands."""

import asyncio
import os
import resource
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import pytest

from svcdns.errors import ConfigError
from svcdns.kube.cluster import Cluster
from svcdns.kube.manifests.controlplane import Options
from svcdns.kube.manifests.source import Manifests
from svcdns.kube.objects import Kind

KINDS = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)


def service(name: str, address: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {address}}}\n---\n"


class Folder:
    """A folder of manifests, the cluster made of it, and what was logged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = Cluster(KINDS, lambda: 0.0)
        self.log: list[str] = []

    def follow(self, *paths: Path, options: Options | None = None) -> Manifests:
        return Manifests(
            paths or (self.path,),
            options or Options(),
            KINDS,
            self.cluster,
            lambda _level, sentence: self.log.append(sentence),
            interval=0,
            settling=0,
        )

    def load(self, *paths: Path) -> Manifests:
        """Load, and look often enough for all that was written before to be settled."""
        manifests = self.follow(*paths)
        manifests.load()
        settle(manifests)
        return manifests

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text)
        return path

    @property
    def services(self) -> dict[str, str]:
        return {each.key[1]: str(ip_address(each.addresses[0])) for each in self.cluster.services.values()}


def settle(manifests: Manifests) -> None:
    manifests.poll()
    manifests.poll()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_folder_is_read_by_the_endings_of_its_files_without_hidden_ones_and_folders(folder: Folder) -> None:
    for index, name in enumerate(["a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml", "f.yaml~"]):
        folder.write(name, service(name[0] if name[0] != "." else "e", f"10.0.0.{index}"))
    (folder.path / "g.yaml").mkdir()
    (folder.path / "g.yaml" / "g.yaml").write_text(service("g", "10.0.0.9"))
    folder.load()
    assert folder.services == {"a": "10.0.0.0", "b": "10.0.0.1", "c": "10.0.0.2"}
    assert folder.log == []


def test_a_file_is_read_whatever_its_name(folder: Folder) -> None:
    folder.load(folder.write("services.txt", "\ufeff" + service("web", "10.0.0.1")))
    assert folder.services == {"web": "10.0.0.1"}


def test_what_comes_later_stands(folder: Folder) -> None:
    first = folder.write("b.yaml", service("web", "10.0.0.1"))
    second = folder.write("a.yaml", service("web", "10.0.0.2"))
    folder.load()
    assert folder.services == {"web": "10.0.0.1"}
    folder.load(first, second)
    assert folder.services == {"web": "10.0.0.2"}
    assert folder.log == [
        f"{second}:1: Service default/web gives way to Service default/web at {first}:1, which is written after it",
        f"{first}:1: Service default/web gives way to Service default/web at {second}:1, which is written after it",
    ]


def test_what_is_written_twice_is_told_once(folder: Folder) -> None:
    folder.write("a.yaml", service("web", "10.0.0.1") + service("web", "10.0.0.2"))
    manifests = folder.load()
    folder.write("b.yaml", service("api", "10.0.0.3"))
    settle(manifests)
    folder.write("a.yaml", "# Further down.\n" + service("web", "10.0.0.1") + service("web", "10.0.0.2"))
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3", "web": "10.0.0.2"}
    assert len(folder.log) == 1


def test_everything_is_there_after_loading(folder: Folder) -> None:
    folder.write("a.yaml", service("web", "10.0.0.1"))
    folder.follow().load()
    assert folder.cluster.pending == frozenset()
    assert ("", "default") in folder.cluster.namespaces


def test_kinds_that_nobody_asks_for_are_left_out(folder: Folder) -> None:
    folder.write("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}")
    folder.load()
    assert len(folder.cluster.pods) == 0


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nothing")


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("prepare", "line", "reason"),
    [
        (lambda path: path.write_text("a: b\nc: ["), 2, "expected YAML: "),
        (lambda path: path.write_bytes(b"a: b\nc: \xff"), 2, "expected UTF-8, found the octet 0xff"),
        (lambda path: path.write_bytes(b"\xef\xbb\xbfa: b\n\xff"), 2, "expected UTF-8, found the octet 0xff"),
        (
            lambda path: path.write_text("\napiVersion: v1\nkind: Pod"),
            2,
            "Pod: metadata: expected a value, found nothing",
        ),
        (make_pipe, 1, "expected a file, found a device, socket or pipe"),
        (make_dangling_link, 1, "cannot be read: No such file or directory"),
        (make_link_to_itself, 1, "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_a_file_that_is_no_manifest_ends_the_start(
    folder: Folder, prepare: Callable[[Path], object], line: int, reason: str
) -> None:
    path = folder.path / "web.yaml"
    prepare(path)
    with pytest.raises(ConfigError) as fault:
        folder.follow().load()
    assert (fault.value.path, fault.value.line) == (str(path), line)
    assert fault.value.reason.startswith(reason)
    assert folder.cluster.pending == frozenset(KINDS)


def test_a_start_tells_of_all_files_that_are_wrong(folder: Folder) -> None:
    second = folder.write("b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}")
    first = folder.write("a.yaml", "garbage")
    with pytest.raises(ConfigError) as fault:
        folder.follow().load()
    assert str(fault.value).splitlines() == [
        f'{first}:1: expected an object, found "garbage"',
        f"{second}:1: Service web: spec: expected a value, found nothing",
    ]


def test_a_path_that_is_not_there_ends_the_start(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError) as fault:
        folder.follow(folder.path, folder.path / "gone").load()
    assert Path(fault.value.filename) == folder.path / "gone"


def test_an_empty_folder_is_told_and_may_be_filled(folder: Folder) -> None:
    (folder.path / "more").mkdir()
    manifests = folder.load()
    assert folder.log == [f"{folder.path} has no .yaml, .yml, .json file in it; folders inside it are not read"]
    folder.write("a.yaml", service("web", "10.0.0.1"))
    settle(manifests)
    assert folder.services == {"web": "10.0.0.1"}


def test_files_that_are_written_changed_and_deleted_are_followed(folder: Folder) -> None:
    manifests = folder.load(folder.write("a.yaml", service("web", "10.0.0.1")).parent)
    folder.write("b.yaml", service("api", "10.0.0.2"))
    settle(manifests)
    assert folder.services == {"api": "10.0.0.2", "web": "10.0.0.1"}
    folder.write("b.yaml", service("api", "10.0.0.3"))
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3", "web": "10.0.0.1"}
    (folder.path / "a.yaml").unlink()
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3"}
    assert folder.log == []


def test_a_change_between_loading_and_looking_is_seen(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    manifests = folder.follow()
    manifests.load()
    before = path.stat()
    folder.write("a.yaml", service("web", "10.0.0.2"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    settle(manifests)
    assert folder.services == {"web": "10.0.0.2"}


def test_nothing_is_touched_but_what_changed(folder: Folder) -> None:
    folder.write("a.yaml", service("web", "10.0.0.1") + service("api", "10.0.0.2"))
    manifests = folder.load()
    revision, serial = folder.cluster.revision, folder.cluster.serial
    settle(manifests)
    folder.write("a.yaml", "# More.\n" + service("api", "10.0.0.2") + service("web", "10.0.0.1"))
    settle(manifests)
    assert (folder.cluster.revision, folder.cluster.serial) == (revision, serial)
    folder.write("a.yaml", service("web", "10.0.0.1") + service("api", "10.0.0.3"))
    settle(manifests)
    assert folder.cluster.changes_since(revision) == frozenset({("default", "api")})


def test_a_file_that_replaces_another_is_seen_whatever_its_times_and_size(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    manifests = folder.load()
    other = folder.write("new", service("web", "10.0.0.2"))
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(path)
    settle(manifests)
    assert folder.services == {"web": "10.0.0.2"}


def test_a_mounted_configmap_is_followed_when_its_link_moves(folder: Folder) -> None:
    for version, address in (("..1", "10.0.0.1"), ("..2", "10.0.0.2")):
        (folder.path / version).mkdir()
        (folder.path / version / "web.yaml").write_text(service("web", address))
    (folder.path / "..data").symlink_to("..1")
    (folder.path / "web.yaml").symlink_to("..data/web.yaml")
    manifests = folder.load()
    assert folder.services == {"web": "10.0.0.1"}
    (folder.path / "..new").symlink_to("..2")
    (folder.path / "..new").rename(folder.path / "..data")
    settle(manifests)
    assert folder.services == {"web": "10.0.0.2"}


def test_what_is_being_written_is_left_alone_until_it_settles(folder: Folder) -> None:
    text = service("web", "10.0.0.1") + service("api", "10.0.0.2")
    path = folder.write("a.yaml", text)
    manifests = folder.load()
    for octets in range(0, len(text), 10):
        path.write_text(text[:octets])
        manifests.poll()
        assert folder.services == {"api": "10.0.0.2", "web": "10.0.0.1"}
    path.unlink()
    manifests.poll()
    path.write_text(text.replace("10.0.0.2", "10.0.0.3"))
    manifests.poll()
    assert folder.services == {"api": "10.0.0.2", "web": "10.0.0.1"}
    manifests.poll()
    assert folder.services == {"api": "10.0.0.3", "web": "10.0.0.1"}
    assert folder.log == []


def test_a_broken_file_keeps_its_last_good_state_and_is_told_once(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    folder.write("b.yaml", service("api", "10.0.0.2"))
    manifests = folder.load()
    folder.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    folder.write("b.yaml", service("api", "10.0.0.3"))
    settle(manifests)
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3", "web": "10.0.0.1"}
    complaint = (
        f"{path}:1: Service web: spec: expected a value, found nothing; what it held before stays until it is mended"
    )
    assert folder.log == [complaint]
    folder.write("a.yaml", "# Still.\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    settle(manifests)
    assert folder.log == [complaint, complaint.replace(":1:", ":2:")]
    folder.write("a.yaml", service("web", "10.0.0.4"))
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3", "web": "10.0.0.4"}
    assert folder.log.pop() == f"{path}: the fault is over"
    folder.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    settle(manifests)
    path.unlink()
    settle(manifests)
    assert folder.services == {"api": "10.0.0.3"}
    assert folder.log == [complaint, complaint.replace(":1:", ":2:"), complaint, f"{path}: the fault is over"]


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    manifests = folder.load(path)
    folder.write("a.yaml", service("web", "10.0.0.2"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    settle(manifests)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert folder.services == {"web": "10.0.0.1"}
    settle(manifests)
    assert folder.services == {"web": "10.0.0.2"}
    assert folder.log == [
        f"{path}:1: cannot be read: Too many open files; what it held before stays until it is mended",
        f"{path}: the fault is over",
    ]


def test_a_file_that_cannot_be_read_any_more_keeps_its_last_good_state(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    manifests = folder.load()
    path.unlink()
    path.symlink_to(path.name)
    settle(manifests)
    assert folder.services == {"web": "10.0.0.1"}
    assert folder.log == [
        f"{path}:1: cannot be read: Too many levels of symbolic links; what it held before stays until it is mended"
    ]


def test_a_folder_that_goes_away_keeps_its_objects_until_it_is_back(folder: Folder) -> None:
    path = folder.path / "shop"
    path.mkdir()
    (path / "a.yaml").write_text(service("web", "10.0.0.1"))
    manifests = folder.load(path)
    path.rename(folder.path / "away")
    settle(manifests)
    assert folder.services == {"web": "10.0.0.1"}
    gone = f"{path} cannot be read: No such file or directory; what it held before stays until it is mended"
    assert folder.log == [gone]
    path.mkdir()
    (path / "b.yaml").write_text(service("api", "10.0.0.2"))
    settle(manifests)
    assert folder.services == {"api": "10.0.0.2"}
    assert folder.log == [gone, f"{path}: the fault is over"]


def test_a_deleted_file_that_is_named_itself_takes_its_objects_with_it(folder: Folder) -> None:
    path = folder.write("a.yaml", service("web", "10.0.0.1"))
    manifests = folder.load(path)
    path.unlink()
    settle(manifests)
    assert folder.services == {}
    assert folder.log == [f"{path} cannot be read: No such file or directory"]


def test_a_folder_that_cannot_be_listed_any_more_keeps_its_objects(folder: Folder) -> None:
    path = folder.path / "shop"
    path.mkdir()
    (path / "a.yaml").write_text(service("web", "10.0.0.1"))
    manifests = folder.load(path / "." / ".")
    path.rename(folder.path / "away")
    path.symlink_to(path.name)
    settle(manifests)
    assert folder.services == {"web": "10.0.0.1"}
    path.unlink()
    (folder.path / "away").rename(path)
    settle(manifests)
    assert folder.services == {"web": "10.0.0.1"}
    stays = "what it held before stays until it is mended"
    assert folder.log == [
        f"{path} cannot be read: Too many levels of symbolic links; {stays}",
        f"{path}: the fault is over",
    ]


def test_a_change_that_leaves_no_address_is_not_taken_in(folder: Folder) -> None:
    options = Options(service_cidr=(IPv4Network("10.0.0.0/30"), IPv6Network("fd00::/112")))
    folder.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}")
    manifests = folder.follow(options=options)
    manifests.load()
    path = folder.write("b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {}")
    settle(manifests)
    assert folder.services == {"a": "10.0.0.2"}
    (complaint,) = folder.log
    assert complaint.startswith(f"{path}:1: Service default/b: no service_cidr address: expected a larger range than")
    assert complaint.endswith("; no change is taken in until this is mended")
    folder.write("b.yaml", "# Further down.\n" + path.read_text())
    settle(manifests)
    path.unlink()
    settle(manifests)
    folder.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: c}\nspec: {}")
    settle(manifests)
    assert folder.services == {"c": "10.0.0.2"}
    assert folder.log == [complaint, complaint.replace(":1:", ":2:"), f"{path}: the fault is over"]


def test_a_new_file_that_is_wrong_is_not_said_to_hold_anything(folder: Folder) -> None:
    manifests = folder.load()
    path = folder.write("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    settle(manifests)
    assert folder.log[-1] == f"{path}:1: Service web: spec: expected a value, found nothing"


async def test_changes_are_followed_until_cancelled(folder: Folder) -> None:
    folder.write("a.yaml", service("web", "10.0.0.1"))
    told = asyncio.Event()
    manifests = Manifests(
        [folder.path], Options(), KINDS, folder.cluster, lambda *_: told.set(), interval=0, settling=0
    )
    manifests.load()
    running = asyncio.create_task(manifests.run())
    folder.write("a.yaml", service("web", "10.0.0.2"))
    folder.write("b.yaml", "broken: [")
    async with asyncio.timeout(30):
        await told.wait()
    assert folder.services == {"web": "10.0.0.2"}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
