"""Files and folders of manifests as a source of a cluster's objects.

A folder is read as ``kubectl apply -f`` reads it: its ``.yaml``, ``.yml`` and ``.json`` files in the order of their
names, without the folders inside it; hidden files are left out, since editors keep their own there. Changes are found
by looking again and again, which works on every file system and with every way to write: editors, renames, ConfigMaps
and their symbolic links. What is still being written is left alone until two looks in a row see the same.

A file that cannot be read or makes no sense keeps its last good state, and the log says where and why, once. Deleted
files, and folders, take their objects with them.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from svcdns.errors import ConfigError
from svcdns.kube.cluster import Cluster, new_store
from svcdns.kube.manifests.controlplane import Objects, Options, make_objects
from svcdns.kube.manifests.documents import Document, parse
from svcdns.kube.objects import Kind

INTERVAL = 0.4
SETTLING = 0.1

_ENDINGS = (".yaml", ".yml", ".json")

_Place = tuple[int, str]
"""A file: the position of the path that it was found under, and its own path. They are read in this order."""

_State = tuple[int, ...] | str | None
"""A file as the system describes it: what a write or a replacement changes; why it cannot be read; None once gone."""


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of a file.

    Attributes:
        state: The state in which it was read; None where it is to be read again in any case.
        content: What it held when it last made sense.
        documents: The objects in that.
        fault: What is wrong with it now.
    """

    state: _State = None
    content: bytes = b""
    documents: Sequence[Document] = ()
    fault: str = ""


class Manifests:
    """Keeps a cluster equal to what a control plane would make of files.

    Args:
        paths: Files and folders; where an object is written twice, the last one stands.
        options: What of them counts, and where addresses come from.
        kinds: The kinds of objects that the cluster is to have.
        cluster: Where the objects go.
        warn: Takes a sentence for the log.
        interval: Seconds between two looks.
        settling: Seconds until the next look while a file is being written.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: Options,
        kinds: Collection[Kind],
        cluster: Cluster,
        warn: Callable[[str], None],
        *,
        interval: float = INTERVAL,
        settling: float = SETTLING,
    ) -> None:
        self._paths = paths
        self._options = options
        self._kinds = kinds
        self._cluster = cluster
        self._warn = warn
        self._interval = interval
        self._settling = settling
        self._settled = True
        self._files: dict[_Place, _File] = {}
        self._seen: dict[_Place, _State] = {}
        self._made: Objects = {kind: {} for kind in kinds}
        self._applied = self._made
        self._complaints: dict[str, Sequence[str]] = {}
        self._said: frozenset[str] = frozenset()

    def load(self) -> None:
        """Read everything for the first time, and put it into the cluster in one step.

        Raises:
            ConfigError: A path is not there, a file cannot be read or is no manifest, or there are too few addresses.
        """
        for place, state in self._scan(strict=True).items():
            content, _ = _read(place[1], state)
            # Read again at the second look: a write within the same tick of the clock would leave the state as it is.
            self._files[place] = _File(None, content, _parse(place[1], content))
        self._made = self._applied = self._make()
        for kind, objects in self._made.items():
            store = new_store(kind)
            for each in objects.values():
                store.put(each)
            self._cluster.swap(kind, store)
        self._say()

    def poll(self) -> None:
        """Look once, and take in what changed since it was read and was the same at the look before."""
        self._look()
        self._apply()

    async def run(self) -> None:
        """Follow changes until cancelled; files are read outside of the event loop."""
        while True:
            await asyncio.sleep(self._interval if self._settled else self._settling)
            await asyncio.to_thread(self._look)
            self._apply()

    def _look(self) -> None:
        """Look at all files, and make all objects anew where a file that has settled differs."""
        found = self._scan(strict=False)
        known = {*found, *self._files}
        moving = {place for place in known if found.get(place) != self._seen.get(place)}
        self._seen = found
        self._settled = not moving
        changed = [self._take(place, found.get(place)) for place in sorted(known - moving)]
        if any(changed):
            try:
                self._made = self._make()
            except ConfigError as error:
                self._complaints["objects"] = [f"{error}; no change is taken in until this is mended"]

    def _take(self, place: _Place, state: _State) -> bool:
        """Read a file that is not in the state in which it was read, and tell whether its documents differ."""
        if state is None:
            return bool(self._files.pop(place).documents)
        file = self._files.get(place, _File())
        if state == file.state:
            return False
        try:
            content, unchanged = _read(place[1], state)
            if not unchanged:
                self._settled = False
                return False
            changed = content != file.content
            documents = _parse(place[1], content) if changed else file.documents
        except ConfigError as error:
            fault = f"{error}; what it held before stays until it is mended"
            self._files[place] = _File(state, file.content, file.documents, fault)
            return False
        self._files[place] = _File(state, content, documents)
        return changed

    def _make(self) -> Objects:
        documents = [document for place in sorted(self._files) for document in self._files[place].documents]
        made = make_objects(documents, self._options)
        self._complaints["objects"] = made.complaints
        return {kind: made.objects[kind] for kind in self._kinds}

    def _apply(self) -> None:
        """Put what differs into the cluster, between two awaits, so that no query sees half of it."""
        before, after = self._applied, self._made
        self._applied = after
        for kind in self._kinds if after is not before else ():
            for key in before[kind].keys() - after[kind].keys():
                self._cluster.remove(kind, key)
            for key, each in after[kind].items():
                if before[kind].get(key) != each:
                    self._cluster.put(kind, each)
        self._say()

    def _say(self) -> None:
        """Log each complaint once, and again if it went away and came back."""
        faults = [file.fault for _, file in sorted(self._files.items()) if file.fault]
        complaints = dict.fromkeys((*faults, *chain.from_iterable(self._complaints.values())))
        for complaint in complaints:
            if complaint not in self._said:
                self._warn(complaint)
        self._said = frozenset(complaints)

    def _scan(self, *, strict: bool) -> dict[_Place, _State]:
        """Describe all files as they are.

        Args:
            strict: Whether a path that is not there or cannot be listed is an error.

        Raises:
            ConfigError: It is.
        """
        found: dict[_Place, _State] = {}
        complaints = []
        for position, path in enumerate(self._paths):
            try:
                files = {(position, name): state for name, state in _describe_files(path)}
                if strict and not files:
                    complaints.append(f"{path} has no {', '.join(_ENDINGS)} file in it; folders inside it are not read")
            except OSError as error:
                if strict:
                    raise ConfigError(str(path), 1, f"expected a file or folder: {error.strerror}") from None
                complaints.append(f"{path} cannot be read: {error.strerror}")
                gone = isinstance(error, FileNotFoundError)
                files = {} if gone else {place: each for place, each in self._seen.items() if place[0] == position}
            found |= files
        self._complaints["paths"] = complaints
        return found


def _describe_files(path: Path) -> Iterator[tuple[str, _State]]:
    """Yield the files that a path stands for, each with its state.

    Raises:
        OSError: The path is not there, or cannot be listed.
    """
    if not path.is_dir():
        yield str(path), _describe(path.stat())
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.endswith(_ENDINGS) or entry.name.startswith("."):
                continue
            try:
                if not entry.is_dir():
                    yield entry.path, _describe(entry.stat())
            except OSError as error:
                yield entry.path, f"cannot be read: {error.strerror}"


def _describe(status: os.stat_result) -> _State:
    if not stat.S_ISREG(status.st_mode):
        return "expected a file, found a device, socket or pipe"
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def _read(path: str, state: _State) -> tuple[bytes, bool]:
    """Read a file.

    Args:
        path: The file.
        state: What the last look said of it.

    Returns:
        Its content, and whether the file is still in that state.

    Raises:
        ConfigError: It cannot be read.
    """
    if isinstance(state, str):
        raise ConfigError(path, 1, state)
    try:
        with Path(path).open("rb") as file:
            return file.read(), _describe(os.fstat(file.fileno())) == state
    except OSError as error:
        raise ConfigError(path, 1, f"cannot be read: {error.strerror}") from None


def _parse(path: str, content: bytes) -> list[Document]:
    try:
        return parse(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, line, f"expected UTF-8, found the octet {content[error.start]:#04x}") from None
