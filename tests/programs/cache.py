"""Keep what was obtained in one folder outside the checkout, under names that change with what it was made from."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.programs.command import HEARTBEAT, announce


def cache_folder() -> Path:
    """Return the folder that keeps programs from one run to the next; it may be deleted at any time."""
    if folder := os.environ.get("SVCDNS_CACHE"):
        return Path(folder).absolute()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder).absolute() / "svcdns"
    return Path.home() / ".cache" / "svcdns"


def cache_entry(name: str, *sources: bytes) -> Path:
    """Return where *name*, as made from *sources*, is kept: a change to any of them is another path."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(hashlib.sha256(source).digest())
    return cache_folder() / f"{name}-{digest.hexdigest()[:12]}"


def fill(entry: Path, make: Callable[[Path], Path]) -> Path:
    """Put what *make* makes at *entry*, in one step, unless another process has done so meanwhile.

    Args:
        entry: A path from `cache_entry`, which is returned.
        make: Makes a file or folder anywhere in the scratch folder that it is given, and returns its path.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    with (entry.parent / "lock").open("w") as lock:
        _acquire(lock.fileno(), entry.parent)
        if not entry.exists():
            with tempfile.TemporaryDirectory(prefix=f"{entry.name}.", dir=entry.parent) as scratch:
                make(Path(scratch)).rename(entry)
    return entry


def _acquire(lock: int, folder: Path) -> None:
    """Take the exclusive *lock*, which ends with its file, with a line for each `HEARTBEAT` that it takes."""
    waited = 0
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited % HEARTBEAT == 0:
                announce(f"waiting for another process that fills {folder}")
            time.sleep(1)
            waited += 1
        else:
            return
