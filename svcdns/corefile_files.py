"""The Corefile's imports, read from the file system: the reader that `svcdns.corefile.parse` takes outside of tests."""

import glob
from pathlib import Path

from svcdns.corefile import Source


def read_import(pattern: str, importer: str) -> tuple[Source, ...]:
    """Read the files that *pattern* names, in lexical order.

    Hidden files match a `*` as any other, but names that start with two dots do not: these are the folders in which a
    mounted ConfigMap keeps its versions.

    Args:
        pattern: a path with or without `*` and `?`, relative to the folder of *importer*.
        importer: the file that holds the import.

    Raises:
        OSError: a file cannot be read, or is a folder or a device.
        ValueError: a file is not UTF-8.
    """
    folder = Path(importer).parent
    matches = sorted(glob.glob(pattern, root_dir=folder, include_hidden=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    paths = [folder / match for match in matches]
    return tuple(Source(str(path), _read_text(path)) for path in paths if not path.name.startswith(".."))


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise OSError(f"{path} is not a file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at octet {error.start}") from error
