"""import - takes in files and snippets.

Syntax:
    ```
    import FILE|PATTERN|SNIPPET
    ```

What is imported stands where `import` does: whole server blocks, or directives and options inside of one. FILE is
relative to the file that names it. PATTERN has one `*` or one `?`, or both, and may find nothing. SNIPPET is a block
`(NAME) { ... }` written before. Everywhere, `{$NAME}` and `{%NAME%}` stand for a variable of the environment.

Examples:
    ```
    (shared) {
        errors
        log
    }
    . {
        import shared
        forward . /etc/resolv.conf
    }
    ```
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from svcdns.corefile.lexer import Token, show, tokenize

MAX_IMPORTS = 10_000
"""How many files and snippets one Corefile may import, repeated ones included."""

MAX_IMPORTED_TOKENS = 500_000
"""How many tokens these may bring in, all in all."""

MAX_DEPTH = 50
"""How deep imports may import."""

_VARIABLE = re.compile(r"\{\$([^{}]+)\}|\{%([^%{}]+)%\}")
_WILDCARD = re.compile(r"[*?]")


class Source(NamedTuple):
    """A file that is imported."""

    path: str
    text: str


Reader = Callable[[str, str], Sequence[Source]]
"""Gives the files that a pattern names, in lexical order; none is an answer.

Its arguments are the pattern of the `import` line, which may hold one `*` and one `?`, and the path of the file with
this line, from whose folder a relative pattern counts. It raises ValueError for a file that cannot be read, and
ConfigError for one that is no text.
"""


class _Body(NamedTuple):
    """What an import brings in.

    Args:
        origin: the file's path, or the snippet's name in brackets.
        tokens: as written.
    """

    origin: str
    tokens: Sequence[Token]


def resolve_imports(
    tokens: Iterable[Token],
    path: str,
    *,
    environ: Mapping[str, str],
    read: Reader,
    warn: Callable[[str], None],
) -> list[Token]:
    """Put in what is imported, take out the snippets, and fill in the environment's variables.

    Raises:
        ConfigError: an import or a snippet cannot be used.
    """
    resolver = _Resolver(environ, read, warn)
    resolver.resolve(_Body(path, tuple(tokens)), ())
    return resolver.resolved


class _Resolver:
    """One pass over a Corefile and all that it imports."""

    def __init__(self, environ: Mapping[str, str], read: Reader, warn: Callable[[str], None]) -> None:
        self.resolved: list[Token] = []
        self._environ = environ
        self._read = read
        self._warn = warn
        self._warned: set[str] = set()
        self._snippets: dict[str, _Body] = {}
        self._open_blocks = 0
        self._imports = 0
        self._imported_tokens = 0

    def resolve(self, body: _Body, importers: tuple[str, ...]) -> None:
        """Append the tokens of *body*, which the chain of *importers* asked for."""
        position = 0
        while position < len(body.tokens):
            token = body.tokens[position]
            starts = token.first or (position > 0 and body.tokens[position - 1].opens)
            following = body.tokens[position + 1 : position + 3]
            if starts and token.imports:
                self._import(token, following, (*importers, body.origin))
                position += 2
            elif starts and not self._open_blocks and _names_snippet(token) and following and following[0].opens:
                position = self._define(token, body.tokens, position + 2)
            else:
                self._open_blocks += token.opens - token.closes
                self.resolved.append(self._fill_in(token))
                position += 1

    def _import(self, token: Token, following: Sequence[Token], importers: tuple[str, ...]) -> None:
        what, after = (*following, None, None)[:2]
        if what is None or what.first or what.opens or what.closes:
            raise token.error("import: found no argument, expected one file, pattern or snippet")
        if after is not None and not (after.first or after.closes):
            raise after.error(f"import: found {show(after.text)}, expected one argument only")
        what = self._fill_in(what)
        name = what.text
        bodies = [self._snippets[name]] if name in self._snippets else self._read_files(name, what)
        for body in bodies:
            self._limit(body, what, importers)
            self.resolve(body, importers)

    def _limit(self, body: _Body, token: Token, importers: tuple[str, ...]) -> None:
        """Refuse what would not end."""
        self._imports += 1
        self._imported_tokens += len(body.tokens)
        if body.origin in importers:
            raise token.error(f"import: found {show(body.origin)}, which imports itself")
        if len(importers) > MAX_DEPTH:
            raise token.error(f"import: found an import more than {MAX_DEPTH} deep")
        if self._imports > MAX_IMPORTS:
            raise token.error(f"import: found more than {MAX_IMPORTS} imports")
        if self._imported_tokens > MAX_IMPORTED_TOKENS:
            raise token.error(f"import: found more than {MAX_IMPORTED_TOKENS} imported words")

    def _read_files(self, pattern: str, token: Token) -> list[_Body]:
        if not pattern:
            raise token.error("import: found an empty argument, expected a file, pattern or snippet")
        if pattern.count("*") > 1 or pattern.count("?") > 1 or ("[" in pattern and "]" in pattern):
            raise token.error(f"import: found {show(pattern)}, expected at most one '*', one '?' and no '[...]'")
        try:
            sources = self._read(pattern, token.path)
        except ValueError as error:
            raise token.error(f"import: cannot read {show(pattern)}: {error}") from error
        if sources:
            return [_Body(source.path, tuple(tokenize(source.text, source.path))) for source in sources]
        if not _WILDCARD.search(pattern):
            raise token.error(f"import: found {show(pattern)}, expected a file that exists or a snippet defined above")
        self._warn(str(token.error(f"import: no file matches {show(pattern)}")))
        return []

    def _define(self, name: Token, tokens: Sequence[Token], start: int) -> int:
        """Keep the snippet whose body starts at *start*.

        Returns:
            The position behind its closing brace.
        """
        snippet = self._fill_in(name).text[1:-1]
        if not snippet:
            raise name.error("found '()', expected a snippet's name in the brackets")
        if snippet in self._snippets:
            raise name.error(f"found snippet {show(snippet)} a second time, expected another name")
        end = _find_end(tokens, start)
        if end == len(tokens):
            raise name.error(f"found the end of the file in snippet {show(snippet)}, expected '}}'")
        after = tokens[end + 1 : end + 2]
        if after and not after[0].first:
            raise after[0].error(f"found {show(after[0].text)} after '}}', expected the end of the line")
        body = [replace(token, first=token.first or index == 0) for index, token in enumerate(tokens[start:end])]
        self._snippets[snippet] = _Body(f"({snippet})", body)
        return end + 1

    def _fill_in(self, token: Token) -> Token:
        """Put the environment's values into *token*; they are text even where they look like braces."""
        if "{" not in token.text or not _VARIABLE.search(token.text):
            return token
        names = dict.fromkeys(dollar or percent for dollar, percent in _VARIABLE.findall(token.text))
        unset = tuple(name for name in names if name not in self._environ)
        for name in unset:
            warning = str(token.error(f"the environment has no {show(name)}: it is left empty"))
            if warning not in self._warned:  # else its line names it again, or is imported again
                self._warned.add(warning)
                self._warn(warning)
        text = _VARIABLE.sub(lambda match: self._environ.get(match[1] or match[2], ""), token.text)
        return replace(token, text=text, literal=True, unset=unset)


def _names_snippet(token: Token) -> bool:
    return not token.literal and token.text.startswith("(") and token.text.endswith(")")


def _find_end(tokens: Sequence[Token], start: int) -> int:
    """Find the brace that closes the block whose first token is at *start*; without one, the end of *tokens*."""
    depth = 1
    for position in range(start, len(tokens)):
        depth += tokens[position].opens - tokens[position].closes
        if not depth:
            return position
    return len(tokens)
