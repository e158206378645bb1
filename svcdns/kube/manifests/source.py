"""Files and folders of manifests as a source of a cluster's objects.

A folder is read as ``kubectl apply -f`` reads it: its ``.yaml``, ``.yml`` and ``.json`` files in the order of their
names, without the folders inside it; hidden files are left out, since editors keep their own there. Changes are found
by looking again and again, which works on every file system and with every way to write: editors, renames, ConfigMaps
and their symbolic links. What is still being written is left alone until two looks in a row see the same.

A file that cannot be read or makes no sense keeps its last good state, and so does a folder of which nothing is there
any more; the log says where and why, once, and when that is over. Deleted files take their objects with them.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from svcdns.errors import ConfigError, Faults, describe, find_octet
from svcdns.kube.cluster import Cluster, new_store
from svcdns.kube.manifests.controlplane import Objects, Options, make_objects
from svcdns.kube.manifests.documents import Document, parse
from svcdns.kube.objects import Kind

INTERVAL = 0.5
SETTLING = 0.1

_ENDINGS = (".yaml", ".yml", ".json")

_Place = tuple[int, str]
"""A file: the position of the path that it was found under, and its own path. They are read in this order."""

_State = tuple[int, ...] | str | None
"""A file as the system describes it: what a write or a replacement changes; why it cannot be read; None once gone."""

_ITSELF = ""

_Look = dict[str, _State]
"""The files that a path stands for, by what comes after it in their paths: `_ITSELF` where it is a file."""


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
        log: Takes a level of `logging` and a sentence for the log.
        interval: Seconds between two looks.
        settling: Seconds until the next look while a file is being written.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: Options,
        kinds: Collection[Kind],
        cluster: Cluster,
        log: Callable[[int, str], None],
        *,
        interval: float = INTERVAL,
        settling: float = SETTLING,
    ) -> None:
        self._paths = paths
        self._options = options
        self._kinds = kinds
        self._cluster = cluster
        self._log = log
        self._interval = interval
        self._settling = settling
        self._files: dict[_Place, _File] = {}
        self._looked: list[_Look] = [{}] * len(paths)
        self._unlisted: dict[str, str] = {}
        self._settled = True
        self._current = False
        self._made: Objects = {kind: {} for kind in kinds}
        self._applied = self._made
        self._unmade: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        self._doubts: set[tuple[str, ...]] = set()

    @property
    def files(self) -> int:
        """How many files are read."""
        return len(self._files)

    def load(self) -> None:
        """Read everything for the first time, and put it into the cluster in one step.

        Raises:
            OSError: A path is not there, or cannot be listed; its `filename` is that path.
            ConfigError: Files cannot be read or are no manifests, or there are too few addresses.
        """
        faults = Faults()
        for position, path in enumerate(self._paths):
            self._looked[position] = _describe_files(path)
            if not self._looked[position]:
                endings = ", ".join(_ENDINGS)
                self._log(logging.WARNING, f"{path} has no {endings} file in it; folders inside it are not read")
        for place, state in self._place(self._looked).items():
            with faults.noted():
                content, _ = _read(place[1], state)
                # Read again at the second look: a write within one tick of the clock would leave the state as it is.
                self._files[place] = _File(None, content, _parse(place[1], content))
        faults.check()
        self._made = self._applied = self._make()
        for kind, objects in self._made.items():
            store = new_store(kind)
            for each in objects.values():
                store.put(each)
            self._cluster.swap(kind, store)

    def poll(self) -> None:
        """Look once, and take in what changed since it was read and was the same at the look before."""
        if self._look():
            self._apply()

    async def run(self) -> None:
        """Follow changes until cancelled; files are read outside of the event loop."""
        while True:
            await asyncio.sleep(self._interval if self._settled else self._settling)
            if await asyncio.to_thread(self._look):
                self._apply()

    def _look(self) -> bool:
        """Look at all files, and make all objects anew where a file that has settled differs.

        Returns:
            Whether anything may be different, which it is not where all files were read in the state that they are in.
        """
        looked, unlisted = self._scan()
        if self._current and looked == self._looked and unlisted == self._unlisted:
            return False
        before, found = self._place(self._looked), self._place(looked)
        known = {*found, *self._files}
        moving = {place for place in known if found.get(place) != before.get(place)}
        self._looked, self._unlisted = looked, unlisted
        self._settled = not moving
        changed = [self._take(place, found.get(place)) for place in sorted(known - moving)]
        if any(changed):
            self._remake()
        self._current = found == {place: file.state for place, file in self._files.items()}
        return True

    def _take(self, place: _Place, state: _State) -> bool:
        """Read a file that is not in the state in which it was read, and tell whether its documents differ."""
        path = place[1]
        if state is None:
            return bool(self._files.pop(place).documents)
        file = self._files.get(place, _File())
        if state == file.state:
            return False
        read: _State = None
        try:
            content, unchanged = _read(path, state)
            if not unchanged:
                self._settled = False
                return False
            read = state
            changed = content != file.content
            documents = _parse(path, content) if changed else file.documents
        except ConfigError as error:
            fault = f"{error}; what it held before stays until it is mended" if file.documents else str(error)
            self._files[place] = _File(read, file.content, file.documents, fault)
            return False
        self._files[place] = _File(state, content, documents)
        return changed

    def _remake(self) -> None:
        """Make all objects anew, if that can be done."""
        self._unmade = {}
        try:
            self._made = self._make()
        except ConfigError as error:
            self._unmade[error.path] = f"{error}; no change is taken in until this is mended"

    def _make(self) -> Objects:
        """Make all objects, and log what is doubtful in the manifests and was not before."""
        documents = [document for place in sorted(self._files) for document in self._files[place].documents]
        made = make_objects(documents, self._options)
        for complaint in made.complaints:
            if complaint.topic not in self._doubts:
                self._log(logging.WARNING, str(complaint))
        self._doubts = {complaint.topic for complaint in made.complaints}
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
        """Log each fault once, again if it went away and came back, and which are over."""
        of_files = {path: file.fault for (_, path), file in sorted(self._files.items()) if file.fault}
        faults = {**of_files, **self._unlisted, **self._unmade}
        for where, fault in faults.items():
            if self._faults.get(where) != fault:
                self._log(logging.WARNING, fault)
        for where in sorted(self._faults.keys() - faults.keys()):
            self._log(logging.INFO, f"{where}: the fault is over")
        self._faults = faults

    def _scan(self) -> tuple[list[_Look], dict[str, str]]:
        """Describe all files as they are.

        Returns:
            What each path holds, and by path what keeps it from being listed; such a path is taken to hold what it held
            before, unless it is a file that was deleted.
        """
        looked, unlisted = [], {}
        for path, before in zip(self._paths, self._looked, strict=True):
            try:
                looked.append(_describe_files(path))
            except OSError as error:
                deleted = isinstance(error, FileNotFoundError) and _ITSELF in before
                kept = "" if deleted else "; what it held before stays until it is mended"
                unlisted[str(path)] = f"{path} cannot be read: {describe(error)}{kept}"
                looked.append({_ITSELF: None} if deleted else before)
        return looked, unlisted

    def _place(self, looked: Sequence[_Look]) -> dict[_Place, _State]:
        return {
            (position, f"{self._paths[position]}{name}"): state
            for position, files in enumerate(looked)
            for name, state in files.items()
            if state is not None
        }


def _describe_files(path: Path) -> _Look:
    """Describe the files that a path stands for.

    Raises:
        OSError: The path is not there, or cannot be listed.
    """
    if not path.is_dir():
        return {_ITSELF: _describe(path.stat())}
    descriptor = os.open(path, os.O_RDONLY)  # from here a file is found sooner than from the root
    try:
        with os.scandir(descriptor) as entries:
            return {
                f"/{name}": state
                for entry in entries
                if (name := entry.name).endswith(_ENDINGS) and name[0] != "." and (state := _describe_entry(entry))
            }
    finally:
        os.close(descriptor)


def _describe_entry(entry: os.DirEntry[str]) -> _State:
    """Describe what is in a folder; None where that is another folder."""
    try:
        status = entry.stat()
    except OSError as error:
        return f"cannot be read: {describe(error)}"
    return None if stat.S_ISDIR(status.st_mode) else _describe(status)


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
        raise ConfigError(path, 1, f"cannot be read: {describe(error)}") from None


def _parse(path: str, content: bytes) -> list[Document]:
    try:
        return parse(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line, octet = find_octet(error)
        raise ConfigError(path, line, f"expected UTF-8, found the octet {octet:#04x}") from None
