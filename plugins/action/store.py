# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.store: one stage of keeping the fleet's own etcd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.parsing.vault import is_encrypted
from ansible.plugins.action import ActionBase
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import base, server
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

GROUP = "stowage_store"
FILES = ("stowage_store_ca", "stowage_store_certificate", "stowage_store_key")
PEM = b"-----BEGIN "
ARGUMENTS = {"stage": {"type": "str", "choices": ["check", "configure"], "required": True}}


class ActionModule(ActionBase):
    """Ask the members over HTTPS, from the controller; no password is in a result or on a line."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, changes, diff}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        hosts = sorted(task_vars["groups"].get(GROUP, ()))
        with controller.refusals():
            if args["stage"] == "check":
                return self._check(hosts, task_vars)
            return self._configure(hosts, task_vars)

    def _of(self, host: str, name: str, task_vars: Mapping[str, Any]) -> Any:
        """A variable of a host; the inventory's text, never what a host said."""
        return plain(task_vars["hostvars"][host].get(name))

    def _users(self, task_vars: Mapping[str, Any]) -> list[server.User]:
        stated = plain(controller.variable(task_vars, self._templar, "stowage_store_users", {}))
        return server.users(
            stated, str(controller.variable(task_vars, self._templar, "stowage_store_password", "") or "")
        )

    def _check(self, hosts: list[str], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        problems = server.size_problems(hosts)
        directory = controller.inventory_directory(task_vars)
        for host in hosts:
            for name in FILES:
                problems += _file(f"{host}: {name}", directory, self._of(host, name, task_vars))
        try:
            self._users(task_vars)
        except StowageError as error:
            problems += error.problems
        raise_all(problems)
        return {"changed": False}

    def _configure(self, hosts: list[str], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        users = self._users(task_vars)
        path = controller.inventory_directory(task_vars) / self._of(hosts[0], FILES[0], task_vars)
        keys = ("stowage_store_address", "stowage_address", "ansible_host")
        found = [next((at for at in (self._of(host, key, task_vars) for key in keys) if at), host) for host in hosts]
        endpoints = [f"https://{address}:2379" for address in found]
        checking = self._task.check_mode
        try:
            cluster = server.Cluster(endpoints, path.read_text(), users[0].password, 0 if checking else server.PATIENCE)
        except base.StoreError as error:
            if not (checking and error.retry):
                raise _refused(error) from None
            cluster = None
        try:
            changes = server.changes(cluster, users)
            for change in changes if cluster and not checking else ():
                cluster.call(change.method, change.body)
        except base.StoreError as error:
            raise _refused(error) from None
        words = [change.words for change in changes]
        diff = {"before": "", "after": "".join(f"{line}\n" for line in words)}
        return {"changed": bool(words), "changes": words, "diff": diff}


def _file(place: str, directory: Any, stated: Any) -> list[Problem]:
    """Why a PEM file of the controller cannot be used."""
    if not stated:
        return [Problem(server.CODE, place, "is not stated", "name a file on the controller; docs/configuration.md")]
    try:
        data = (directory / str(stated)).read_bytes()
    except OSError as error:
        return [Problem(server.CODE, place, f"cannot be read ({error.strerror})", "the path starts at the inventory")]
    if PEM in data or is_encrypted(data):
        return []
    return [Problem(server.CODE, place, "is no PEM", "name a file that begins with -----BEGIN")]


def _refused(error: base.StoreError) -> StowageError:
    fix = "look at `journalctl -u etcd` on the hosts of stowage_store"
    return StowageError(Problem(server.CODE, "group stowage_store", error.reason, fix))
