# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Our tables of nftables, and the two rules in Docker's chain for users."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from typing import Any

from .kernel import ABSENT, NetworkError, run
from .names import BRIDGE, MARK, RUN

USER_RULE = ["-m", "mark", "--mark", f"{MARK}/{MARK}", "-m", "comment", "--comment", "stowage", "-j", "ACCEPT"]
TABLE = 'table {name}\ndelete table {name}\ntable {name} {{\n\tcomment "stowage:{digest}"\n{body}}}\n'
CLOSED_RULE = ["-o", f"{BRIDGE}+", "-m", "comment", "--comment", "stowage", "-j", "DROP"]


def load_table(family: str, name: str, script: str, check: bool) -> list[str]:
    """Make a table what the script says (empty: no table); says what it did if the table was not that already.

    Drift inside the table is seen too: what the kernel lists is compared with what it listed after our last load.
    """
    table, record = f"{family} {name}", f"{RUN}/nft-{name}.json"
    before = _listing(family, name)
    if not script:
        if before and not check:
            run("nft", "delete", "table", family, name)
        return [f"remove table {table}"] if before else []
    digest = hashlib.sha256(script.encode()).hexdigest()
    known = _record(record)
    listed = hashlib.sha256(before.encode()).hexdigest()
    if before and known == {"script": digest, "listing": listed}:
        return []
    verb = "add" if not before else "replace" if known.get("script") != digest else "repair"
    if check:
        return [f"{verb} table {table}"]
    os.makedirs(RUN, exist_ok=True)
    run("nft", "-f", "-", data=script)
    after = _listing(family, name)
    with open(f"{record}.new", "w", encoding="ascii") as file:
        json.dump({"script": digest, "listing": hashlib.sha256(after.encode()).hexdigest()}, file)
    os.replace(f"{record}.new", record)
    return [f"{verb} table {table}"] if before != after else []


def _listing(family: str, name: str) -> str:
    try:
        return run("nft", "-s", "list", "table", family, name)
    except NetworkError as error:
        if ABSENT.search(str(error)):
            return ""
        raise


def _record(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="ascii") as file:
            known = json.load(file)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def docker_user(wanted: bool, check: bool) -> list[str]:
    """Two rules in DOCKER-USER (engines that use iptables): what our table marked passes, nothing else gets in.

    Without our table nothing is marked: containers are then cut off, not open to everybody.
    """
    if shutil.which("iptables") is None:
        return []
    tool = ["iptables", "-w", "10"]
    done = []
    for place, rule in (("1", USER_RULE), ("2", CLOSED_RULE)):
        try:
            run(*tool, "-C", "DOCKER-USER", *rule)
            found = True
        except NetworkError:
            found = False
        if found != wanted and not check:
            if wanted:
                with contextlib.suppress(NetworkError):  # it may exist; and Docker keeps a chain that is already there
                    run(*tool, "-N", "DOCKER-USER")
                run(*tool, "-I", "DOCKER-USER", place, *rule)
            else:
                run(*tool, "-D", "DOCKER-USER", *rule)
        if found != wanted:
            done.append("add rule in DOCKER-USER" if wanted else "remove rule in DOCKER-USER")
    return list(dict.fromkeys(done))


def script(name: str, body: str) -> str:
    """A script that replaces a whole table in one transaction; its comment carries the digest of the body."""
    return TABLE.format(name=name, digest=hashlib.sha256(body.encode()).hexdigest()[:32], body=body)
