"""The Corefile language: text in, server blocks out; nothing here reads a file or a variable of the environment.

`parse` makes a `Corefile` of `ServerBlock`s with their `Key`s and `Directive`s, each of which has its `Option`s. All of
them know the file and line that they were written on, and `values` turns their words into numbers, durations and zones.
"""

from svcdns.corefile.blocks import Corefile, Directive, Option, ServerBlock
from svcdns.corefile.imports import Reader, Source
from svcdns.corefile.keys import DEFAULT_PORTS, Key
from svcdns.corefile.lexer import Place
from svcdns.corefile.parser import parse

__all__ = [
    "DEFAULT_PORTS",
    "Corefile",
    "Directive",
    "Key",
    "Option",
    "Place",
    "Reader",
    "ServerBlock",
    "Source",
    "parse",
]
