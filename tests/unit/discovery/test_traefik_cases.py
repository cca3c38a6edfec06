# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Golden cases of tests/cases/traefik: labels and tasks in, Traefik's document or the problems out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery

CASES = Path(__file__).parents[2] / "cases" / "traefik"
NAMES = sorted(path.name for path in CASES.iterdir())


def read_case(name):
    """The inputs of a case, completed as the spec room would."""
    case = yaml.safe_load((CASES / name / "input.yml").read_text())
    for service in case["services"]:
        stack, short = service["name"].split("_")
        for key, value in (("stack", stack), ("short", short), ("ports", []), ("aliases", []), ("template", {})):
            service.setdefault(key, value)
    options = discovery.ingress_options(case.get("ingress"), "fleet", case.get("ingress_nodes", 1))
    return case["services"], case.get("tasks", []), options


def without_fence(text):
    """The document without the two fence routers."""
    document = json.loads(text)
    for name in ("stowage-gen", "stowage-ready"):
        del document["http"]["routers"][name]
    return {key: value for key, value in document.items() if value != {"routers": {}}}


@pytest.mark.parametrize("name", NAMES)
def test_case(name):
    """A case holds document.yml (accepted) or problems.txt (refused), never both."""
    services, tasks, options = read_case(name)
    problems = [str(problem) for problem in discovery.check(services, options)]
    expected = CASES / name / "problems.txt"
    if expected.exists():
        assert problems == expected.read_text().splitlines()
        return
    assert problems == []
    made = without_fence(discovery.traefik_file(services, tasks, options)["text"])
    assert made == yaml.safe_load((CASES / name / "document.yml").read_text())
