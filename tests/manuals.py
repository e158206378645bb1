"""The manuals of plugins: the docstrings of their modules, taken apart."""

import ast
import inspect
import re
from pathlib import Path

PLUGINS = Path(__file__).parent.parent / "svcdns" / "plugins"
HEADING = re.compile(r"^(Syntax|Examples|Metrics):$", re.MULTILINE)

_FENCED = re.compile(r"^( *)```\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def find_plugins() -> list[str]:
    """Return the names of all modules and folders of plugins."""
    return sorted(path.stem for path in PLUGINS.iterdir() if not path.name.startswith("__"))


def manual(plugin: str) -> str:
    path = PLUGINS / plugin / "__init__.py"
    if not path.exists():
        path = PLUGINS / f"{plugin}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def section(plugin: str, heading: str) -> str:
    """Return what stands below *heading*, up to the next text that is not indented."""
    _, _, rest = manual(plugin).partition(f"\n{heading}:\n")
    return re.split(r"^(?=\S)", rest, maxsplit=1, flags=re.MULTILINE)[0]


def fenced(plugin: str, heading: str) -> list[str]:
    """Return the texts between fences below *heading*."""
    return [inspect.cleandoc(text) for _, text in _FENCED.findall(section(plugin, heading))]
