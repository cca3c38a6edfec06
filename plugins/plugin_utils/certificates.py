# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates on the controller: read from files and variables in memory, and what they say, by cryptography.

cryptography comes with ansible-core.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import acme
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import certificates as rules
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.certified import pair_digest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, vaulted

VARIABLES = ("stowage_certificates", "stowage_acme")


def of_inventory(task_vars: Mapping[str, Any], templar: Any) -> list[dict[str, Any]]:
    """The pairs of `stowage_certificates`: [{where, names, begins, ends, matches, digest, default, certificate, key}].

    Raises StowageError (STW-CERT-*) with every mistake.
    """
    stated = rules.read_certificates(_plain(controller.variable(task_vars, templar, "stowage_certificates")))
    base, opened = controller.inventory_directory(task_vars), vaulted.opener(templar)
    found: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for index, one in enumerate(stated):
        where = f"stowage_certificates[{index}]"
        try:
            texts = [_text(f"{where}.{key}", str(one[key]), base, opened) for key in ("certificate", "key")]
            found.append({**pair(where, *texts), "default": one["default"]})
        except StowageError as error:
            problems += error.problems
    raise_all([*problems, *rules.refused(found, time.time())])
    return found


def pair(where: str, certificate: str, key: str) -> dict[str, Any]:
    """A pair's facts and texts. Raises StowageError (STW-CERT-FILE) if one of them is not what it should be."""
    from cryptography import x509  # noqa: PLC0415 (only where there are certificates)
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
    except (ValueError, IndexError):
        fix = "give PEM: the certificate first, then its chain"
        raise StowageError(Problem("STW-CERT-FILE", f"{where}.certificate", "is no certificate", fix)) from None
    try:
        own = serialization.load_pem_private_key(key.encode(), None).public_key()
    except TypeError:
        fix = "give it without; keep it by Ansible Vault instead"
        problem = Problem("STW-CERT-FILE", f"{where}.key", "is a private key behind a passphrase", fix)
        raise StowageError(problem) from None
    except Exception:  # whatever it is, its text may quote the key
        fix = "give the private key as PEM"
        raise StowageError(Problem("STW-CERT-FILE", f"{where}.key", "is no private key", fix)) from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "where": where,
        "names": _names(leaf),
        "begins": _seconds(leaf, "not_valid_before"),
        "ends": _seconds(leaf, "not_valid_after"),
        "matches": own.public_bytes(*form) == leaf.public_key().public_bytes(*form),
        "digest": pair_digest(certificate, key),
        "certificate": certificate,
        "key": key,
    }


def warnings(
    task_vars: Mapping[str, Any], templar: Any, fleet: Mapping[str, Any], services: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Warnings about hosts that no certificate is for; raises StowageError as `of_inventory`. [] without any."""
    if not any(name in task_vars for name in VARIABLES):
        return []
    names = [name for one in of_inventory(task_vars, templar) for name in one["names"]]
    if "stowage_acme" in task_vars:
        names += [name for one in acme_settings(task_vars, templar)["certificates"] for name in one]
    return rules.uncovered(services, fleet["ingress"], names)


def acme_settings(task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """`stowage_acme` of the inventory, complete. Raises StowageError (STW-ACME-OPTION)."""
    stated = plain(controller.variable(task_vars, templar, "stowage_acme"))
    return acme.read_acme(stated, list(task_vars["groups"].get("stowage_ingress", ())))


def facts_or_none(texts: Mapping[str, str] | None) -> dict[str, Any] | None:
    """The facts of a pair that the issuer has; None if there is none, or none that can be read."""
    try:
        return pair("the issuer", texts["certificate"], texts["key"]) if texts else None
    except StowageError:
        return None


def of_issuer(task_vars: Mapping[str, Any], settings: Mapping[str, Any], register: str) -> list[dict[str, Any]]:
    """The pairs that the issuer has of what is asked for, from its registered result; raw, a host's words."""
    result = task_vars["hostvars"].raw_get(settings["issuer"]).get(register)
    texts = result.get("pairs") if isinstance(result, Mapping) else None
    found = [facts_or_none((texts or {}).get(names[0])) for names in settings["certificates"]]
    return [{**one, "default": False} for one in found if one is not None]


def _plain(value: Any) -> Any:
    """The variable made of plain values; what Ansible Vault encrypted (an object before core 2.19) is opened."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _text(where: str, stated: str, base: Path, opened: vaulted.Opener) -> str:
    """PEM text: the value itself, or the content of the file that it names. One newline at its end."""
    if rules.PEM in stated:
        return stated.strip() + "\n"
    try:
        content = (base / stated.strip()).read_bytes()
    except (OSError, ValueError) as error:
        reason = f"its file cannot be read ({getattr(error, 'strerror', None) or 'not a path'})"
        fix = "give a path, relative to the inventory"
        raise StowageError(Problem("STW-CERT-FILE", where, reason, fix)) from None
    return opened(where, content).decode("utf-8", "replace").strip() + "\n"


def _names(leaf: Any) -> list[str]:
    from cryptography import x509  # noqa: PLC0415

    try:
        said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = [str(address) for address in said.get_values_for_type(x509.IPAddress)]
    return [*said.get_values_for_type(x509.DNSName), *addresses]


def _seconds(leaf: Any, name: str) -> float:
    """A time of a certificate; cryptography before 42 has it without its zone, which is UTC."""
    aware = getattr(leaf, f"{name}_utc", None)
    if aware is not None:
        return float(aware.timestamp())
    return float(getattr(leaf, name).timestamp() - time.timezone)
