# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sample files of STOWAGE_DATA: never a traceback, and the same normal form as `docker stack config` prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load
from ansible_collections.stowage.fleet.plugins.module_utils.spec.reading import read

pytestmark = pytest.mark.corpus
ROOT = Path(__file__).parents[3]
DATA = (ROOT / os.environ.get("STOWAGE_DATA", "../shared/data")).resolve() / "workloads"
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")

# {file: {path: why}} where we mean to differ from `docker stack config`.
FULL_EXAMPLE = "docker__cli/cli/compose/loader/full-example.yml"
KOMPOSE_FULL = "kubernetes__kompose/script/test/fixtures/unused/v3/docker-compose-full-example.yaml"
DIFFERENCES = {
    FULL_EXAMPLE: {
        "configs.config4": "Docker takes a missing file for the directory; we leave it missing and refuse its use",
        "secrets.secret4": "as config4",
        "services.foo.ports": "an address makes the port one of the host itself; Docker drops it with a warning",
        "services.foo.build": "kept as written: nothing is built",
        "volumes.cluster-volume": "an extension key, kept as written: cluster volumes are refused",
    },
    KOMPOSE_FULL: {"services.foo.ports": "as above"},
}
# Files that Docker accepts and load refuses, with the keys it names: each would be ignored in silence.
REFUSED = {
    FULL_EXAMPLE,
    KOMPOSE_FULL,
}


def rows(kind: str) -> list[list[str]]:
    """The lines of a set's ORACLE.tsv: file, verdict of `docker stack config`, and more."""
    table = DATA / kind / "ORACLE.tsv"
    if not table.exists():
        pytest.skip(f"no sample data at {DATA} (STOWAGE_DATA)")
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [line.split("\t") for line in lines[1:]]


def variables_of(path: Path) -> dict[str, str]:
    """Every variable of a file set to 1, as the verdicts were made."""
    return dict.fromkeys(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")), "1")


@pytest.mark.parametrize("kind", ["swarm", "compose"])
def test_every_file_compiles_or_is_refused(kind: str) -> None:
    compiled = refused = 0
    for name, *_verdicts in rows(kind):
        path = DATA / kind / name
        try:
            normal = load(path, variables_of(path))
            made = compile_services("s", normal, str(path.parent), lambda _path: b"", lambda *_names: "0")
        except StowageError as error:
            wrong = [problem for problem in error.problems if not str(problem).isprintable()]
            refused += 1
            if wrong or not error.problems:
                pytest.fail(f"{name}: {wrong}")
            continue
        assert plain(made)["services"] or not normal["services"]
        compiled += 1
    assert compiled > refused / 3, (compiled, refused)


def printed(path: Path) -> Any:
    """What `docker stack config` prints for a file."""
    environment = {**variables_of(path), "PATH": os.environ["PATH"], "HOME": str(Path.home())}
    command = ["docker", "stack", "config", "-c", str(path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return yaml.safe_load(result.stdout)


def differences(made: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ."""
    if isinstance(made, dict) and isinstance(wanted, dict):
        for name in sorted({*made, *wanted}):
            yield from differences(made.get(name, "nothing"), wanted.get(name, "nothing"), f"{path}.{name}".lstrip("."))
    elif made != wanted:
        yield path


def test_normal_form_is_that_of_docker_stack_config() -> None:
    accepted = [name for name, verdict, *_rest in rows("swarm") if verdict == "accept"]
    if not shutil.which("docker"):
        pytest.skip("no docker command to compare with")
    with ThreadPoolExecutor(2) as pool:
        wanted = dict(zip(accepted, pool.map(printed, [DATA / "swarm" / name for name in accepted])))
    unexpected, refused = {}, set()
    for name in accepted:
        path = DATA / "swarm" / name
        normal, problems = read(path, variables_of(path))
        refused |= {name} if problems else set()
        known = DIFFERENCES.get(name, {})
        found = [at for at in differences(plain(normal), wanted[name]) if not any(at.startswith(k) for k in known)]
        if found:
            unexpected[name] = found
    assert not unexpected
    assert refused == REFUSED
