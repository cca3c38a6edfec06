# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sample stack files of STOWAGE_DATA against `docker stack config`: the same normal form, or a refusal of ours.

Intended differences and listed refusals are in stack_files.yml. SEED=n and MUTATIONS=n vary the mutations.
"""

from __future__ import annotations

import copy
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load, stack_file
from ansible_collections.stowage.fleet.plugins.module_utils.spec.reading import read

ROOT = Path(__file__).parents[2]
DATA = (ROOT / os.environ.get("STOWAGE_DATA", "../shared/data")).resolve() / "workloads"
LISTS = yaml.safe_load((Path(__file__).parent / "stack_files.yml").read_text(encoding="utf-8"))
SEED, MUTATIONS = int(os.environ.get("SEED", "1")), int(os.environ.get("MUTATIONS", "5000"))
NOTHING = "(nothing)"
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no sample data at {DATA} (STOWAGE_DATA)"),
]
needs_docker = pytest.mark.skipif(not shutil.which("docker"), reason="no docker command to compare with")


class Sample(NamedTuple):
    """A sample file and whether `docker stack config` accepts it."""

    path: Path
    accepted: bool


@cache
def samples(kind: str) -> list[Sample]:
    """The files of a set, from its ORACLE.tsv."""
    lines = (DATA / kind / "ORACLE.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    return [Sample(DATA / kind / row[0], row[1] == "accept") for row in rows]


def variables_of(path: Path) -> dict[str, str]:
    """Every variable of a file set to 1, as the verdicts were made."""
    return dict.fromkeys(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")), "1")


def printed(path: Path, variables: dict[str, str]) -> Any:
    """What `docker stack config` prints for a file; None if it refuses it."""
    environment = {**variables, "PATH": os.environ["PATH"], "HOME": str(Path.home())}
    command = ["docker", "stack", "config", "-c", str(path)]
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    return None if result.returncode else yaml.safe_load(result.stdout)


def differences(made: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ, as deep as both go."""
    kinds = {type(made), type(wanted)} - {str if NOTHING in (made, wanted) else None}
    if kinds <= {dict} and dict in kinds:
        ours, theirs = ({} if value == NOTHING else value for value in (made, wanted))
        for name in sorted({*ours, *theirs}):
            yield from differences(ours.get(name, NOTHING), theirs.get(name, NOTHING), f"{path}.{name}".lstrip("."))
    elif isinstance(made, list) and isinstance(wanted, list) and len(made) == len(wanted):
        for index, (one, other) in enumerate(zip(made, wanted)):
            yield from differences(one, other, f"{path}[{index}]")
    elif made != wanted:
        yield path


def intended(path: Path, at: str) -> bool:
    """True if a difference is on the list."""
    return any(
        re.fullmatch(row["path"], at) and str(path).endswith(row.get("file", "")) for row in LISTS["differences"]
    )


def listed(problem: Problem, rows: list[dict[str, str]]) -> bool:
    """True if a refusal is on a list."""
    return any(problem.code == row["code"] and row.get("contains", "") in str(problem) for row in rows)


def compiled(path: Path, variables: dict[str, str]) -> list[Problem]:
    """Why a file is refused when it is loaded and compiled; [] if it is not."""
    try:
        normal = load(path, variables)
        compile_services("s", normal, str(path.parent), lambda _path: b"", lambda *_names: "0")
    except StowageError as error:
        return error.problems
    return []


@needs_docker
@pytest.mark.parametrize("kind", ["swarm", "compose"])
def test_the_normal_form_is_docker_s(kind: str) -> None:
    paths = [sample.path for sample in samples(kind) if sample.accepted]
    with ThreadPoolExecutor(2) as pool:
        wanted = list(pool.map(lambda path: printed(path, variables_of(path)), paths))
    unexpected: dict[str, list[str]] = {}
    equal = 0
    for path, value in zip(paths, wanted):
        normal, problems = read(path, variables_of(path))
        found = [str(problem) for problem in problems if not listed(problem, LISTS["refused"])]
        if value is not None and not problems:
            found += [at for at in differences(plain(normal), value) if not intended(path, at)]
            equal += 1
        unexpected.update({str(path): found} if found else {})
    assert not unexpected
    assert equal > 0.95 * len(paths)


@pytest.mark.parametrize(("kind", "least"), [("swarm", 0.4), ("compose", 0.3)])
def test_files_compile_or_are_refused_for_a_listed_reason(kind: str, least: float) -> None:
    unlisted: dict[str, list[str]] = {}
    good = 0
    for path in (sample.path for sample in samples(kind)):
        problems = compiled(path, variables_of(path))
        good += not problems
        found = [str(problem) for problem in problems if not listed(problem, LISTS["reasons"])]
        unlisted.update({str(path): found} if found else {})
        assert all(p.place and p.reason and str(p).isprintable() for p in problems), problems
    total = len(samples(kind))
    if kind == "compose":
        assert len(unlisted) <= 0.05 * total, unlisted
    assert good >= least * total, (good, total)


@needs_docker
def test_what_is_written_back_is_the_same_and_docker_takes_it(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {}
    written: list[Path] = []
    for index, path in enumerate(sample.path for kind in ("swarm", "compose") for sample in samples(kind)):
        try:
            normal = load(path, variables_of(path))
        except StowageError:
            continue
        made = stack_file(normal)
        directory = tmp_path / str(index)
        for name, text in {"stack.yml": made["text"], **made["files"]}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
        written.append(directory / "stack.yml")
        found = list(differences(comparable(load(written[-1])), comparable(normal)))
        wrong.update({str(path): found} if found else {})
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda path: printed(path, {}), written))
    wrong.update({str(path): "refused by Docker" for path, value in zip(written, taken) if value is None})
    assert not wrong
    assert len(written) > 0.8 * sum(len(samples(kind)) for kind in ("swarm", "compose"))


def comparable(normal: Any) -> Any:
    """The normal form without what is not written back; content of configs read; each port once."""
    value = {key: item for key, item in plain(normal).items() if key not in ("version", "name")}
    for service in value.get("services", {}).values():
        service.pop("env_file", None)
        ports = service.get("ports", [])
        service.update({"ports": [p for i, p in enumerate(ports) if p not in ports[:i]]} if ports else {})
    for config in value.get("configs", {}).values():
        if isinstance(config, dict) and Path(config.get("file", "/nowhere")).is_file():
            config["content"] = Path(config.pop("file")).read_text(encoding="utf-8")
    return value


def mutated(value: Any, dice: random.Random) -> Any:
    """The value with one key dropped, one type changed, or one value nested deep."""
    value = copy.deepcopy(value)
    places = list(inner_places(value))
    if not places:
        return value
    holder, key = dice.choice(places)
    kind = dice.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = dice.choice([None, True, -1, 2**70, 1.5, "", "${", "x" * 300, [], {}, [{}], {"a": None}, "\0"])
    elif kind == 2:
        for _level in range(dice.choice([1, 5, 70])):
            holder[key] = [holder[key]] if dice.random() < 0.5 else {"a": holder[key]}
    else:
        other, name = dice.choice(places)
        holder[key] = copy.deepcopy(other[name])
    return value


def inner_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of everything inside a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from inner_places(value[key])


def test_no_mutation_gives_a_traceback(tmp_path: Path) -> None:
    paths = [sample.path for kind in ("swarm", "compose") for sample in samples(kind)]
    values = {}
    for path in paths:
        try:
            values[path] = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, UnicodeDecodeError):
            continue
    dice, refused = random.Random(SEED), 0
    trial = tmp_path / "stack.yml"
    for number in range(MUTATIONS):
        path = dice.choice(paths)
        data = path.read_bytes()
        if number % 5 == 0 or path not in values:
            trial.write_bytes(data[: dice.randrange(len(data) + 1)])
        else:
            text = yaml.safe_dump(mutated(values[path], dice), allow_unicode=True, sort_keys=False)
            trial.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            problems = compiled(trial, variables_of(path))
        except Exception as error:
            error.add_note(f"mutation {number} of {path}, SEED={SEED}: {trial.read_text(errors='replace')[:2000]}")
            raise
        refused += bool(problems)
        told = [str(problem) for problem in problems]
        assert all(text.isprintable() and text.startswith("STW-") for text in told), (number, path, SEED, told)
    assert 0 < refused < MUTATIONS


def test_files_load_quickly() -> None:
    """The largest in 0.3 s and 100 in 5 s on the reference machine; three times that is a slow one."""
    paths = sorted((s.path for kind in ("swarm", "compose") for s in samples(kind)), key=lambda p: -p.stat().st_size)
    began = time.perf_counter()
    for index, path in enumerate(paths[:100]):
        read(path, variables_of(path))
        if not index:
            assert time.perf_counter() - began < 0.9
    assert time.perf_counter() - began < 15
