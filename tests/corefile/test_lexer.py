import pytest

from svcdns.corefile.lexer import show, tokenize
from svcdns.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n\r\n", []),
        ("\ufefferrors", ["errors"]),
        ("a\ufeff", ["a\ufeff"]),
        ("errors\r\nlog\r\n", ["errors", "log"]),
        ("er\rrors", ["errors"]),
        ("a\u00a0b\u2003c\x85d", ["a", "b", "c", "d"]),
        ("a\x1cb", ["a\x1cb"]),
        ("# all of it\nlog # rest { }", ["log"]),
        ("a#b c\nd", ["a", "d"]),
        ('"a#b"', ["a#b"]),
        ('"a b"c', ["a b", "c"]),
        ('""', [""]),
        ('a"b c"', ['a"b', 'c"']),
        (r'"say \"it\""', ['say "it"']),
        (r'"\d+\.\\"', [r"\d+\.\\"]),
        ('"two\nlines"', ["two\nlines"]),
        ('"kept\r\n"', ["kept\r\n"]),
        ('\r"quoted"', ["quoted"]),
        ("'a b'", ["'a", "b'"]),
        ("foo{ {}", ["foo{", "{}"]),
        ("{ }", ["{", "}"]),
    ],
)
def test_text_is_split_into_words(text: str, words: list[str]) -> None:
    assert [token.text for token in tokenize(text, "Corefile")] == words


def test_tokens_know_their_line_and_whether_they_start_it() -> None:
    tokens = [(token.text, token.line, token.first) for token in tokenize('a b\n\n# c\n"d\ne" f\ng', "Corefile")]
    assert tokens == [("a", 1, True), ("b", 1, False), ("d\ne", 4, True), ("f", 5, False), ("g", 6, True)]


def test_only_bare_braces_have_a_meaning() -> None:
    tokens = list(tokenize('{ } "{" "}" {} a{', "Corefile"))
    assert [(token.opens, token.closes) for token in tokens] == [(True, False), (False, True)] + [(False, False)] * 4


def test_an_open_quote_is_an_error_where_it_starts() -> None:
    with pytest.raises(ConfigError) as caught:
        list(tokenize('errors\nlog . "{remote}\n}\n', "Corefile"))
    assert str(caught.value) == r"Corefile:2: found the end of the file in '{remote}\n}\n', expected a closing quote"


def test_a_long_word_is_cut_in_messages() -> None:
    assert show("x" * 1000) == repr("x" * 59 + "…")
