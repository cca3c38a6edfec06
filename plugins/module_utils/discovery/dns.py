# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names inside the fleet: dnsmasq hosts files, one per service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, StowageError, raise_all, show
from .convert import Task, address, task_order

LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"^{LABEL}(\.{LABEL})*$")


def dns_files(services: Iterable[Mapping[str, Any]], tasks: Iterable[Task], domain: str) -> dict[str, str]:
    """Files for dnsmasq's `hostsdir`: {service name: lines `<ip> <name>...`}.

    Names: `<short>`, `<stack>_<short>` and the service's aliases, and `tasks.<short>` and `tasks.<stack>_<short>`, each
    followed by `.<stack>.svc.<domain>`. The latter are the serving tasks', one line per task; the former are the
    service's own address (its `vip`), served or not, and the tasks' too if it has none. Nobody's names do not exist.
    Raises StowageError for names or addresses that cannot stand in such a file (STW-DNS-NAME, STW-INGRESS-ADDRESS).
    """
    serving: dict[str, list[Task]] = {}
    for task in tasks:
        serving.setdefault(str(task["service"]), []).append(task)
    files = {}
    for service in sorted(services, key=lambda service: str(service["name"])):
        here = sorted(serving.get(service["name"], []), key=task_order)
        if here or service.get("vip"):
            raise_all(check_names(service, domain))
            files[str(service["name"])] = _lines(service, here, domain)
    return files


def _lines(service: Mapping[str, Any], tasks: Iterable[Task], domain: str) -> str:
    own, each = _own_names(service), _task_names(service)
    pairs = [(service["vip"], own)] if service.get("vip") else []
    pairs += [(address(task), each if pairs else own + each) for task in tasks]
    search = search_domain(str(service["stack"]), domain)
    return "".join(f"{ip} {' '.join(f'{name}.{search}' for name in names)}\n" for ip, names in pairs)


def check_names(service: Mapping[str, Any], domain: str) -> list[Problem]:
    """STW-DNS-NAME for aliases and service names that are no host names."""
    problems = []
    for name in _relative_names(service):
        full = f"{name}.{service['stack']}.svc.{domain}"
        if not NAME.match(full) or len(full) > 253:
            reason = f"{show(name)} makes {show(full)}, which is no host name"
            fix = "use letters, digits, dashes and dots, at most 63 between two dots"
            problems.append(Problem("STW-DNS-NAME", str(service["name"]), reason, fix))
    return problems


def search_domain(stack: str, domain: str) -> str:
    """The search domain of a stack's containers (with ndots:2): `<stack>.svc.<domain>`."""
    if not NAME.match(f"{stack}.svc.{domain}"):
        raise StowageError(Problem("STW-DNS-NAME", show(stack), "is no DNS label", "rename the stack"))
    return f"{stack}.svc.{domain}"


def _relative_names(service: Mapping[str, Any]) -> list[str]:
    return _own_names(service) + _task_names(service)


def _own_names(service: Mapping[str, Any]) -> list[str]:
    aliases = sorted(str(alias) for alias in service.get("aliases") or [])
    names = dict.fromkeys([str(service["short"]), str(service["name"]), *aliases])
    return [name for name in names if name not in _task_names(service)]


def _task_names(service: Mapping[str, Any]) -> list[str]:
    return [f"tasks.{service['short']}", f"tasks.{service['name']}"]
