# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On the host: put the policy of an endpoints share into force, and see whether it is. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from .. import canonical
from . import files

POLICY_FILE = "var/lib/stowage/policy.nft"


class Police(NamedTuple):
    """The kernel side of the policy: apply(text, path) -> changed, applied(text) -> bool."""

    apply: Callable[[str, str], bool]
    applied: Callable[[str], bool]


def deliver_policy(
    policy: Mapping[str, str] | None, root: str = "/", check: bool = False, police: Police | None = None
) -> list[str]:
    """Put the policy {text, core} of a share into force; one line if it was not. None leaves what is there.

    police: default the network room's functions on a real host (root "/"), elsewhere the file alone.
    """
    if policy is None:
        return []
    path, text = os.path.join(root, POLICY_FILE), policy_file(policy)
    before, means = files.read(path), police or _police(root)
    if text == before and means.applied(text):
        return []
    if not check:
        means.apply(text, path)
    return [f"/{POLICY_FILE} {'created' if before is None else 'changed'}"]


def policy_file(policy: Mapping[str, str]) -> str:
    """The file of a policy: a head with the digests of its core and of its text, and the text."""
    return f"# {policy['core']} {canonical.text_digest(policy['text'])}\n{policy['text']}"


def policy_core(root: str = "/", police: Police | None = None) -> str:
    """The core that the policy's file names, if the file is whole and in force; "" without a file."""
    found = files.read(os.path.join(root, POLICY_FILE)) or ""
    head, _newline, text = found.partition("\n")
    core = head[2:].partition(" ")[0]
    if found and (policy_file({"core": core, "text": text}) != found or not (police or _police(root)).applied(found)):
        return "not loaded"
    return core


def policy_reach(root: str = "/") -> dict[str, Any] | None:
    """Who reaches the services of this host, as its policy's file says (`network.reach`); None if it does not say."""
    from ..network.reach import told  # noqa: PLC0415 (only observing needs it)

    found = files.read(os.path.join(root, POLICY_FILE))
    return {} if found is None else told(found)


def _police(root: str) -> Police:
    if root != "/":
        return Police(lambda text, path: _write(text, path, root), lambda _text: True)
    from ..network import host  # noqa: PLC0415 (only where the kernel is asked)

    return Police(host.apply_policy, host.policy_applied)


def _write(text: str, path: str, root: str) -> bool:
    files.replace(path, text, os.path.join(root, "var/lib/stowage/stage"))
    return True
