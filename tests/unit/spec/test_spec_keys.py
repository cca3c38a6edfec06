# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The key table knows every key of Docker's stack schema and of the Compose Specification's (STOWAGE_DATA has them)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.spec import keys

pytestmark = pytest.mark.corpus
ROOT = Path(__file__).parents[3]
SCHEMAS = (ROOT / os.environ.get("STOWAGE_DATA", "../shared/data")).resolve() / "workloads" / "reference"
# Where a definition's keys stand in the table; what is read by a form of its own has no rows below it.
SECTIONS = {
    "service": "services.*",
    "deployment": "services.*.deploy",
    "healthcheck": "services.*.healthcheck",
    "network": "networks.*",
    "volume": "volumes.*",
    "config": "configs.*",
    "secret": "secrets.*",
}
READ_BY_A_FORM = (
    "devices",
    "external",
    "x-cluster-spec",
    "build",
    "depends_on",
    "credential_spec",
    "develop",
    "provider",
    "extends",
    "ulimits",
    "gpus",
    "models",
)


def stated(schema: Any, definitions: dict[str, Any], prefix: str) -> Iterator[str]:
    """Paths of all properties below a schema, in the table's words."""
    for name, item in schema.get("properties", {}).items():
        path = f"{prefix}.{name}".lstrip(".")
        yield path
        if name in READ_BY_A_FORM or name in ("healthcheck", "deploy"):
            continue
        for form in [item, *item.get("oneOf", ()), *item.get("anyOf", ())]:
            yield from stated(form, definitions, path)
            for inner in form.get("patternProperties", {}).values():
                for choice in inner.get("oneOf", ()):
                    yield from stated(choice, definitions, f"{path}.*")
            items = form.get("items", {})
            for choice in [items, *items.get("oneOf", ())] if isinstance(items, dict) else ():
                yield from stated(choice, definitions, f"{path}[]")


@pytest.mark.parametrize(
    "name", ["docker__cli/config_schema_v3.13.json", "compose-spec__compose-spec/compose-spec.json"]
)
def test_every_key_of_the_schema_has_a_row(name: str) -> None:
    path = SCHEMAS / name
    if not path.exists():
        pytest.skip(f"no schemas at {SCHEMAS} (STOWAGE_DATA)")
    schema = json.loads(path.read_text(encoding="utf-8"))
    definitions = schema.get("definitions") or schema["$defs"]
    wanted = set(schema["properties"])
    for definition, prefix in SECTIONS.items():
        wanted |= set(stated(definitions[definition], definitions, prefix))
    known = {key.path for key in keys.KEYS}
    below_a_form = {w for w in wanted for key in keys.KEYS if key.form == "any" and w.startswith(key.path)}
    assert len(wanted) > 100
    assert sorted(wanted - known - below_a_form) == []
