# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On an ingress host: pairs of certificate and key, named by digest, and the file that has Traefik serve them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import Problem
from . import files
from .fence import await_generation, generation_of

DIRECTORY = "/etc/stowage/traefik/certificates"
DIGEST_LENGTH = 24
DYNAMIC = "var/lib/stowage/traefik/dynamic"
STAGE = "var/lib/stowage/traefik/stage"
TRAEFIK_FILES = {"inventory": "stowage-certificates.yml", "acme": "stowage-acme.yml"}
ENDINGS = (".pem", ".key")
KEY_MODE = 0o600
TIMEOUT = 12.0
Await = Callable[..., "tuple[dict[str, Any], list[Problem]]"]


def pair_digest(certificate: str, key: str) -> str:
    """The name of a pair: it changes with either text. Of a key nothing can be told from it: keys are not guessed."""
    return hashlib.sha256(f"{certificate}\x00{key}".encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST_LENGTH]


def look(wanted: Mapping[str, Any], root: str = "/") -> dict[str, Any]:
    """What differs on this host: {missing: [digest], surplus: [digest], file: bool}.

    wanted: {source: inventory | acme, text (None = no file), digests [str]}. A pair counts as there if both of its
    files are, and are what their name says.
    """
    folder = _folder(root, wanted["source"])
    there = {name[: -len(ENDINGS[0])] for name in files.read_all(folder) if name.endswith(ENDINGS)}
    path = os.path.join(root, DYNAMIC, TRAEFIK_FILES[wanted["source"]])
    return {
        "missing": [digest for digest in wanted["digests"] if not _is_whole(folder, digest)],
        "surplus": sorted(there - set(wanted["digests"])),
        "file": files.read(path) != wanted["text"],
    }


def deliver(
    wanted: Mapping[str, Any],
    pairs: Iterable[Mapping[str, str]],
    root: str = "/",
    check: bool = False,
    wait: Await = await_generation,
) -> dict[str, Any]:
    """Have Traefik serve these certificates: {changed, missing, surplus, problems, fence}.

    wanted: as `look` takes it, and {generation, port}. pairs: [{digest, certificate, key}] of those that are missing;
    without them, or with check, nothing is changed. New pairs are written first, then Traefik's file by one rename;
    when Traefik serves it, old pairs are removed. If it does not (STW-FENCE), the file before is put back and so is
    everything else. Problems never tell a key.
    """
    seen = look(wanted, root)
    changed = bool(seen["missing"] or seen["surplus"] or seen["file"])
    given = {pair["digest"]: pair for pair in pairs}
    lacking = [digest for digest in seen["missing"] if digest not in given]
    problems = [] if check else _refusals(lacking, [given[one] for one in seen["missing"] if one in given])
    result = {**seen, "changed": changed and not problems, "problems": problems, "fence": {}}
    if check or problems or not changed:
        return result
    folder = _folder(root, wanted["source"])
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for digest in seen["missing"]:
        _write_pair(folder, given[digest])
    path = os.path.join(root, DYNAMIC, TRAEFIK_FILES[wanted["source"]])
    before = files.read(path)
    if seen["file"]:
        _put(path, wanted["text"], root)
    if wanted["text"] is not None:
        result["fence"], problems = wait(int(wanted["port"]), wanted["generation"], TIMEOUT, generation_of(before))
        if problems:
            _put(path, before, root)
            _remove_pairs(folder, seen["missing"])
            return {**result, "changed": False, "problems": problems}
    _remove_pairs(folder, seen["surplus"])
    return result


def _folder(root: str, source: str) -> str:
    return os.path.join(root, DIRECTORY.lstrip("/"), source)


def _is_whole(folder: str, digest: str) -> bool:
    certificate, key = (files.read(os.path.join(folder, digest + ending)) for ending in ENDINGS)
    return certificate is not None and key is not None and pair_digest(certificate, key) == digest


def _refusals(lacking: Iterable[str], given: Iterable[Mapping[str, str]]) -> list[Problem]:
    """What was sent must be what was named; a digest is a file name, so nothing else may come as one."""
    fix = "run the playbook again"
    found = [Problem("STW-CERT-STALE", f"certificate {digest}", "was not sent", fix) for digest in lacking]
    for pair in given:
        if pair_digest(pair["certificate"], pair["key"]) != pair["digest"]:
            found.append(Problem("STW-CERT-STALE", f"certificate {pair['digest']}", "is not what was named", fix))
    return found


def _write_pair(folder: str, pair: Mapping[str, str]) -> None:
    stage = os.path.join(folder, ".stage")
    os.makedirs(stage, mode=0o700, exist_ok=True)
    for ending, text in zip(ENDINGS, (pair["certificate"], pair["key"])):
        files.replace(os.path.join(folder, pair["digest"] + ending), text, stage, KEY_MODE)
    os.rmdir(stage)


def _remove_pairs(folder: str, digests: Iterable[str]) -> None:
    for digest in digests:
        for ending in ENDINGS:
            files.remove(os.path.join(folder, digest + ending))


def _put(path: str, text: str | None, root: str) -> None:
    if text is None:
        files.remove(path)
    else:
        files.replace(path, text, os.path.join(root, STAGE))
