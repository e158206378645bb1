"""Prints the manual of a directive: ``python -m svcdns.plugins NAME``; without a name, what there is."""

import sys
from collections.abc import Sequence

from svcdns.corefile import imports
from svcdns.plugins import DIRECTIVES, load

_ALL = sorted((*DIRECTIVES, "import"))


def main(names: Sequence[str]) -> int:
    """Print the manuals of *names*, or a line on each directive where there are none.

    Returns:
        0, or 1 where one of them is no directive.
    """
    for name in names or _ALL:
        if name not in _ALL:
            print(f"found {name!r}, expected a directive: {', '.join(_ALL)}", file=sys.stderr)
            return 1
        manual = (imports if name == "import" else load(name)).__doc__ or ""
        print(manual.strip() if names else manual.partition("\n")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
