"""Go's regular expressions. What they match and what is refused was asked of Go."""

import pytest

from svcdns.corefile.regex import LONGEST, parse_regex


@pytest.mark.parametrize(
    ("regex", "text", "found"),
    [
        ("a|b", "xb", "b"),
        (".* i/o timeout$", "read udp: i/o timeout", "read udp: i/o timeout"),
        ("a$", "a\n", None),
        ("(?m)a$", "a\n", "a"),
        (r"b\z", "ab", "b"),
        ("a.b", "a\nb", None),
        ("(?s)a.b", "a\nb", "a\nb"),
        ("(?i)AB", "ab", "ab"),
        ("a(?i)b|c", "aB", "aB"),
        ("a(?i)b|c", "C", "C"),
        ("a(?i)b|c", "AB", None),
        ("(a(?i)b|c)d", "Cd", "Cd"),
        ("(a(?i)b|c)d", "CD", None),
        ("(?i)a(?-i)b", "Ab", "Ab"),
        ("(?i)a(?-i)b", "AB", None),
        ("(?i:a)b", "Ab", "Ab"),
        ("(?im-s)a.b", "A.B", "A.B"),
        ("a+?", "aaa", "a"),
        ("(?U)a+", "aaa", "a"),
        ("(?U)a+?", "aaa", "aaa"),
        ("(?U:a+)a+", "aaa", "aaa"),
        ("a{2}", "aaa", "aa"),
        ("a{,2}", "a{,2}", "a{,2}"),
        ("{a}", "{a}", "{a}"),
        ("[]a]+", "a]", "a]"),
        ("[^]a]", "]b", "b"),
        ("[[:alpha:]]+", "12ab3", "ab"),
        ("[^[:space:]]+", " a ", "a"),
        ("[[:^digit:]]+", "1é_2", "é_"),
        ("[a[:digit:]]+", "xa1x", "a1"),
        ("[[a]+", "x[a", "[a"),
        ("[a&&b]+", "a&b", "a&b"),
        ("[+--]+", "+,-", "+,-"),
        (r"[\x{41}-\x{43}]+", "xABC", "ABC"),
        (r"[\101-\103]+", "xABC", "ABC"),
        (r"[\s]", "\v", None),
        (r"\s", "\v", None),
        (r"\S+", " \v ", "\v"),
        (r"\w+", "éa", "a"),
        (r"\d+", "٣3", "3"),
        (r"\bb", "éb", "b"),
        (r"\012", "\n", "\n"),
        (r"\x41\x{42}", "AB", "AB"),
        (r"\Qa.b\E+", "a.bb", "a.bb"),
        (r"\Qa.b", "axb", None),
        ("(?P<x>a)(?<y>b)", "ab", "ab"),
        (r"\-\_", "-_", "-_"),
    ],
)
def test_it_matches_as_in_go(regex: str, text: str, found: str | None) -> None:
    match = parse_regex(regex).search(text)
    assert (match and match[0]) == found


@pytest.mark.parametrize(
    "regex",
    [
        *("(", ")", "[", "*a", "(*a)", "a**", "a*+", "a++", "a?+", "a{2}{3}", "a{2,1}", "a{1001}", "\\"),
        *(r"(a)\1", r"\8", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "(?#c)a", "(?x)a", "(?a)a", "(?", "(?P=x)"),
        *("(?-)", "[[:nope:]]", r"[\b]", r"[\z]", r"\Z", r"\h", r"\k", r"\G", r"\e", r"\x4", r"\C", r"\pL", "^*"),
    ],
)
def test_what_go_refuses_and_what_only_go_has_is_refused(regex: str) -> None:
    with pytest.raises(ValueError, match="expected a regular expression as Go writes it"):
        parse_regex(regex)


def test_a_long_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10000 characters"):
        parse_regex("a" * (LONGEST + 1))
