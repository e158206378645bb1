from collections.abc import Callable

import pytest

from svcdns.corefile import Corefile, Directive, Option
from svcdns.errors import ConfigError


def test_an_empty_text_has_no_server_blocks(corefile: Callable[..., Corefile]) -> None:
    assert corefile("") == corefile("# nothing\n\n") == Corefile(())


def test_directives_and_options_know_their_words_and_lines(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile(
        """
        example.org:1053 {
            errors
            cache 30 example.org {   # with options
                success 9984 30
                disable denial "a b"
            }
            loop {
            }
        }
        """
    ).blocks
    assert block.directives == (
        Directive("errors", (), path="Corefile", line=3),
        Directive(
            "cache",
            ("30", "example.org"),
            (
                Option("success", ("9984", "30"), path="Corefile", line=5),
                Option("disable", ("denial", "a b"), path="Corefile", line=6),
            ),
            path="Corefile",
            line=4,
        ),
        Directive("loop", (), path="Corefile", line=8),
    )
    assert (block.path, block.line) == ("Corefile", 2)


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("a.example b.example {\n}", ["a.example.", "b.example."]),
        ("a.example, b.example {\n}", ["a.example.", "b.example."]),
        ("a.example,\nb.example,\n  c.example {\n}", ["a.example.", "b.example.", "c.example."]),
        ("a.example , b.example {\n}", ["a.example.", "b.example."]),
        ('"" a.example {\n}', ["a.example."]),
        ("a.example\n{\n}", ["a.example."]),
        ("a.example", ["a.example."]),
        ("a.example b.example\nerrors\nlog", ["a.example.", "b.example."]),
    ],
)
def test_keys_are_separated_by_spaces_commas_and_lines_after_commas(
    corefile: Callable[..., Corefile], text: str, zones: list[str]
) -> None:
    (block,) = corefile(text).blocks
    assert list(block.zones) == zones


def test_without_braces_the_rest_of_the_file_is_one_server(corefile: Callable[..., Corefile]) -> None:
    first, second = corefile("a.example {\n}\n.:53\nerrors\nhealth {\n lameduck 5s\n}\nlog").blocks
    assert (first.zones, second.zones) == (("a.example.",), (".",))
    assert [directive.name for directive in second.directives] == ["errors", "health", "log"]


def test_blocks_directives_and_options_may_repeat_and_keep_their_order(corefile: Callable[..., Corefile]) -> None:
    first, second = corefile(". {\n forward a 1.1.1.1\n log\n forward . 9.9.9.9\n}\n. {\n}").blocks
    assert [directive.words for directive in first.named("forward")] == [("a", "1.1.1.1"), (".", "9.9.9.9")]
    assert second.directives == ()


@pytest.mark.parametrize(
    "text",
    [
        ". {\n health { lameduck 5s }\n errors\n}",
        ". {\n health {\n lameduck 5s }\n errors\n}",
        ". {\n health { lameduck 5s\n }\n errors }",
        ". { health { lameduck 5s }\n errors\n}",
    ],
)
def test_a_brace_behind_words_closes_the_block_with_a_warning(
    corefile: Callable[..., Corefile], warnings: list[str], text: str
) -> None:
    (block,) = corefile(text).blocks
    health, errors = block.directives
    assert [(option.name, option.words) for option in health.options] == [("lameduck", ("5s",))]
    assert errors.words == ()
    (warning,) = warnings
    assert "found '}' behind other words, where CoreDNS misreads it: put it on a line of its own" in warning


@pytest.mark.parametrize("text", [". { }", ". {\n errors { }\n}", ". {\n health { lameduck 5s\n }\n}"])
def test_what_coredns_reads_right_has_no_warning(
    corefile: Callable[..., Corefile], warnings: list[str], text: str
) -> None:
    assert len(corefile(text).blocks) == 1
    assert warnings == []


def test_a_whole_server_may_stand_on_one_line(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile(". { health { lameduck 5s } }").blocks
    assert [len(directive.options) for directive in block.directives] == [1]


def test_a_server_block_may_begin_where_another_ends(corefile: Callable[..., Corefile]) -> None:
    assert [block.zones for block in corefile("a.test {\n} b.test {\n} c.test").blocks] == [
        ("a.test.",),
        ("b.test.",),
        ("c.test.",),
    ]


def test_quoted_braces_are_words(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile('. {\n log "{" "}" "{"\n}').blocks
    assert block.directives[0].words == ("{", "}", "{")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("}", "1: found '}', expected a server block: no block is open here"),
        (". {\n}\n}", "3: found '}', expected a server block: no block is open here"),
        (".\nerrors\n}", "3: found '}', expected a directive: no block is open here"),
        ("{\n errors\n}", "1: found '{', expected the zones of a server block"),
        ('"" {\n}', "1: found '', expected the zones of a server block"),
        (". {\n errors", "1: found the end of the file, expected a '}' for the '{' of this line"),
        (". {\n health {\n", "2: found the end of the file, expected a '}' for the '{' of this line"),
        (
            ". {\n health\n {\n }\n}",
            "3: found '{', expected the directive that it belongs to in front of it on its line",
        ),
        (". {\n health {\n {\n }\n }\n}", "3: found '{', expected the option that it belongs to in front of it on its"),
        (". {\n} errors", "2: found 'errors' after '}', expected the end of the line"),
        (". {\n health {\n } log\n}", "3: found 'log' after '}', expected the end of the line"),
        (
            ". {\n health {\n cache 30\n kubernetes {\n }\n }\n}",
            "4: found '{' in the block of 'health' that line 2 opened, expected options without blocks: is a '}' miss",
        ),
        ("a.example, {\n}", "1: found '{' after a comma, expected another zone"),
        ("a.example,", "1: found the end of the file after a comma, expected another zone"),
        ("a.example,\n}", "2: found '}', expected a server block"),
        (". {\n healht\n}", "2: unknown directive 'healht', did you mean 'health'?"),
        (". {\n ERRORS\n}", "2: unknown directive 'ERRORS', did you mean 'errors'?"),
        (". {\n errors{\n}", "2: unknown directive 'errors{', expected a space before '{'"),
        (". {\n xyzzy\n}", "2: unknown directive 'xyzzy', expected 'acl', 'any', 'auto'"),
        (". {\n proxy . 1.1.1.1\n}", "2: unknown directive 'proxy'; CoreDNS itself has dropped it: write 'forward'"),
        (". {\n dnssec\n}", "2: 'dnssec' is a directive of CoreDNS that svcdns does not have yet"),
        (
            "a.example\nb.example {\n}",
            "(the server of line 1 has no braces, so all below it are its directives)",
        ),
    ],
)
def test_bad_grammar_names_file_line_and_what_was_expected(
    corefile: Callable[..., Corefile], text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        corefile(text)
    assert str(caught.value).startswith("Corefile:")
    assert message in str(caught.value)


@pytest.mark.parametrize("end", ["errors\nlog\n", "errors {\n}\n"])
def test_directives_behind_the_last_block_are_pointed_out(
    corefile: Callable[..., Corefile], warnings: list[str], end: str
) -> None:
    corefile(". {\n health {\n }\n }\n" + end)
    assert warnings == ["Corefile:5: 'errors' is taken for a zone here: is there a '}' too many above?"]
