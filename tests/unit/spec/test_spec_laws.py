# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Laws of the small parts: durations, numbers, interpolation, merge, short and long forms; no input that crashes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load
from ansible_collections.stowage.fleet.plugins.module_utils.spec.document import parse, resolve
from ansible_collections.stowage.fleet.plugins.module_utils.spec.forms import split_words
from ansible_collections.stowage.fleet.plugins.module_utils.spec.image import image_mistake
from ansible_collections.stowage.fleet.plugins.module_utils.spec.interpolation import InterpolationError, substitute
from ansible_collections.stowage.fleet.plugins.module_utils.spec.merge import merge
from ansible_collections.stowage.fleet.plugins.module_utils.spec.units import (
    format_duration,
    go_number,
    parse_duration,
    parse_size,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("A", "B", "SET", "EMPTY")
VARIABLES = {"SET": "value", "EMPTY": ""}


def loaded(text: str | bytes, variables: dict[str, Any] | None = None) -> Any:
    """The normal form of a text."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "stack.yml"
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return load(path, variables)


def service(**keys: Any) -> Any:
    """The normal form of one service."""
    text = yaml.safe_dump({"services": {"web": {"image": "a", **keys}}, "volumes": {"data": None}})
    return loaded(text)["services"]["web"]


@given(st.integers(min_value=0, max_value=2**62))
def test_durations_survive_printing(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "printed"),
    [("90s", "1m30s"), ("1h", "1h0m0s"), ("1500us", "1.5ms"), ("36h", "36h0m0s"), ("1.5h", "1h30m0s"), ("0", "0s")],
)
def test_durations_are_printed_as_go_does(text: str, printed: str) -> None:
    assert format_duration(parse_duration(text)) == printed


@pytest.mark.parametrize("text", ["", "5", "1d", "-1s", "1 s", "s", "5 minutes", "9" * 100 + "s", "300000000h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("1k", 1024), ("1.5G", 1610612736), ("64MiB", 67108864), (100, 100), ("2 gb", 2 * 1024**3)]
)
def test_sizes(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3.10, "3.1"),
        (1e3, "1000"),
        (1e30, "1e+30"),
        (1e-5, "1e-05"),
        (1e20, "100000000000000000000"),
        (2.5e21, "2.5e+21"),
    ],
)
def test_numbers_are_printed_as_go_does(number: float, text: str) -> None:
    assert go_number(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_numbers_are_the_same_number(number: float) -> None:
    assert float(go_number(number)) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("12:30:45", "12:30:45"),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-23", "2026-11-23"),
        ("true", True),
        ("~", None),
        ("0777", 511),
        ("0o17", 15),
        ("0x10", 16),
        ("-0b11", -3),
        ("1_000", 1000),
        ("08", 8.0),
        ("1e3", 1000.0),
        ("+.inf", float("inf")),
        ("1.2.3", "1.2.3"),
    ],
)
def test_plain_scalars_are_read_as_go_does(text: str, value: Any) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@given(st.text(alphabet="ab$ {}:-?+", max_size=30))
def test_doubled_dollars_are_plain_text(text: str) -> None:
    assert substitute(text.replace("$", "$$"), VARIABLES) == text


# Expressions together with what they mean.
PLAIN = st.text(alphabet="ab: -?+.", max_size=5).map(lambda text: (text, text))


def variable(inner: Any) -> Any:
    """${NAME<operator><inner>} for every name and operator that cannot fail."""

    def made(name: str, operator: str, rest: tuple[str, str]) -> tuple[str, str]:
        value = VARIABLES.get(name)
        given_value = value is not None and (value != "" or ":" not in operator)
        meant = (rest[1] if given_value else "") if "+" in operator else (value or "") if given_value else rest[1]
        return "${" + name + operator + rest[0] + "}", meant

    return st.builds(made, st.sampled_from(NAMES), st.sampled_from([":-", "-", ":+", "+"]), inner)


EXPRESSIONS = st.recursive(
    PLAIN | st.sampled_from([("${SET}", "value"), ("$SET", "value"), ("$$", "$"), ("$1", "$1"), ("${A}", "")]),
    lambda inner: (
        variable(inner)
        | st.tuples(inner, inner).map(lambda pair: (pair[0][0] + " " + pair[1][0], pair[0][1] + " " + pair[1][1]))
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_interpolation_means_what_the_grammar_says(expression: tuple[str, str]) -> None:
    text, meant = expression
    assert substitute(text, VARIABLES) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("${PORT-:2283:2283}", ":2283:2283"),
        ("${A:-${B:-c}}", "c"),
        ("$(cmd) [ $? ] $1", "$(cmd) [ $? ] $1"),
        ("${SET:+x}${A:+y}", "x"),
        ("${EMPTY-x}${EMPTY:-y}", "y"),
    ],
)
def test_interpolation_of_real_traps(text: str, meant: str) -> None:
    assert substitute(text, VARIABLES) == meant


@pytest.mark.parametrize(
    "text", ["${", "${}", "${1}", "${A", "${A!b}", "${A:?}", "${A?why}", "${A b}", "${A:-" * 30 + "}" * 30]
)
def test_interpolation_that_is_refused(text: str) -> None:
    with pytest.raises(InterpolationError):
        substitute(text, VARIABLES)


def test_keys_are_not_interpolated_and_unset_variables_are_told() -> None:
    normal = loaded("services: {web: {image: 'a${TAG}', environment: {'$TAG': '${OTHER}x'}}}", {"TAG": None})
    assert normal["services"]["web"]["environment"] == {"$TAG": "x"}
    assert normal.warnings == ["variables not set, read as empty: OTHER, TAG"]


def test_variables_are_read_as_numbers_and_booleans_where_they_stand_for_them() -> None:
    normal = loaded("services: {web: {image: a, tty: '${T}', deploy: {replicas: '${N}'}}}", {"T": "yes", "N": 3})
    assert (normal["services"]["web"]["tty"], normal["services"]["web"]["deploy"]["replicas"]) == (True, 3)


TEXTS = st.text(alphabet="abc=: /", max_size=6)


@given(st.dictionaries(st.text(alphabet="ABC_", min_size=1, max_size=3), TEXTS, max_size=4))
def test_list_and_map_forms_mean_the_same(values: dict[str, str]) -> None:
    pairs = [f"{name}={text}" for name, text in values.items()]
    for key in ("environment", "labels"):
        assert service(**{key: pairs}) == service(**{key: values})


@given(st.integers(1, 65535), st.integers(1, 65535), st.sampled_from(["tcp", "udp"]))
@settings(max_examples=20)
def test_short_and_long_ports_mean_the_same(published: int, target: int, protocol: str) -> None:
    long = {"published": published, "target": target, "protocol": protocol, "mode": "ingress"}
    assert service(ports=[f"{published}:{target}/{protocol}"]) == service(ports=[long])
    assert service(ports=[{**long, "published": str(published)}]) == service(ports=[long])


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("data:/x", {"type": "volume", "source": "data", "target": "/x"}),
        ("/a:/x:ro", {"type": "bind", "source": "/a", "target": "/x", "read_only": True}),
        ("/a:/x:rshared", {"type": "bind", "source": "/a", "target": "/x", "bind": {"propagation": "rshared"}}),
        (
            "data:/x:nocopy,ro",
            {"type": "volume", "source": "data", "target": "/x", "read_only": True, "volume": {"nocopy": True}},
        ),
        ("/x", {"type": "volume", "target": "/x"}),
        ("v:/x", {"type": "volume", "source": "v", "target": "/x"}),
    ],
)
def test_short_and_long_mounts_mean_the_same(short: str, long: dict[str, Any]) -> None:
    assert service(volumes=[short]) == service(volumes=[long])


def test_depends_on_forms() -> None:
    assert service(depends_on=["db"]) == service(depends_on={"db": {"condition": "service_started"}})
    assert service(depends_on={"db": {"condition": "service_healthy"}})["depends_on"] == {
        "db": {"condition": "service_healthy"}
    }


WHOLE = {
    "image": "a",
    "command": ["x"],
    "environment": {"A": "1", "B": "2"},
    "labels": {"c": "d"},
    "volumes": [{"type": "volume", "source": "data", "target": "/x"}],
    "ports": [{"mode": "ingress", "target": 80, "published": 80, "protocol": "tcp"}],
    "networks": {"default": None},
    "ulimits": {"nofile": 5},
    "logging": {"driver": "json-file"},
    "deploy": {"replicas": 2, "labels": {"e": "f"}, "placement": {"max_replicas_per_node": 1}},
}


@given(st.sets(st.sampled_from(sorted(WHOLE))))
def test_a_file_split_in_two_and_merged_is_the_whole(first: set[str]) -> None:
    parts = [{key: WHOLE[key] for key in WHOLE if (key in first) == side} for side in (True, False)]
    documents = [{"services": {"web": part}} for part in parts]
    assert merge(documents[0], documents[1]) == {"services": {"web": WHOLE}}


def test_merging_nothing_changes_nothing() -> None:
    whole = {"services": {"web": WHOLE}, "volumes": {"data": {}}}
    assert merge(whole, {}) == merge({}, whole) == merge(whole, {"services": {}}) == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        ('sh -c "a \\ b"', ["sh", "-c", "a  b"]),
        ("'a \\ b'", ["a \\ b"]),
        ('a"b"c ""', ["abc", ""]),
    ],
)
def test_commands_are_split_as_docker_does(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a:1",
        "team/a",
        "localhost/a",
        "reg:5000/team/a:1.8",
        "a@sha256:" + "0" * 64,
        "reg.example/a_b/c--d:X",
        "[::1]:5000/a",
    ],
)
def test_images_that_are_references(text: str) -> None:
    assert image_mistake(text) is None


def test_warnings_of_what_has_no_effect() -> None:
    text = """
services:
  web:
    image: a
    container_name: x
    volumes: ["./pages:/pages", "data:/d:z"]
    configs: [{source: c, mode: 444}]
    deploy: {restart_policy: {max_attempts: 3}}
volumes: {data: }
configs: {c: {content: x}}
"""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "stack.yml"
        path.write_text(text, encoding="utf-8")
        warnings = compile_services("s", load(path), directory)["warnings"]
    for part in ("container_name", "nothing is copied", "option z", "write 0444", "max_attempts has no effect"):
        assert any(part in line for line in warnings), (part, warnings)


def test_a_problem_in_an_overlay_names_the_overlay(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("services: {web: {image: a}}", encoding="utf-8")
    (tmp_path / "b.yml").write_text("services:\n  web:\n    ports: ['80:80', '80:81']\n", encoding="utf-8")
    with pytest.raises(StowageError) as caught:
        compile_services("s", load([tmp_path / "a.yml", tmp_path / "b.yml"]), str(tmp_path))
    assert f"{tmp_path}/b.yml:3:22 services.web.ports[1]" in [p.place for p in caught.value.problems]


def test_every_key_and_value_has_its_place() -> None:
    document, problems = parse("f", b"a:\n  - b: 1\n    c: {d: e}\n")
    assert not problems
    assert document.marks[("a", 0, "c", "d")] == (3, 12)
    assert document.key_marks[("a", 0, "c", "d")] == (3, 9)
