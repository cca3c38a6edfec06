# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is a running container what the stack file says? The table is tests/cases/adopt/differences.yml."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.engine import comparison, comparison_keys, payload

CASES = Path(__file__).parents[2] / "cases" / "adopt"
MATCH = json.loads((CASES / "match.json").read_text())
ROWS = yaml.safe_load((CASES / "differences.yml").read_text())
LOG = {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
CONTEXT = {"fleet": "lab", "domain": "fleet", "gateway": "10.128.1.1", "api": "1.41"}
TASK = {"name": "x", "stack": "shop", "service": "shop_web", "slot": "1", "node": "n1", "ip": "0.0.0.0", "spec": "a"}
USUAL = "asks Docker and the host for names, not the fleet"


def patched(base, changes):
    """A copy of base with {path with dots: value} set; ! stands for a dot in a key."""
    made = copy.deepcopy(base)
    for path, value in (changes or {}).items():
        *parents, last = [part.replace("!", ".") for part in path.split(".")]
        place = made
        for part in parents:
            place = place[part]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return made


def compared(row):
    template = patched(MATCH["template"], row.get("template"))
    service = {"template": template, "ports": [], **(row.get("service") or {})}
    body = payload.container(template, TASK, CONTEXT)["body"]
    running, image = patched(MATCH["running"], row.get("running")), patched(MATCH["image"], row.get("image"))
    return comparison.compare(service, body, running, image, LOG)


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_differences(row):
    found = [f"{one['kind']}: {one['words']}" for one in compared(row)]
    usual = f"kept: {USUAL}"
    if usual not in row["expect"] and usual in found:
        found.remove(usual)
    assert sorted(found) == sorted(row["expect"])
    assert "geheim" not in json.dumps(compared(row))


def test_an_image_that_is_not_there_is_a_difference():
    service = {"template": MATCH["template"], "ports": []}
    body = payload.container(MATCH["template"], TASK, CONTEXT)["body"]
    words = [one["words"] for one in comparison.compare(service, body, MATCH["running"], None, LOG)]
    assert words[0] == "image: stowage/app:1.0 is not on this host; it runs stowage/app:1.0"


def test_what_is_changed_while_it_runs_comes_with_what_to_post():
    found = compared({"template": {"limits": {"cpus": 0.5, "memory": 67108864}}})
    update = {key: value for one in found for key, value in one["update"].items()}
    assert update == {"NanoCpus": 500000000, "Memory": 67108864, "MemorySwap": 134217728}


@pytest.mark.parametrize("part", ["Config", "HostConfig"])
def test_every_key_is_compared_or_has_a_reason_not_to_be(part):
    """Of a recorded Engine: no key may be passed over in silence."""
    for key in MATCH["running"][part]:
        if key in comparison_keys.IGNORED[part]:
            assert len(comparison_keys.IGNORED[part][key]) > 5
            continue
        odd = {"Labels": {"odd": "1"}, "Env": ["ODD=1"], "Cmd": ["odd"], "Entrypoint": ["odd"], "Hostname": "odd"}
        odd |= {"Healthcheck": {"Test": ["CMD", "odd"]}, "StopTimeout": 77, "MemorySwap": 77}
        odd |= {"LogConfig": {"Type": "odd"}, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 7}}
        odd |= {
            "SecurityOpt": ["odd"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Memory": 77,
            "NanoCpus": 77,
            "CapAdd": ["ODD"],
            "CapDrop": ["ODD"],
        }
        row = {"running": {f"{part}.{key}": odd.get(key, ["odd"])}}
        assert [one for one in compared(row) if one["words"] != USUAL], f"{part}.{key}"
