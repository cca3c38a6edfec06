# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases: what a stack was each time a deploy of it ended well, and how to plan one of them again.

The hosts keep the records (engine.releases); there is no other memory of them. A Record is
    {schema, stack, at: 20261123T091230Z, release: 12 hex, exact: 12 hex, run, services: [Service],
     files: {digest: {kind: config, name, content | base64, template if it is one}}}
`release` names it for people and leaves the digests of secrets out; `exact` covers them. No value of a secret is in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Container, Iterable, Mapping
from typing import Any, Callable, NamedTuple

from ..canonical import digest, dumps
from ..errors import Problem, StowageError, raise_all, show
from ..fleet import owned
from ..fleet.observed import one_shot

SCHEMA = 1
DIGITS = 12
LEAST_DIGITS = 4  # of a release that is named by its beginning
Record = dict[str, Any]
Service = Mapping[str, Any]
Content = Callable[[str, Mapping[str, Any]], "bytes | None"]


class Kept(NamedTuple):
    """A release that is on record: where, and under which file name."""

    stack: str
    release: str
    at: str
    name: str
    nodes: tuple[str, ...]


def records(plan: Mapping[str, Any], run: str, content: Content) -> list[Record]:
    """The Records of a plan that was carried out, one for each of its stacks. run: its id, which begins with the time.

    content(digest, entry of the plan's files) gives a config's bytes, None if they are not what was deployed any more.
    """
    stacks: dict[str, list[dict[str, Any]]] = {}
    unknown = {name for name, one in (plan.get("canaries") or {}).items() if one.get("known") is False}
    untold = {plan["services"][name]["stack"] for name in unknown}  # nobody can say what runs of these
    for service in without_canaries(plan["services"].values()):
        if service["stack"] not in untold:
            stacks.setdefault(service["stack"], []).append(_as_written(service))
    made = []
    for stack, services in sorted(stacks.items()):
        used = {key for one in services for key in _configs(one)}
        files = {key: _kept_file(plan["files"][key], content(key, plan["files"][key])) for key in sorted(used)}
        made.append(
            {
                "schema": SCHEMA,
                "stack": stack,
                "at": run.split("-", maxsplit=1)[0],
                "release": digest([_without_secrets(service) for service in services])[:DIGITS],
                "exact": digest(services)[:DIGITS],
                "run": run,
                "services": services,
                "files": {key: entry for key, entry in files.items() if entry},
            }
        )
    return made


def without_canaries(services: Iterable[Service]) -> list[dict[str, Any]]:
    """Services without canaries, and without what lets those in: they are no part of a release."""
    listed = list(services)
    canaries = {one["name"] for one in listed if one.get("canary")}
    return [_apart(one, canaries) for one in listed if one["name"] not in canaries]


def _apart(service: Service, canaries: Container[str]) -> dict[str, Any]:
    allow = [entry for entry in service.get("allow") or () if entry["from"] not in canaries]
    return {**service, "allow": allow} if len(allow) < len(service.get("allow") or ()) else dict(service)


def _configs(service: Service) -> set[str]:
    """Digests of the configs that a service mounts."""
    stated = {f["digest"] for f in service["template"].get("files", ()) if f["kind"] == "config" and f["digest"]}
    hidden = {f["target"] for f in service["template"].get("files", ()) if f["kind"] == "secret"}
    live = (service.get("live") or {}).get("files", {})
    return stated | {digest for target, digest in live.items() if target not in hidden}


def _as_written(service: Service) -> dict[str, Any]:
    """The Service as its stack file has it: a rollback by hand goes by another policy."""
    written = {key: value for key, value in service.items() if key != "forward"}
    return {**written, "update": service["forward"]} if "forward" in service else written


def _without_secrets(service: Service) -> dict[str, Any]:
    template, stripped = dict(service["template"]), dict(service)
    if template.get("files"):
        template["files"] = [{**f, "digest": ""} if f["kind"] == "secret" else f for f in template["files"]]
    if service.get("live"):
        hidden = {f["target"] for f in template.get("files", ()) if f["kind"] == "secret"}
        files = {target: "" if target in hidden else digest for target, digest in service["live"]["files"].items()}
        stripped["live"] = {**service["live"], "files": files}
    return {**stripped, "template": template}


def _kept_file(entry: Mapping[str, Any], value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    named = {key: entry[key] for key in ("kind", "name", "template") if key in entry}
    try:
        return {**named, "content": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {**named, "base64": base64.b64encode(value).decode("ascii")}


def to_keep(made: Iterable[Record], known: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """What a host shall write: [{stack, name, text}], without what is its newest record already.

    known: the host's own list, as its Observation has it.
    """
    found = []
    for record in made:
        newest = next(iter(known.get(record["stack"], ())), "")
        if not newest.endswith(f"-{record['release']}-{record['exact']}.json"):
            name = f"{record['at']}-{record['release']}-{record['exact']}.json"
            found.append({"stack": record["stack"], "name": name, "text": dumps(record) + "\n"})
    return found


def listing(observations: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Kept]]:
    """{stack: its releases, the newest first}, over all hosts that answered."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for node in sorted(observations):
        for stack, names in (observations[node].get("releases") or {}).items():
            for name in names:
                release = name.split("-")[1]
                found.setdefault((stack, release), {}).setdefault(name, []).append(node)
    kept: dict[str, list[Kept]] = {}
    for (stack, release), named in found.items():
        newest = max(named)
        entry = Kept(stack, release, newest.split("-")[0], newest, tuple(named[newest]))
        kept.setdefault(stack, []).append(entry)
    return {stack: sorted(entries, key=lambda one: one.name, reverse=True) for stack, entries in sorted(kept.items())}


def candidates(kept: Mapping[str, list[Kept]], stack: str, to: str = "") -> list[Kept]:
    """The records that a rollback of a stack needs: every stack's newest, and where it may lead.

    Raises StowageError STW-RELEASE if there is no such release.
    """
    mine = kept.get(stack, [])
    if not mine:
        fix = f"kept are releases of: {', '.join(sorted(kept)) or 'no stack'}; a deploy that ends well keeps one"
        raise StowageError(Problem("STW-RELEASE", f"stack {show(stack)}", "no release of it is kept", fix))
    aims = [_named(mine, stack, to)] if to else mine[1:2]
    return list(dict.fromkeys([*(entries[0] for entries in kept.values()), *aims]))


def _named(mine: list[Kept], stack: str, to: str) -> Kept:
    found = [one for one in mine if one.release.startswith(to)] if len(to) >= LEAST_DIGITS else []
    if len(found) == 1:
        return found[0]
    reason = f"{show(to)} begins {len(found)} of them" if found else f"{show(to)} is not kept"
    known = ", ".join(f"{one.release} of {one.at}" for one in mine)
    raise StowageError(Problem("STW-RELEASE", f"releases of {stack}", reason, f"known: {known}"))


def parse_record(text: str, name: str) -> Record:
    """The Record in a host's file. Raises StowageError STW-RELEASE if it is not one, or not the one its name says."""
    try:
        record = json.loads(text)
        services = record["services"]
        whole = record["schema"] == SCHEMA and digest(services)[:DIGITS] == record["exact"]
        whole = whole and name == f"{record['at']}-{record['release']}-{record['exact']}.json"
        whole = whole and all(service["stack"] == record["stack"] for service in services)
        if whole and all(isinstance(record["files"][key], dict) for key in record["files"]):
            return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    reason = f"record {show(name)} is damaged, or of another version"
    raise StowageError(Problem("STW-RELEASE", "release", reason, "roll back to another release"))


def aim(
    read: Mapping[str, Record],
    kept: Mapping[str, list[Kept]],
    observations: Mapping[str, Mapping[str, Any]],
    stack: str,
    to: str = "",
) -> Record:
    """The Record that a rollback leads to. read: {file name: Record} of candidates().

    Without `to`: the newest release if something else runs (a deploy that was stopped), else the one before it.
    """
    wanted = candidates(kept, stack, to)
    missing = [one for one in wanted if one.name not in read]
    fix = "bring those hosts back, or roll back to another release"
    raise_all(
        Problem("STW-RELEASE", f"release {one.release} of {one.stack}", f"{' '.join(one.nodes)} did not give it", fix)
        for one in missing
    )
    mine = kept[stack]
    if to:
        return read[_named(mine, stack, to).name]
    newest = read[mine[0].name]
    if not _runs(newest, observations):
        return newest
    if len(mine) == 1:
        reason = f"only one release is kept, {mine[0].release}, and it runs"
        raise StowageError(Problem("STW-RELEASE", f"stack {stack}", reason, "there is nothing to go back to"))
    return read[mine[1].name]


def _runs(record: Record, observations: Mapping[str, Mapping[str, Any]]) -> bool:
    """True if every task of the stack that runs is of this release, and every service of it runs."""
    once = {one["name"] for one in record["services"] if one_shot(one)}
    lasting = [one for one in record["services"] if one["name"] not in once and one["replicas"]]
    there = [c for c in owned(observations) if c["stack"] == record["stack"] and c["state"] == "running"]
    running = {(c["service"], c["spec"]) for c in there if c["service"] not in once}
    return running == {(one["name"], digest(one["template"])) for one in lasting}


def restored(
    read: Iterable[Record], target: Record, present: Mapping[str, Any], canaries: Mapping[str, Container[str]]
) -> dict[str, Any]:
    """What is wanted when `target` shall run again: compiled stacks, in the shape that plan() takes.

    read: the newest Record of every stack. present: the stacks as their files are now. canaries: {service: specs of its
    canary that run}. Other stacks stay what they were deployed as, whatever their files say by now, with the canaries
    that run; those without a record are taken from their files. Secrets have their present values. Raises StowageError
    STW-RELEASE.
    """
    newest = {record["stack"]: record for record in sorted(read, key=lambda one: str(one["at"]))}
    stack = target["stack"]
    secret = Secrets(present)
    services, files, problems = [], dict(present["files"]), []
    held = {one["name"]: one for one in present["services"] if _has_canary(one, canaries)}
    for name, record in sorted({**newest, stack: target}.items()):
        files.update(record["files"])
        wanted = _going_back(record) if name == stack else [held.get(one["name"], one) for one in record["services"]]
        for service in wanted:
            made, missing = secret.renewed(service, files) if name == stack else secret.named(service, files)
            services.append(made)
            problems += missing
    raise_all(problems)
    recorded = set(newest) | {stack}
    services += [service for service in present["services"] if service["stack"] not in recorded]
    return {
        "services": services,
        "files": files,
        "warnings": [],
        "stacks": sorted(recorded | set(present["stacks"])),
    }


def _has_canary(service: Service, canaries: Mapping[str, Container[str]]) -> bool:
    """Whether a service of the present stack files is what its canary runs."""
    return bool(service["update"].get("canary")) and digest(service["template"]) in canaries.get(service["name"], ())


def _going_back(target: Record) -> list[dict[str, Any]]:
    """The target's services under their rollback policy."""
    return [{**one, "forward": one["update"], "update": one["rollback"]} for one in target["services"]]


class Secrets:
    """Secrets of the present stack files: values are never kept, so a restored service gets what is there now."""

    def __init__(self, present: Mapping[str, Any]) -> None:
        """Take the stacks as their files are now."""
        self.files = present["files"]
        self.digests = {
            (service["stack"], entry["name"]): _digest_of(service, entry)
            for service in present["services"]
            for entry in service["template"].get("files", ())
            if entry["kind"] == "secret"
        }

    def renewed(self, service: Service, files: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """The service with the present digests of its secrets; a Problem for each that is no more."""
        template, problems, mounted = dict(service["template"]), [], []
        live = {**service["live"], "files": dict(service["live"]["files"])} if service.get("live") else None
        for entry in template.get("files", ()):
            secret = entry["kind"] == "secret"
            found = self.digests.get((service["stack"], entry["name"])) if secret else entry["digest"]
            if found is None:
                place = f"{service['name']} secret {entry['name']}"
                fix = "put it back into the stack file: values of secrets are not kept with releases"
                problems.append(Problem("STW-RELEASE", place, "no service of the stack has it any more", fix))
                continue
            if secret:
                files[found] = self.files[found]
            if secret and live and entry.get("live"):
                live["files"][entry["target"]], found = found, ""
            mounted.append({**entry, "digest": found})
        if "files" in template:
            template["files"] = mounted
        return {**service, "template": template, **({"live": live} if live else {})}, problems

    def named(self, service: Service, files: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """The service as it is: an entry for each secret, so that what needs it anew can say that it has changed."""
        for entry in service["template"].get("files", ()):
            digest = _digest_of(service, entry)
            if entry["kind"] == "secret" and digest not in files:
                now = self.files.get(self.digests.get((service["stack"], entry["name"]), ""), {})
                files[digest] = {"path": "", **now, "kind": "secret", "name": entry["name"]}
        return dict(service), []


def _digest_of(service: Service, entry: Mapping[str, Any]) -> str:
    """The digest of what a service mounts, also of what changes under its running containers."""
    return str(service["live"]["files"].get(entry["target"], "")) if entry.get("live") else str(entry["digest"])


def release_lines(kept: Iterable[Kept], target: str = "") -> list[str]:
    """The kept releases of one stack for people, the newest first; an arrow at the one that is aimed at."""
    return [
        f"  {'>' if one.release == target else ' '} {one.release}  {_time(one.at)}  on {len(one.nodes)} host(s)"
        for one in kept
    ]


def _time(at: str) -> str:
    return f"{at[:4]}-{at[4:6]}-{at[6:8]} {at[9:11]}:{at[11:13]}:{at[13:15]} UTC"
