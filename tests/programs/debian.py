"""Install programs from Debian packages, or, without root, unpack them."""

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.programs.cache import cache_entry, fill
from tests.programs.command import ProgramError, announce, run

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class DebianProgram:
    """A program from a Debian package.

    Attributes:
        name: The name of the program.
        package: The package that has it.
        service: Whether installing the package starts a server, which nobody has asked for: then it is only unpacked.
    """

    name: str
    package: str
    service: bool = False

    def find(self) -> Path | None:
        """Return where the program is, on the PATH, among system programs or in the cache, if it is there."""
        folders = (os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", str(self._entry() / "bin"))
        found = shutil.which(self.name, path=os.pathsep.join(folders))
        return Path(found) if found else None

    def obtain(self) -> Path:
        """Install the program, or unpack it into the cache.

        Raises:
            ProgramError: It cannot be had in either way.
        """
        remedy = f"{self.name} is missing: install it, on Debian with `apt-get install {self.package}`"
        if not shutil.which("apt-get"):
            raise ProgramError(remedy)
        try:
            if os.geteuid() == 0 and not self.service:
                self._install()
            else:
                fill(self._entry(), self._unpack)
        except ProgramError as error:
            raise ProgramError(f"{error}\n{remedy}") from error
        found = self.find()
        if not found:
            raise ProgramError(f"the package {self.package} has no {self.name} on this system\n{remedy}")
        return found

    def _entry(self) -> Path:
        """Return the folder of the unpacked package, named after the release of the system whose libraries it uses."""
        release = Path("/etc/os-release")
        return cache_entry(self.package, release.read_bytes() if release.exists() else b"")

    def _install(self) -> None:
        """Install the package."""
        announce(f"{self.name}: installing the package {self.package}")
        apt = ["apt-get", "--option", "DPkg::Lock::Timeout=120"]
        run([*apt, "update"], title=self.name, environment=_ENVIRONMENT)
        install = [*apt, "install", "--yes", "--no-install-recommends", self.package]
        run(install, title=self.name, environment=_ENVIRONMENT)

    def _unpack(self, scratch: Path) -> Path:
        """Unpack the package, and those of its dependencies that the system lacks, below *scratch*."""
        announce(f"{self.name}: downloading and unpacking the package {self.package}")
        archives = scratch / "archives"
        product = scratch / "product"
        self._download(scratch / "apt", archives)
        for archive in archives.iterdir():
            run(["dpkg-deb", "--extract", archive, product], title=self.name)
        self._wrap(product)
        return product

    def _download(self, state: Path, archives: Path) -> None:
        """Download to *archives* what installing the package would; *state* stands for apt's own folders."""
        for folder in (state / "lists/partial", state / "cache/archives/partial", archives):
            folder.mkdir(parents=True)
        options = (f"Dir::State::Lists={state / 'lists'}", f"Dir::Cache={state / 'cache'}", "APT::Sandbox::User=root")
        apt = ["apt-get", *(f"--option={option}" for option in options)]
        run([*apt, "update"], title=self.name, environment=_ENVIRONMENT)
        simulation = [*apt, "--simulate", "install", "--no-install-recommends", self.package]
        needed = _parse_simulation(run(simulation, title=self.name, environment=_ENVIRONMENT))
        run([*apt, "download", *needed], title=self.name, folder=archives, environment=_ENVIRONMENT)

    def _wrap(self, product: Path) -> None:
        """Write `bin/NAME`, which starts the unpacked program with the unpacked libraries."""
        entry = self._entry()
        programs = [path for path in product.glob(f"usr/*bin/{self.name}") if path.is_file()]
        if not programs:
            raise ProgramError(f"the package {self.package} has no {self.name}")
        libraries = sorted({path.parent for path in product.rglob("lib*.so*")})
        search = os.pathsep.join(str(entry / folder.relative_to(product)) for folder in libraries)
        program = entry / programs[0].relative_to(product)
        wrapper = product / "bin" / self.name
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(
            f'#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(search)} exec {shlex.quote(str(program))} "$@"\n',
            encoding="utf-8",
        )
        wrapper.chmod(0o755)


def _parse_simulation(text: str) -> list[str]:
    """Return `package=version` for each package that the simulated installation in *text* would install.

    Source: apt-get(8), --simulate: `Inst package [installed version] (new version release [architecture])`.
    """
    lines = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", text, re.MULTILINE)
    return [f"{name}={version}" for name, version in lines]
