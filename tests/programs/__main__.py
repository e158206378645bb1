"""Obtain programs by name and print their paths: `python -m tests.programs etcd coredns`."""

import argparse
import sys

from tests.programs import PROGRAMS, ProgramError, obtain


def main() -> int:
    """Obtain each program that the command line names; print a path a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description="Obtain programs; print their paths.")
    parser.add_argument("names", nargs="+", choices=list(PROGRAMS), metavar="NAME", help=", ".join(PROGRAMS))
    try:
        for name in parser.parse_args().names:
            sys.stdout.write(f"{obtain(name)}\n")
            sys.stdout.flush()
    except ProgramError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
