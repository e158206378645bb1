import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svcdns.errors import ConfigError
from svcdns.kube.manifests.documents import parse

POD = "apiVersion: v1\nkind: Pod\n"
SERVICE = "apiVersion: v1\nkind: Service\n"
LIST = "apiVersion: v1\nkind: List\n"


def name(text: str) -> list[tuple[int, str]]:
    """Return line and name of each object."""
    return [(document.line, str(document)) for document in parse("shop.yaml", text)]


def test_every_document_of_a_file_is_read_with_its_line_and_others_are_passed_over() -> None:
    text = """\
# A shop.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: ConfigMap
metadata: {name: no}
data: !unknown {a: b}
---
replicas: 2
---
- kind: Service
---
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {}}
...
"""
    assert name(text) == [(2, "Namespace shop"), (17, "Service shop/web"), (22, "Deployment default/web")]


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "null", "[]", "{}", "kind: [Service]", "kind: 5"])
def test_a_file_without_objects_holds_none(text: str) -> None:
    assert name(text) == []


def test_lists_hold_objects_and_lists() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
  spec: {}
- apiVersion: v1
  kind: List
  items:
  - apiVersion: v1
    kind: ServiceList
    items:
    - metadata: {name: b}
      spec: {}
    - metadata: {name: c}
      spec: {}
  - apiVersion: v1
    kind: ConfigMapList
    items: [{metadata: {name: d}}]
- apiVersion: v1
  kind: PodList
  items: null
"""
    assert name(text) == [(4, "Service default/a"), (14, "Service default/b"), (16, "Service default/c")]


@pytest.mark.parametrize(
    ("version", "kind", "known"),
    [
        ("v1", "Service", True),
        ("serving.knative.dev/v1", "Service", False),
        ("discovery.k8s.io/v1", "EndpointSlice", True),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", True),
        ("v1", "EndpointSlice", False),
        ("example.com/v1", "Pod", False),
    ],
)
def test_a_kind_counts_in_its_own_api_group_alone(version: str, kind: str, *, known: bool) -> None:
    found = name(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\nspec: {{}}")
    assert found == ([(1, f"{kind} default/web")] if known else [])


def test_json_is_read_with_its_escapes_and_tabs() -> None:
    text = (
        '{\n\t"kind": "Pod",\n\t"metadata": {"name": "web", "labels":{"path":"a\\/b","face":"\\ud83d\\ude00",'
        '"not":"\\\\ud83d\\\\ude00"}}\n}'
    )
    (document,) = parse("web.json", text)
    assert document.body.metadata.labels == {"path": "a/b", "face": "\U0001f600", "not": "\\ud83d\\ude00"}


def test_anchors_and_merge_keys_are_followed() -> None:
    text = POD + "metadata:\n  name: web\n  labels: &own {app: web}\n  more: {<<: *own}\n  namespace: &n shop"
    (document,) = parse("web.yaml", text)
    assert document.key == ("shop", "web")


def test_times_and_what_has_colons_in_it_stay_words() -> None:
    text = POD + "metadata: {name: web, labels: {day: 2026-01-31, hour: 12:30, lap: 1:02.5, web: 1:1}}"
    (document,) = parse("web.yaml", text)
    assert document.body.metadata.labels == {"day": "2026-01-31", "hour": "12:30", "lap": "1:02.5", "web": "1:1"}


def test_a_kind_may_be_merged_too() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- &first {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {}}
- <<: *first
  metadata: {name: b}
- <<: *first
  apiVersion: v1
  kind: ConfigMap
"""
    assert name(text) == [(4, "Service default/a"), (5, "Service default/b")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: b\n---\nkind: Pod\n metadata: x\n", 4, "expected YAML: mapping values are not allowed in this context"),
        (
            "a:\n\tb: c",
            2,
            "expected YAML: while scanning for the next token, found character that cannot start any token (a tab",
        ),
        (
            '{"kind": "Pod",\n"metadata": {',
            2,
            "expected YAML: while parsing a flow node, did not find expected node content",
        ),
        ("a: b\n---\nc: *d", 3, "expected YAML: found undefined alias"),
        (POD + "metadata:\n  name: {{ .Values.name }}\n", 4, "expected YAML with words for keys, found a mapping"),
        (
            POD + "metadata:\n  name: !secret x\n",
            4,
            "expected YAML: could not determine a constructor for the tag '!secret'",
        ),
        (
            "a: b\nc: \x01d",
            2,
            "expected YAML, found a character that it cannot hold: control characters are not allowed",
        ),
        ("a: b\nc: &c\n  d:\n  - *c", 4, "expected YAML: found an alias of what it stands in"),
        (POD + "metadata: &m {name: a, <<: *m}", 3, "expected YAML: found an alias of what it stands in"),
        (POD + "metadata: {name: a}\n---\ngarbage\n", 5, 'expected an object, found "garbage"'),
        (LIST + "items:\n- 5", 4, "expected an object, found 5"),
        (LIST + "items:\n  kind: Pod", 4, "List: items: expected a list, found a mapping"),
        (POD + "metadata:\n  name: web\n  labels:\n    a: b\n    c: 5", 7, "Pod web: metadata.labels: expected"),
        (POD + "metadata:\n  name: web\n  labels:\n    a: b\n    5: c", 7, "Pod web: metadata.labels: expected"),
        (
            SERVICE + "metadata:\n  name: web\nspec:\n  ports:\n  - port: 1\n  - name: x\n",
            8,
            "Service web: spec.ports[1]",
        ),
        (f"---\n{POD}metadata: {{name: a}}\n---\n{POD}metadata: {{\n  name: B}}", 9, "Pod B: metadata.name"),
        (
            POD + "metadata: {name: a}\nspec: {containers: [{ports: [{containerPort: !!int x}]}]}",
            1,
            "Pod a: expected values that fit their tags",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", text)
    assert (fault.value.path, fault.value.line) == ("shop.yaml", line)
    assert fault.value.reason.startswith(reason)


def chain(link: str, first: str = "[x]", length: int = 250) -> str:
    """Write a list of items that each have the one before in them, as *link* says."""
    links = (f"- &a{index} {link.format(f'*a{index - 1}')}\n" for index in range(1, length))
    return f"kind: List\nitems:\n- &a0 {first}\n{''.join(links)}"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a:\n " + "[" * 50_000, 2, "found more than 200 levels in each other"),
        ("a:\n " + "{a: " * 50_000, 2, "found more than 200 levels in each other"),
        ("- " * 50_000, 1, "found more than 200 levels in each other"),
        ("? " * 50_000, 1, "found more than 200 levels in each other"),
        (chain("{{<<: {}}}", "{a: b}"), 203, "found more than 200 levels in each other"),
        (chain("[{}]"), 203, "found more than 200 levels in each other"),
        (chain("[{0}, {0}]"), 18, "found aliases that stand for more than 100000 values"),
        (chain("{{<<: [{0}, {0}]}}", "{a: b}"), 17, "found aliases that stand for more than 100000 values"),
        (
            chain("{{kind: List, items: [{0}, {0}]}}", "{kind: Pod, metadata: {name: a}}"),
            16,
            "found aliases that stand for more than 100000 values",
        ),
        (
            "\n---\n".join([f"a: &a [{'x, ' * 1000}]\nb: [{'*a, ' * 30}]"] * 4),
            11,
            "found aliases that stand for more than 100000 values",
        ),
    ],
)
def test_a_file_that_would_grow_out_of_bounds_is_refused_before_it_does(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", text)
    assert (fault.value.line, fault.value.reason) == (line, f"expected YAML: {reason}")


def test_a_fault_shows_the_beginning_of_what_is_long() -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", POD + f"metadata: {{name: {'A' * 100_000}}}")
    assert "A" * 100 + "…" in fault.value.reason
    assert len(fault.value.reason) < 500


PIECES = (
    *("apiVersion: v1\n", "kind: Service\n", "metadata:", "{name: web}", "spec:", "ports"),
    *(": ", "- ", "---\n", "\n", " ", "\t"),
    *("[", "]", "{", "}", "&a ", "*a", "!!bool x", "!!timestamp x", "!!set ", "? ", "'", '"', "\\u", "|\n", "<<"),
    *("0x", "8" * 30),
)
pieces = st.lists(st.sampled_from(PIECES))


@given(pieces.map("".join))
@example(SERVICE + "metadata: {name: web}\nspec: {ports: [{port: 888888888888888888888888888888}]}")
@example(SERVICE + "metadata: {name: web}\nspec: !!bool x")
@example(SERVICE + "metadata: {name: web}\nspec: !!timestamp x")
@example(SERVICE + "metadata: {name: web}\nspec: &a {selector: *a}")
@example(SERVICE + "metadata: {name: web}\nspec: {ports: &a [*a]}")
@example(SERVICE + "? [a, b]\n: c\n? {d: e}\n: f")
def test_any_text_is_read_or_told_with_its_line(text: str) -> None:
    line = 1
    try:
        parse("web.yaml", text)
    except ConfigError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
