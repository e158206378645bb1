"""Prints the manual of a directive: ``python -m svcdns.plugins NAME``; without a name, what there is."""

import ast
import sys
from collections.abc import Sequence
from importlib import resources

from svcdns.plugins import DIRECTIVES

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
        manual = _read_manual(name)
        print(manual if names else manual.partition("\n")[0])
    return 0


def _read_manual(name: str) -> str:
    """Return the docstring of a directive's module, from its source: a module that is compiled has none."""
    folder = resources.files("svcdns") / "plugins" / name
    if name == "import":
        module = resources.files("svcdns") / "corefile" / "imports.py"
    elif folder.is_dir():
        module = folder / "__init__.py"
    else:
        module = resources.files("svcdns") / "plugins" / f"{name}.py"
    return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
