from collections.abc import Callable

import pytest

from svcdns.corefile import Corefile, Source
from svcdns.corefile.imports import MAX_IMPORTED_TOKENS, MAX_IMPORTS
from svcdns.errors import ConfigError


def names(corefile: Corefile) -> list[list[str]]:
    return [[directive.name for directive in block.directives] for block in corefile.blocks]


def test_a_snippet_is_put_in_where_it_is_imported(corefile: Callable[..., Corefile]) -> None:
    text = """
        (common) {
            errors
            health {
                lameduck 5s
            }
        }
        a.example {
            import common
            log
        }
        b.example {
            import common
        }
    """
    read = corefile(text)
    assert names(read) == [["errors", "health", "log"], ["errors", "health"]]
    assert read.blocks[0].directives[1].options[0].line == 5


def test_a_snippet_may_hold_options_import_snippets_and_stand_on_one_line(corefile: Callable[..., Corefile]) -> None:
    text = "(duck) { lameduck 5s }\n(probes) {\n health {\n import duck\n }\n ready\n}\n. {\n import probes\n}"
    (block,) = corefile(text).blocks
    health, ready = block.directives
    assert [option.words for option in health.options] == [("5s",)]
    assert ready.words == ()


def test_files_are_imported_at_the_top_in_blocks_and_in_option_blocks(corefile: Callable[..., Corefile]) -> None:
    text = "import servers\n. {\n import directives\n health {\n import options\n }\n}"
    read = corefile(
        text,
        {
            "Corefile servers": [Source("servers", "a.example {\n log\n}")],
            "Corefile directives": [Source("directives", "errors\nready")],
            "Corefile options": [Source("options", "# slow\nlameduck 5s")],
        },
    )
    assert names(read) == [["log"], ["errors", "ready", "health"]]
    option = read.blocks[1].directives[2].options[0]
    assert (option.name, option.words, option.path, option.line) == ("lameduck", ("5s",), "options", 2)


def test_a_pattern_imports_its_files_in_the_order_they_are_given(corefile: Callable[..., Corefile]) -> None:
    files = {"Corefile custom/*.override": [Source("custom/a.override", "log"), Source("custom/b.override", "errors")]}
    assert names(corefile(". {\n import custom/*.override\n ready\n}", files)) == [["log", "errors", "ready"]]


def test_an_imported_file_imports_relative_to_itself(corefile: Callable[..., Corefile]) -> None:
    files = {
        "Corefile conf/outer": [Source("conf/outer", "(probes) {\n import inner\n}")],
        "conf/outer inner": [Source("conf/inner", "health")],
    }
    (block,) = corefile("import conf/outer\n. {\n import probes\n}", files).blocks
    assert [(directive.name, directive.path) for directive in block.directives] == [("health", "conf/inner")]


def test_a_pattern_without_files_is_a_warning(corefile: Callable[..., Corefile], warnings: list[str]) -> None:
    assert names(corefile(". {\n import custom/*.override\n}\nimport custom/?.server\n")) == [[]]
    assert warnings == [
        "Corefile:2: import: no file matches 'custom/*.override'",
        "Corefile:4: import: no file matches 'custom/?.server'",
    ]


def test_a_snippet_goes_before_a_file_of_its_name(corefile: Callable[..., Corefile]) -> None:
    files = {"Corefile x": [Source("x", "log")]}
    assert names(corefile("(x) {\n errors\n}\n. {\n import x\n}", files)) == [["errors"]]


def test_import_is_a_word_where_no_line_starts_or_in_quotes(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile('. {\n log import x\n hosts {\n 10.0.0.1 import\n "import" a\n }\n}').blocks
    log, hosts = block.directives
    assert log.words == ("import", "x")
    assert [(option.name, option.words) for option in hosts.options] == [("10.0.0.1", ("import",)), ("import", ("a",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (". {\n import\n}", "2: import: found no argument, expected one file, pattern or snippet"),
        (". {\n import {\n}", "2: import: found no argument, expected one file, pattern or snippet"),
        ("import", "1: import: found no argument, expected one file, pattern or snippet"),
        (". {\n import a b\n}", "2: import: found 'b', expected one argument only"),
        (". {\n import a {\n}\n}", "2: import: found '{', expected one argument only"),
        ('. {\n import ""\n}', "2: import: found an empty argument, expected a file, pattern or snippet"),
        (". {\n import {$NONE}\n}", "2: import: found an empty argument, expected a file, pattern or snippet"),
        (
            ". {\n import nowhere\n}",
            "2: import: found 'nowhere', expected a file that exists or a snippet defined above",
        ),
        (". {\n import x\n}\n(x) {\n log\n}", "2: import: found 'x', expected a file that exists or a snippet defined"),
        ("import */*.conf", "1: import: found '*/*.conf', expected at most one '*', one '?' and no '[...]'"),
        ("import a??", "1: import: found 'a??', expected at most one '*', one '?' and no '[...]'"),
        ("import [ab]", "1: import: found '[ab]', expected at most one '*', one '?' and no '[...]'"),
        ("(x) {\n}\n(x) {\n}", "3: found snippet 'x' a second time, expected another name"),
        ("() {\n}", "1: found '()', expected a snippet's name in the brackets"),
        ("(x) {\n errors\n", "1: found the end of the file in snippet 'x', expected '}'"),
        ("(x) {\n} log", "2: found 'log' after '}', expected the end of the line"),
        ("(x) {\n import x\n}\n. {\n import x\n}", "2: import: found '(x)', which imports itself"),
        (
            "(x) {\n log\n}\n(y) {\n import x\n import z\n}\n(z) {\n import y\n}\n. {\n import y\n}",
            "9: import: found '(y)', which imports itself",
        ),
    ],
)
def test_a_bad_import_names_file_line_and_what_was_expected(
    corefile: Callable[..., Corefile], text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        corefile(text)
    assert f"Corefile:{message}" in str(caught.value)


def test_an_error_in_an_imported_file_names_that_file(corefile: Callable[..., Corefile]) -> None:
    files = {"Corefile custom/*": [Source("custom/a", "log\n\nerorrs")]}
    with pytest.raises(ConfigError, match=r"^custom/a:3: unknown directive 'erorrs', did you mean 'errors'\?$"):
        corefile(". {\n import custom/*\n}", files)


def test_a_file_that_imports_itself_is_refused(corefile: Callable[..., Corefile]) -> None:
    files = {"Corefile a": [Source("a", "import b")], "a b": [Source("b", "\nimport a")], "b a": [Source("a", "")]}
    with pytest.raises(ConfigError, match=r"^b:2: import: found 'a', which imports itself$"):
        corefile("import a", files)


def test_a_file_that_cannot_be_read_is_an_error_at_its_import(corefile: Callable[..., Corefile]) -> None:
    class Unreadable(dict[str, list[Source]]):
        def get(self, key: str, default: object = None) -> list[Source]:
            raise ValueError("/secret: Permission denied")

    with pytest.raises(ConfigError, match=r"^Corefile:2: import: cannot read 'secret': /secret: Permission denied$"):
        corefile(". {\n import secret\n}", Unreadable({"": []}))


def test_snippets_that_double_end_at_the_limit(corefile: Callable[..., Corefile]) -> None:
    levels = [f"(s{level + 1}) {{\n import s{level}\n import s{level}\n}}" for level in range(40)]
    text = "\n".join(["(s0) {\n errors\n}", *levels, ". {\n import s40\n}"])
    with pytest.raises(ConfigError, match=f"import: found more than {MAX_IMPORTS} imports"):
        corefile(text)


def test_imported_words_end_at_the_limit(corefile: Callable[..., Corefile]) -> None:
    text = "(s) {\n log" + " x" * 1000 + "\n}\n. {\n" + " import s\n" * 600 + "}"
    with pytest.raises(ConfigError, match=f"import: found more than {MAX_IMPORTED_TOKENS} imported words"):
        corefile(text)


def test_imports_nest_so_deep_and_no_deeper(corefile: Callable[..., Corefile]) -> None:
    def nested(depth: int) -> str:
        levels = [f"(s{level + 1}) {{\n import s{level}\n}}" for level in range(depth - 1)]
        return "\n".join(["(s0) {\n errors\n}", *levels, f". {{\n import s{depth - 1}\n}}"])

    assert names(corefile(nested(50))) == [["errors"]]
    with pytest.raises(ConfigError, match="import: found an import more than 50 deep"):
        corefile(nested(51))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{$NAME}", ["value"]),
        ("{%NAME%}", ["value"]),
        ("a{$NAME}b{%NAME%}c", ["avaluebvaluec"]),
        ('"{$NAME} {$NAME}"', ["value value"]),
        ("{$SPACED}", ["two words"]),
        ("{$BRACE} x", ["{", "x"]),
        ("{$REFERENCE}", ["{$NAME}"]),
        ("{$}", ["{$}"]),
        ("{%%}", ["{%%}"]),
        ("{$NAME", ["{$NAME"]),
        ("{{$NAME}}", ["{value}"]),
        ('"{{ $NAME }}"', ["{{ $NAME }}"]),
        ("{$NONE}x", ["x"]),
    ],
)
def test_words_take_values_from_the_environment(corefile: Callable[..., Corefile], text: str, words: list[str]) -> None:
    environ = {"NAME": "value", "SPACED": "two words", "BRACE": "{", "REFERENCE": "{$NAME}"}
    (block,) = corefile(f". {{\n log {text}\n}}", environ=environ).blocks
    assert list(block.directives[0].words) == words


def test_keys_names_and_imports_take_values_from_the_environment(corefile: Callable[..., Corefile]) -> None:
    text = "({$S}) {\n {$D} 1\n}\n{$ZONE}:{$PORT}, {$NONE} {\n import {$S}\n}"
    (block,) = corefile(text, environ={"S": "snippet", "D": "cache", "ZONE": "a.example", "PORT": "53"}).blocks
    assert [(key.zone, key.port) for key in block.keys] == [("a.example.", 53)]
    assert [(directive.name, directive.words) for directive in block.directives] == [("cache", ("1",))]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "{$A}. {\n}\na..b{$B}. {\n}",
            "Corefile:3: found 'a..b.', expected a zone whose labels have 1 to 63 characters",
        ),
        ("{$B} {\n}", "Corefile:1: found '', expected the zones of a server block"),
        (". {\n erors {$A}{$B}\n}", "Corefile:2: unknown directive 'erors', did you mean 'errors'?"),
        (". {\n import {$B}\n}", "Corefile:2: import: found an empty argument, expected a file, pattern or snippet"),
    ],
)
def test_an_error_names_the_variable_that_was_left_empty_in_its_line(
    corefile: Callable[..., Corefile], text: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        corefile(text, environ={"A": "a"})
    assert str(caught.value) == f"{reason}; the environment has no 'B'"


def test_an_error_of_a_key_names_the_variable_that_was_left_empty_in_it(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile("a.example{$B} b.example {\n}").blocks
    told = [str(key.error("wrong")) for key in block.keys]
    assert told == ["Corefile:1: wrong; the environment has no 'B'", "Corefile:1: wrong"]


def test_an_error_of_a_plugin_names_the_variables_that_were_left_empty_in_its_line(
    corefile: Callable[..., Corefile],
) -> None:
    (block,) = corefile(". {\n cache {$A}{$B}{$A} {%C%} {\n  denial {$D}\n }\n}", environ={"C": "1"}).blocks
    (cache,) = block.directives
    (denial,) = cache.options
    assert (
        str(cache.error("wrong")) == "Corefile:2: cache: wrong; the environment has no 'A'; the environment has no 'B'"
    )
    assert str(denial.expected("CAPACITY")).endswith("; the environment has no 'D'")
    assert str(denial.unknown(["success"])).endswith("; the environment has no 'D'")
    assert str(denial.unsupported()).endswith("; the environment has no 'D'")


def test_a_variable_that_is_not_set_is_a_warning(corefile: Callable[..., Corefile], warnings: list[str]) -> None:
    corefile(". {\n forward . {$UPSTREAM}\n}")
    assert warnings == ["Corefile:2: the environment has no 'UPSTREAM': it is left empty"]


def test_a_variable_that_is_not_set_is_warned_of_once_in_each_line(
    corefile: Callable[..., Corefile], warnings: list[str]
) -> None:
    corefile("(s) {\n log {$C}\n}\n. {\n forward . {$A} {$B}{$A} {%A%}\n cache {$A}\n import s\n import s\n}")
    told = [(5, "A"), (5, "B"), (6, "A"), (2, "C")]
    assert warnings == [f"Corefile:{line}: the environment has no '{name}': it is left empty" for line, name in told]
