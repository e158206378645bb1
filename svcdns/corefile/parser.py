"""Tokens to server blocks: the grammar of Corefiles, once imports and snippets are put in.

- corefile: KEYS, then `{`, directives and `}`; again and again. Without braces the rest of the file is directives.
- directive: NAME WORDS, ending with the line; or with `{` on that line, options and `}`.
- option: NAME WORDS, ending with the line.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from svcdns.corefile.blocks import Corefile, Directive, Option, ServerBlock
from svcdns.corefile.imports import Reader, resolve_imports
from svcdns.corefile.keys import Key, parse_keys
from svcdns.corefile.lexer import Token, show, tokenize
from svcdns.corefile.vocabulary import describe_unknown_directive

MAX_KEYS = 10_000
"""How many zones one server block may answer for."""


def parse(
    text: str,
    path: str,
    *,
    known: Collection[str],
    environ: Mapping[str, str],
    read: Reader,
    warn: Callable[[str], None],
) -> Corefile:
    """Parse a Corefile with all that it imports.

    Args:
        text: the file's text.
        path: the file's name in messages, and the place from which its imports count.
        known: the directives that may be used.
        environ: values for `{$NAME}` and `{%NAME%}`.
        read: finds the files that are imported.
        warn: told, with file and line, of what works but is hardly meant.

    Returns:
        The server blocks; none where the text has none.

    Raises:
        ConfigError: the text is no Corefile, or uses what svcdns does not have.
    """
    tokens = resolve_imports(tokenize(text, path), path, environ=environ, read=read, warn=warn)
    return _Parser(tokens, known, warn).parse()


class _Parser:
    """One walk over the tokens; each method takes what it is named after."""

    def __init__(self, tokens: Sequence[Token], known: Collection[str], warn: Callable[[str], None]) -> None:
        self._tokens = tokens
        self._position = 0
        self._known = known
        self._warn = warn

    def parse(self) -> Corefile:
        blocks = []
        while self._next is not None:
            blocks.append(self._server_block())
        return Corefile(tuple(blocks))

    @property
    def _next(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _server_block(self) -> ServerBlock:
        start = self._tokens[self._position]
        keys = self._keys(self._key_tokens())
        if not keys:
            raise start.error(f"found {show(start.text)}, expected the zones of a server block")
        directives = []
        opening = self._next
        if opening is not None and opening.opens:
            self._position += 1
            while not self._closed(opening):
                directives.append(self._directive())
            if self._next is not None and self._next.text in self._known:
                self._expect_end_of_line()
        else:
            while self._next is not None:
                directives.append(self._directive(braceless=start))
        return ServerBlock(keys, tuple(directives), path=start.path, line=start.line)

    def _key_tokens(self) -> list[Token]:
        """Take the keys up to the end of the line or the brace; after a comma they go on in the next line."""
        keys: list[Token] = []
        comma: Token | None = None
        while (token := self._next) is not None and not token.opens:
            if keys and token.first and comma is None:
                return keys
            if token.closes:
                raise token.error("found '}', expected a server block: no block is open here")
            self._position += 1
            comma = token if token.text.endswith(",") else None
            text = token.text.removesuffix(",")
            if text:
                keys.append(replace(token, text=text))
        if comma is not None:
            found = "the end of the file" if token is None else "'{'"
            raise comma.error(f"found {found} after a comma, expected another zone")
        return keys

    def _keys(self, tokens: Sequence[Token]) -> tuple[Key, ...]:
        """Read the keys, and say so where they look like a line of the server block above."""
        keys: list[Key] = []
        if tokens and tokens[0].text in self._known:
            reason = f"{show(tokens[0].text)} is taken for a zone here: is there a '}}' too many above?"
            self._warn(str(tokens[0].error(reason)))
        for token in tokens:
            keys += parse_keys(token, self._warn)
            if len(keys) > MAX_KEYS:
                raise token.error(
                    f"found more than {MAX_KEYS} zones in one server block, reverse zones of ranges included"
                )
        return tuple(keys)

    def _directive(self, braceless: Token | None = None) -> Directive:
        name, words = self._line("directive")
        if name.text not in self._known:
            reason = describe_unknown_directive(name.text, self._known)
            if braceless is not None:
                reason += f" (the server of line {braceless.line} has no braces, so all below it are its directives)"
            raise name.error(reason)
        options = []
        opening = self._next
        if opening is not None and opening.opens and not opening.first:
            self._position += 1
            while not self._closed(opening):
                options.append(self._option(name))
            self._expect_end_of_line()
        return Directive(name.text, words, tuple(options), path=name.path, line=name.line, unset=name.unset)

    def _option(self, directive: Token) -> Option:
        name, words = self._line("option")
        following = self._next
        if following is not None and following.opens and not following.first:
            block = f"the block of {show(directive.text)} that line {directive.line} opened"
            raise following.error(f"found '{{' in {block}, expected options without blocks: is a '}}' missing above?")
        return Option(name.text, words, path=name.path, line=name.line, unset=name.unset)

    def _line(self, kind: str) -> tuple[Token, tuple[str, ...]]:
        """Take a name and the words behind it, up to the end of the line or a brace. The name has what is unset."""
        name = self._tokens[self._position]
        if name.opens:
            raise name.error(f"found '{{', expected the {kind} that it belongs to in front of it on its line")
        if name.closes:
            raise name.error("found '}', expected a directive: no block is open here")
        self._position += 1
        words = []
        while (token := self._next) is not None and not (token.first or token.opens or token.closes):
            words.append(token)
            self._position += 1
        unset = dict.fromkeys(variable for token in (name, *words) for variable in token.unset)
        return replace(name, unset=tuple(unset)), tuple(token.text for token in words)

    def _closed(self, opening: Token) -> bool:
        """Take the closing brace of the block that *opening* began, if it is next."""
        token = self._next
        if token is None:
            raise opening.error("found the end of the file, expected a '}' for the '{' of this line")
        if not token.closes:
            return False
        before = self._tokens[self._position - 1]
        if not (token.first or before.opens or before.closes):
            reason = "found '}' behind other words, where CoreDNS misreads it: put it on a line of its own"
            self._warn(str(token.error(reason)))
        self._position += 1
        return True

    def _expect_end_of_line(self) -> None:
        """Refuse words behind a closing brace."""
        following = self._next
        if following is not None and not (following.first or following.closes):
            raise following.error(f"found {show(following.text)} after '}}', expected the end of the line")
