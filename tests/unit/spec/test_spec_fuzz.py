# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever a stack file holds, it loads or is refused with a code: never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load
from ansible_collections.stowage.fleet.plugins.module_utils.spec.keys import children
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.text(max_size=200) | st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_loads_or_is_refused(text: str | bytes) -> None:
    accepted(text)


def accepted(text: str | bytes) -> None:
    """Load and compile; only a StowageError whose problems can be printed may come out."""
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "stack.yml"
            path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
            compile_services("s", load(path), directory)
    except StowageError as error:
        refusal = error
    else:
        return
    assert refusal.problems
    assert all(problem.code.startswith("STW-") and str(problem).isprintable() for problem in refusal.problems)


SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        3.5,
        2**70,
        float("nan"),
        "",
        "a",
        "/a",
        "a:b",
        "/a:/b:ro",
        "80:80",
        "10s",
        "1g",
        "$",
        "${A:-1}",
        "{{.Task.Slot}}",
        "\u0430",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["source", "target", "type", "a", "cpus", "x-b", "file", "name", "condition"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def keyed(prefix: str) -> Any:
    """Mappings with the table's keys and any values."""
    return st.dictionaries(st.sampled_from(sorted(children(prefix))), VALUES, max_size=6)


@given(
    st.fixed_dictionaries(
        {"services": st.dictionaries(st.sampled_from(["a", "b", "B!"]), keyed("services.*") | VALUES, max_size=2)},
        optional={
            name: st.dictionaries(st.just("a"), keyed(f"{name}.*") | VALUES, max_size=1)
            for name in ("networks", "volumes", "configs", "secrets")
        },
    ),
    keyed("services.*.deploy"),
)
@settings(max_examples=300, deadline=None)
def test_any_value_of_any_key_loads_or_is_refused(stack: dict[str, Any], deploy: dict[str, Any]) -> None:
    for item in stack["services"].values():
        if isinstance(item, dict):
            item.setdefault("deploy", deploy)
    accepted(yaml.safe_dump(stack, allow_unicode=True))
