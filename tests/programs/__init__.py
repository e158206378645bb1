"""Name the real programs that tests and benchmarks run beside svcdns, and say where they are.

`make programs`, or `python -m tests.programs NAME...`, obtains them once and keeps them in a cache outside the
checkout. Tests only ask `path("etcd")`: a test run never builds or downloads. A program is looked for in this order:

1. the environment, with the words of Kubernetes' envtest: `TEST_ASSET_ETCD` is the file itself (and so on:
   `TEST_ASSET_KUBE_APISERVER`, `TEST_ASSET_COREDNS`); `KUBEBUILDER_ASSETS` is a folder that may hold it;
2. the PATH, for what Debian packages;
3. the cache: `$SVCDNS_CACHE`, else `$XDG_CACHE_HOME/svcdns`, else `~/.cache/svcdns`.

There are two kinds. A `GoProgram` is built from the Go modules that the `go.mod` and `go.sum` of a folder beside this
file lock; to move one to another version, edit its `go.mod`, run `go mod tidy` there, then `make programs`. A
`DebianProgram` is installed from its package or, without root, unpacked into the cache.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.programs.command import ProgramError
from tests.programs.debian import DebianProgram
from tests.programs.golang import GoProgram

__all__ = ["PROGRAMS", "DebianProgram", "GoProgram", "ProgramError", "obtain", "path"]

_KUBERNETES = "k8s.io/component-base/version."

PROGRAMS: Mapping[str, GoProgram | DebianProgram] = {
    program.name: program
    for program in (
        GoProgram("etcd", package="go.etcd.io/etcd/server/v3", folder="etcd", seconds=45),
        GoProgram("etcdctl", package="go.etcd.io/etcd/etcdctl/v3", folder="etcd", seconds=15),
        GoProgram(
            "kube-apiserver",
            package="k8s.io/kubernetes/cmd/kube-apiserver",
            folder="kube-apiserver",
            seconds=300,
            variables=(f"{_KUBERNETES}gitVersion=v1.37.2", f"{_KUBERNETES}gitMajor=1", f"{_KUBERNETES}gitMinor=37"),
        ),
        GoProgram("coredns", package="github.com/coredns/coredns", folder="coredns", seconds=120),
        DebianProgram("gcc", package="build-essential"),
        DebianProgram("python3-config", package="python3-dev"),
        DebianProgram("dig", package="bind9-dnsutils"),
        DebianProgram("dnsperf", package="dnsperf"),
        DebianProgram("dnsmasq", package="dnsmasq-base"),
        DebianProgram("knotd", package="knot", service=True),
        DebianProgram("unbound", package="unbound", service=True),
    )
}


def path(name: str) -> Path:
    """Return where the program *name* is.

    Raises:
        ProgramError: It is not there; the message has the line that obtains it.
        KeyError: No such name is in `PROGRAMS`.
    """
    found = _find(name)
    if found is None:
        raise ProgramError(f"{name} is missing: run `make programs` or `python -m tests.programs {name}`")
    return found


def obtain(name: str) -> Path:
    """Return where the program *name* is, after building or installing it where it is absent.

    Raises:
        ProgramError: It cannot be had; the message says what to do.
    """
    return _find(name) or PROGRAMS[name].obtain()


def _find(name: str) -> Path | None:
    """Return where the program *name* is, if anywhere."""
    return _find_in_environment(name) or PROGRAMS[name].find()


def _find_in_environment(name: str) -> Path | None:
    """Return the program that the environment names, if it names one."""
    variable = "TEST_ASSET_" + name.upper().replace("-", "_")
    if override := os.environ.get(variable):
        if not shutil.which(override):
            raise ProgramError(f"{variable} names {override}, which is not an executable file")
        return Path(override)
    found = shutil.which(name, path=os.environ.get("KUBEBUILDER_ASSETS", ""))
    return Path(found) if found else None
