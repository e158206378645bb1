import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.kube.selector import EVERYTHING, parse_selector

LABELS = {"app": "web", "tier": "front", "empty": "", "replicas": "3", "example.com/team": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "app=web",
        "app==web",
        " app = web ",
        "app=web,tier=front",
        "app!=api",
        "absent!=api",
        "app",
        "!absent",
        "! absent",
        "app in (web,api)",
        "app in(web)",
        "app in (api, web),tier notin (back)",
        "absent notin (x)",
        "empty=",
        "empty in (,x)",
        "empty in (x,)",
        "example.com/team=a",
        "replicas>2",
        "replicas < 4",
        "app in (web),!gone,tier!=back,replicas",
        "app in (in,notin,web)",
    ],
)
def test_labels_that_meet_all_conditions_are_selected(text: str) -> None:
    assert parse_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "app=api",
        "app=",
        "app=web,tier=back",
        "app!=web",
        "absent",
        "!app",
        "app in (api)",
        "absent in (x)",
        "app notin (web,api)",
        "absent=",
        "replicas>3",
        "replicas<3",
        "app>1",
        "absent<1",
        "APP=web",
    ],
)
def test_labels_that_miss_a_condition_are_not_selected(text: str) -> None:
    assert not parse_selector(text).matches(LABELS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("=web", "expected the key of a label, such as app or example.com/app, found ="),
        ("app=web,", "expected the key of a label, such as app or example.com/app, found the end"),
        (",app", "expected the key of a label, such as app or example.com/app, found ,"),
        ("!", "expected the key of a label, such as app or example.com/app, found the end"),
        ("in (a)", "expected the key of a label, such as app or example.com/app, found in"),
        ("-app=web", "expected the key of a label, such as app or example.com/app, found -app"),
        ("Example.com/a=b", "expected the key of a label, such as app or example.com/app, found Example.com/a"),
        ("/a=b", "expected the key of a label, such as app or example.com/app, found /a"),
        (f"{'a' * 64}=b", f"expected the key of a label, such as app or example.com/app, found {'a' * 64}"),
        ("app web", "expected =, ==, !=, in, notin, < or > after app, found web"),
        ("app=web tier=front", "expected a comma or the end, found tier"),
        ("!app=web", "expected a comma or the end, found ="),
        ("app in web", "expected (, found web"),
        ("app in (web", "expected ), found the end"),
        ("app in (web api)", "expected ), found api"),
        ("app in ()", "expected a value between ( and )"),
        (
            "app=a/b",
            "expected the value of a label, up to 63 letters, digits, dots, hyphens and underscores, found a/b",
        ),
        ("app=(a)", "expected the value of a label, up to 63 letters, digits, dots, hyphens and underscores, found ("),
        ("app>x", "expected a whole number after < or >, found x"),
        ("app<", "expected a whole number after < or >, found the end"),
    ],
)
def test_what_is_no_selector_says_what_was_expected_where(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        parse_selector(text)


def test_an_empty_selector_selects_everything() -> None:
    assert parse_selector("") == EVERYTHING
    assert EVERYTHING.matches({})


words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=63).filter(
    lambda word: word not in {"in", "notin"}
)
pairs = st.dictionaries(words, words, min_size=1, max_size=5)


@given(pairs, pairs)
def test_equal_signs_select_exactly_the_labels_that_hold_all_of_them(
    wanted: dict[str, str], labels: dict[str, str]
) -> None:
    selector = parse_selector(", ".join(f"{key}={value}" for key, value in wanted.items()))
    assert selector.matches(wanted | {"other": "x"}) == ("other" not in wanted or wanted["other"] == "x")
    assert selector.matches(labels) == (wanted.items() <= labels.items())


@given(words, st.sets(words, min_size=1), pairs)
def test_notin_selects_exactly_what_in_does_not(key: str, values: set[str], labels: dict[str, str]) -> None:
    chosen = ",".join(sorted(values))
    taken = parse_selector(f"{key} in ({chosen})").matches(labels)
    assert taken != parse_selector(f"{key} notin ({chosen})").matches(labels)


@given(st.text("ab=!,()<> in/.-", max_size=20))
def test_any_text_is_a_selector_or_says_what_was_expected(text: str) -> None:
    reason = ""
    try:
        parse_selector(text).matches(LABELS)
    except ValueError as fault:
        reason = str(fault)
    assert not reason or reason.startswith("expected ")
