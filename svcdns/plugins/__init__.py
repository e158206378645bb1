"""The plugins, in the order in which a query meets them.

A plugin feels those below it and takes no notice of those above: `prometheus`, `errors` and `log` see whatever is
answered, `kubernetes` answers from memory before `cache` is asked, and `cache` keeps only what `forward` brings. A
module is imported when a Corefile names it, and offers `setup` (see `chain.Setup`).
"""

from importlib import import_module
from types import ModuleType

PLUGINS = (
    "multisocket",
    "reload",
    "bind",
    "ready",
    "health",
    "prometheus",
    "errors",
    "log",
    "guard",
    "loadbalance",
    "kubernetes",
    "cache",
    "loop",
    "forward",
)

UNASKED = frozenset({"guard"})
"""Plugins that stand in every chain and that no Corefile names."""

DIRECTIVES = frozenset(PLUGINS) - UNASKED
"""What a Corefile may name."""


def load(name: str) -> ModuleType:
    """Import the module of the plugin *name*, one of `PLUGINS`."""
    return import_module(f"svcdns.plugins.{name}")
