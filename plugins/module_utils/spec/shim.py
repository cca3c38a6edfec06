# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.secret_env: secrets that a service's process finds as environment variables; what the shim does."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ..errors import show
from .check_container import file_target
from .config_source import longest
from .findings import Findings
from .keys import nearest
from .live import RESTART

CODE = "STW-SECRETENV"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
# The dynamic linker and the shim's own shell read these before the process runs.
RESERVED = ("PATH", "IFS", "ENV", "LD_PRELOAD", "LD_LIBRARY_PATH")


def compile_shim(service: Mapping[str, Any]) -> dict[str, Any]:
    """{shim: {env: {variable: path of the secret in the container}, pull: seconds}}; {} if nothing is asked.

    pull: how long it waits for the service's configuration, only with x-stowage.config_source.
    """
    own = service.get("x-stowage") or {}
    stated = own.get("secret_env") or {}
    pull = {"pull": longest(own["config_source"])} if own.get("config_source") else {}
    paths = {item["source"]: posixpath.normpath(file_target("secrets", item)) for item in service.get("secrets", ())}
    variables = {name: paths.get(source, "") for name, source in sorted(stated.items())}
    return {"shim": {"env": variables, **pull}} if stated or pull else {}


def check_shim(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Note the mistakes in x-stowage.secret_env of one service."""
    own = service.get("x-stowage") or {}
    mounted = [item["source"] for item in service.get("secrets", ()) if item.get("source")]
    given = service.get("environment") or {}
    for variable, source in (own.get("secret_env") or {}).items():
        path = ("services", name, "x-stowage", "secret_env", variable)
        if not _NAME.fullmatch(variable) or variable.startswith("stowage_"):
            findings.add(path, CODE, f"{show(variable)} is no name of a variable", "write letters, digits and _")
        elif variable in RESERVED:
            findings.add(path, CODE, f"{variable} decides what runs, it cannot be a secret", "use another variable")
        elif variable in given:
            reason = f"{variable} is in environment as well"
            findings.add(path, CODE, reason, "take it out of environment: a value there shows in docker inspect")
        if source not in mounted:
            fix = nearest(source, mounted) or f"add {show(source)} to the service's secrets"
            findings.add(path, CODE, f"{show(source)} is no secret of this service", fix)
    if own.get("secret_env") and own.get("on_change", RESTART) != RESTART:
        reason = "a variable of a process that runs cannot change, and on_change says that it need not restart"
        findings.add(("services", name, "x-stowage", "secret_env"), CODE, reason, "take on_change or secret_env away")
