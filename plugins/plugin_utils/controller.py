# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller-side glue shared by the action plugins: inventory in, refusals out, the run's files."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets as random
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.stowage.fleet.plugins.module_utils import rollout, secrets, spec, storage
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.fleet import build_fleet
from ansible_collections.stowage.fleet.plugins.module_utils.network import fixed, reach
from ansible_collections.stowage.fleet.plugins.plugin_utils import identity, sources, stored, vaulted

GROUPS = ("stowage_nodes", "stowage_ingress")
HOST_VARIABLES = (
    "stowage_labels",
    "stowage_role",
    "stowage_availability",
    "stowage_reserved",
    "stowage_taints",
    "stowage_resources",
    "stowage_storage",
    "stowage_address",
    "stowage_fabrics",
    "stowage_uplinks",
    "ansible_host",
)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn a StowageError of the pure layer into a failed task with every problem on its own line."""
    try:
        yield
    except StowageError as error:
        raise AnsibleActionFail(
            f"{len(error.problems)} problem(s), nothing was changed by this step:\n{error}",
            result={"problems": [problem.as_dict() for problem in error.problems]},
        ) from error


def fleet_of(task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """The Fleet of the inventory: the whole of it, whatever --limit says."""
    groups, hostvars = task_vars["groups"], task_vars["hostvars"]
    members = {group: list(groups.get(group, ())) for group in GROUPS}
    names = sorted({name for group in GROUPS for name in members[group]})
    hosts = {name: _host_variables(hostvars[name]) for name in names}
    fleet, network = (plain(variable(task_vars, templar, key)) for key in ("stowage_fleet", "stowage_network"))
    built = build_fleet(fleet, network, hosts, members["stowage_nodes"], members["stowage_ingress"])
    settings = plain(variable(task_vars, templar, "stowage_ingress"))
    ingress = discovery.ingress_options(settings, built["domain"], len(members["stowage_ingress"]))
    reflectors = sorted(groups.get("stowage_reflectors", ()))
    return {**built, "ingress": ingress, **({"reflectors": reflectors} if reflectors else {})}


def _host_variables(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(values[key]) for key in HOST_VARIABLES if key in values}


def variable(task_vars: Mapping[str, Any], templar: Any, name: str, default: Any = None) -> Any:
    """An inventory or extra variable, templated."""
    return templar.template(task_vars[name]) if name in task_vars else default


def names(value: Any) -> list[str]:
    """A list of names from a list or from comma-separated text (extra variables are text)."""
    if value is None:
        return []
    parts = value.split(",") if isinstance(value, str) else value
    return sorted({str(part).strip() for part in parts if str(part).strip()})


def truth(value: Any, name: str) -> bool:
    """A boolean from an extra variable; text must say true or false."""
    text = str(value).strip().lower()
    if text in ("true", "false"):
        return text == "true"
    raise StowageError(Problem("STW-OPTION", name, f"{value!r} is neither true nor false", "say true or false"))


def inventory_directory(task_vars: Mapping[str, Any]) -> Path:
    """The directory that the inventory's relative paths start from."""
    return Path(str(task_vars.get("inventory_dir") or os.getcwd()))


def stack_entries(task_vars: Mapping[str, Any], templar: Any) -> dict[str, spec.Stack]:
    """{stack name: its files and options}: stowage_stacks, or every stacks/*.yml beside the inventory."""
    base = inventory_directory(task_vars)
    stated = plain(variable(task_vars, templar, "stowage_stacks"))
    if stated is None:
        found = sorted((base / "stacks").glob("*.y*ml"))
        stated = {path.stem: [str(path)] for path in found}
    lock = base / spec.LOCK
    baked = spec.locked_images(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    entries = spec.stacks(stated, plain(variable(task_vars, templar, "stowage_profiles")))
    values = spec.template_values(plain(variable(task_vars, templar, "stowage_config_values", {})))
    return {
        name: entry._replace(
            files=tuple(str(base / path) for path in entry.files),
            env_files=tuple(str(base / path) for path in entry.env_files),
            options=entry.options._replace(
                configs=tuple((name, str(base / path)) for name, path in entry.options.configs),
                secrets=tuple(
                    (name, secrets.sops.placed(path, str(base)) if secrets.refers(path) else str(base / path))
                    for name, path in entry.options.secrets
                ),
                values=values,
                baked=baked,
            ),
        )
        for name, entry in entries.items()
    }


def loaded_stack(entry: spec.Stack, env: Mapping[str, Any]) -> Any:
    """A stack's normal form; StowageError with every mistake."""
    variables = spec.stack_variables(entry, list(entry.files), list(entry.env_files), env)
    return spec.load(list(entry.files), variables, entry.options)


def compiled_stacks(
    fleet: Mapping[str, Any], task_vars: Mapping[str, Any], templar: Any, session: stored.Session | None = None
) -> dict[str, Any]:
    """stated_stacks() with what stores of secrets and of configuration have now.

    session: of an action that goes on to ask the store. Raises one StowageError with the mistakes of every stack.
    """
    whole, containers = stated_stacks(fleet, task_vars, templar), partial(stored.observed, task_vars)
    with contextlib.closing(session_of(task_vars, templar)) as own:
        made = (session or own).fill_in(whole, fleet["name"], containers)
        return sources.fill_in(made, session or own, vaulted.opener(templar), containers)


def stated_stacks(fleet: Mapping[str, Any], task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """All stacks of the inventory, loaded and compiled: {"services", "files", "warnings", "stacks"}; no store is asked.

    Raises one StowageError with the mistakes of every stack.
    """
    key, opened = str(variable(task_vars, templar, "stowage_secrets_key", "") or ""), vaulted.opener(templar)
    env = plain(variable(task_vars, templar, "stowage_env", {}))
    whole: dict[str, Any] = {"services": [], "files": {}, "warnings": [], "stacks": []}
    problems: list[Problem] = []
    for stack, entry in sorted(stack_entries(task_vars, templar).items()):

        def secret_digest(stack: str, name: str, value: bytes) -> str:
            return secrets.digest(fleet["name"], stack, name, opened(name, value), key)

        try:
            normal = loaded_stack(entry, env)
            made = spec.compile_services(stack, normal, os.path.dirname(entry.files[0]), secret_digest=secret_digest)
        except StowageError as error:
            problems += error.problems
            continue
        taken = {service["name"]: service["stack"] for service in whole["services"]}
        for service in made["services"]:
            if service["name"] in taken:
                place = f"{stack}: service {service['name']}"
                reason = f"stack {taken[service['name']]} already has a service of this full name"
                problems.append(Problem("STW-NAME-COLLIDE", place, reason, "rename one of them"))
        whole["services"] += made["services"]
        whole["files"].update(made["files"])
        whole["warnings"] += made["warnings"]
        whole["stacks"].append(stack)
    classes = storage.read_classes(plain(variable(task_vars, templar, "stowage_storage_classes")))
    whole["services"], misused = storage.place_volumes(whole["services"], classes, fleet["name"])
    unknown = [] if problems else reach.problems(whole["services"])  # a stack that is not read lacks its services
    raise_all([*problems, *misused, *fixed.problems(whole["services"], fleet), *unknown])
    return whole


def session_of(task_vars: Mapping[str, Any], templar: Any) -> stored.Session:
    """What may be asked of the fleet's store of secrets; nothing is asked yet."""
    key = str(variable(task_vars, templar, "stowage_secrets_key", "") or "")
    return stored.Session(plain(variable(task_vars, templar, "stowage_vault")), key)


def observations_of(task_vars: Mapping[str, Any], fleet: Mapping[str, Any], register: str) -> dict[str, Any]:
    """{node: Observation} from the registered results of host_state; hosts that gave none are left out.

    Read raw: what a host said is never templated.
    """
    hostvars = task_vars["hostvars"]
    found = {}
    for node in fleet["nodes"]:
        result = hostvars.raw_get(node["name"]).get(register)
        observation = result.get("observation") if isinstance(result, Mapping) else None
        if observation:
            found[node["name"]] = plain(observation)
    return found


def endpoint_share(
    plan: Mapping[str, Any], tasks: list[dict[str, Any]], node: str, cache: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The endpoints share of one node of a plan, for the tasks that serve. One cache serves all nodes of one moment."""
    target = {"name": node, **plan["nodes"][node]}
    kept: dict[str, Any] = {} if cache is None else cache
    made = discovery.share(list(plan["services"].values()), tasks, target, plan["fleet"]["ingress"], kept)
    return {**made, "policy": policy_share(plan, tasks, node, kept)}


def policy_share(
    plan: Mapping[str, Any], tasks: list[dict[str, Any]], node: str, cache: dict[str, Any]
) -> dict[str, str]:
    """One node's policy while a plan is carried out: of these serving tasks, and of all that runs or is about to."""
    members = plan.get("members", ())
    return discovery.policy_share(plan["services"].values(), tasks, node, cache, members)


def endpoint_digests(
    fleet: Mapping[str, Any], services: list[dict[str, Any]], tasks: list[dict[str, Any]]
) -> dict[str, str]:
    """{node: digest of the endpoints these tasks mean for it}."""
    part = {
        "nodes": {node["name"]: {"ingress": node["ingress"], "address": node["address"]} for node in fleet["nodes"]},
        "services": {service["name"]: service for service in services},
        "fleet": {"ingress": fleet["ingress"]},
    }
    cache: dict[str, Any] = {}
    return {node: discovery.share_digest(endpoint_share(part, tasks, node, cache)) for node in part["nodes"]}


def new_run(base: str | Path) -> Path:
    """The directory of a new run below base, named by the run's identity: its time, then six hex digits."""
    return Path(base) / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{random.token_hex(3)}"


def write_run(directory: Path, takeover: Mapping[str, str], **more: Any) -> None:
    """Write down who works in this run, and which dead runs' locks do not count; run_arguments() reads it."""
    who = {"id": directory.name, "holder": identity.holder(), "controller": identity.controller()}
    write_json(directory / "run.json", {"run": who, "takeover": dict(takeover), **more})


def unwritable(directory: Path, error: OSError) -> StowageError:
    """That the records of a run cannot be written."""
    fix = "give a writable directory with -e stowage_run_dir=..."
    return StowageError(Problem("STW-RUN", str(directory), f"cannot be written ({error})", fix))


def judged(module: str, result: Mapping[str, Any], node: str, changes: bool) -> dict[str, Any]:
    """A host module's result; a crash as its one problem. changes: whether it may have changed the host by then."""
    if "problems" in result or result.get("unreachable"):
        return dict(result)
    text = str(result.get("msg") or result.get("module_stderr") or "no result")[-300:]
    problem = Problem("STW-MODULE", f"host {node}", f"{module} failed: {text}", "see -vvv")
    return {"changed": changes, "problems": [problem.as_dict()]}


def results_of(task_vars: Mapping[str, Any], register: str) -> dict[str, Any]:
    """{host: its registered result}, raw: what a host said is never templated."""
    found = {}
    for host in task_vars["ansible_play_hosts_all"]:
        result = task_vars["hostvars"].raw_get(host).get(register)
        if isinstance(result, Mapping):
            found[host] = plain({key: value for key, value in result.items() if not key.startswith("_ansible")})
    return found


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def read_json(path: Path) -> Any:
    """The value of a JSON file; None if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def endpoint_problems(fleet: Mapping[str, Any], services: list[dict[str, Any]]) -> list[Problem]:
    """Mistakes in routing labels, before any host is touched."""
    return discovery.check(services, fleet["ingress"])


def steps_of(directory: Path, plan: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    """The steps of a run's part: the plan's, the rollback's, or the one that gives the locks back."""
    if part == "release":
        touched = sorted({node for step in plan["steps"] for node in step["hosts"]})
        release = {"id": 0, "phase": "release", "wave": 0, "delay": 0.0, "hosts": {node: {} for node in touched}}
        return [release]
    return list(plan["steps"] if part == "plan" else read_json(directory / "rollback.json"))


def step_of(directory: Path, plan: Mapping[str, Any], part: str, step: int) -> dict[str, Any]:
    """One step of a run's part."""
    return steps_of(directory, plan, part)[step]


def result_path(directory: Path, part: str, step: int, node: str) -> Path:
    """Where a host's result of a step is kept."""
    return directory / "results" / f"{part}-{step}-{node}.json"


def takeovers(observations: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """{node: the run whose lock does not count, because its controller is proved to be gone}.

    Raises StowageError (STW-LOCKED) naming every host that a living run holds.
    """
    found, problems = {}, []
    for node, seen in observations.items():
        lock = seen.get("lock")
        if lock and identity.dead(lock.get("controller")):
            found[node] = lock["run"]
        elif lock:
            reason = f"is locked by {lock['holder']}, run {lock['run']}"
            fix = "wait for that run; if it is gone for good, stowage.fleet.unlock"
            problems.append(Problem("STW-LOCKED", f"host {node}", reason, fix))
    raise_all(problems)
    return found


def run_arguments(directory: Path, node: str) -> dict[str, Any]:
    """host_apply's arguments run and takeover."""
    started = read_json(directory / "run.json")
    takeover = started["takeover"].get(node)
    return {"run": started["run"], **({"takeover": takeover} if takeover else {})}


def kept_files(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    """Digests of the configs and secrets that the plan's services mount."""
    kept: dict[str, list[str]] = {"configs": [], "secrets": []}
    for digest, entry in plan["files"].items():
        kept["secrets" if entry["kind"] == "secret" else "configs"].append(digest)
    return kept


def record_releases(directory: Path, plan: Mapping[str, Any]) -> None:
    """Note what runs now that a plan was carried out: the hosts keep it when they give their locks back."""
    run = read_json(directory / "run.json")["run"]["id"]
    write_json(directory / "releases.json", rollout.records(plan, run, _deployed))


def _deployed(digest: str, entry: Mapping[str, Any]) -> bytes | None:
    """A config as it was deployed; None if its file has changed since."""
    try:
        value = content_of(entry)
    except OSError:
        return None
    return value if spec.identity(entry, value) == digest else None


def content_of(entry: Mapping[str, Any]) -> bytes:
    """The content of a config or secret, by its entry in a plan's files. Raises OSError if its file cannot be read."""
    if "base64" in entry:
        return base64.b64decode(entry["base64"])
    return str(entry["content"]).encode("utf-8") if "content" in entry else Path(entry["path"]).read_bytes()


def releases_to_keep(directory: Path, node: str) -> list[dict[str, str]]:
    """The records that a host shall keep at the end of a run; none after a run that did not end well."""
    made = read_json(directory / "releases.json") or []
    known = read_json(directory / "run.json")["recorded"].get(node, {})
    return rollout.to_keep(made, known)


def aborted_to_keep(directory: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """{aborted: ...} that a host shall remember at the end of a run; {} after one that did not end well."""
    ended_well = (directory / "releases.json").exists()
    return {"aborted": plan["aborted"]} if ended_well and "aborted" in plan else {}


def clean_runs(directory: Path, keep: int = 20) -> None:
    """Remove the records of all but the newest runs."""
    for old in sorted(path for path in directory.parent.iterdir() if (path / "run.json").exists())[:-keep]:
        shutil.rmtree(old)
