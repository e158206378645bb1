"""Compiles what queries pass through, where `HATCH_BUILD_HOOK_ENABLE_CUSTOM=1` asks for that when a wheel is built.

It needs what requirements.txt, requirements-build.txt and requirements-compile.txt install, and pip's
`--no-build-isolation`; `make compiled` and the Dockerfile do it so.

mypyc makes a C extension of each module that `pyproject.toml` names under `hooks.custom`. It stands beside the module
in the wheel, and Python takes it first: the source is the same, and so are the answers. Nothing is written beside the
sources, where what was compiled would outlive what it was made of.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_GROUP = "svcdns"
"""What the library is called in which all extensions have their code: `svcdns__mypyc`."""


class CompileHook(BuildHookInterface[Any]):
    """Adds extensions to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the wheel say for which Python and system it is.

        Args:
            version: Which kind of wheel; nothing is compiled for an editable one, whose sources change.
            build_data: What the wheel is made of.

        Raises:
            CompileError: There is no compiler, or it failed.
            SystemExit: A type is wrong.
        """
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="svcdns-")
        for extension in _compile(self.config["modules"], Path(self._folder.name)):
            build_data["force_include"][str(extension)] = str(extension.relative_to(Path(self._folder.name) / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - theirs
        """Throw away what is in the wheel now."""
        if version != "editable":
            self._folder.cleanup()


def _compile(modules: list[str], folder: Path) -> list[Path]:
    """Compile *modules*, paths from here, and return the extensions, which are below ``lib`` in *folder*."""
    # Whoever installs from an editable checkout, or does not compile, needs none of these.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    extensions = mypycify(
        ["--no-warn-unused-ignores", f"--cache-dir={folder / 'cache'}", *modules],
        multi_file=True,
        target_dir=str(folder / "c"),
        group_name=_GROUP,
    )
    command = build_ext(Distribution({"name": _GROUP, "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()
    return sorted((folder / "lib").rglob("*.so"))
