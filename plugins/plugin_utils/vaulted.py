# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets in files that Ansible Vault encrypted: opened in memory, with the vault passwords of this run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, is_encrypted
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError

Opener = Callable[[str, bytes], bytes]


def opener(templar: Any) -> Opener:
    """A function (name of a secret, content of its file) -> value. It raises StowageError (STW-SECRET)."""

    def opened(name: str, content: bytes) -> bytes:
        if not is_encrypted(content):
            return content
        try:
            return bytes(VaultLib(passwords(templar)).decrypt(content))
        except AnsibleError:
            # Not the error's own text: no telling what it quotes.
            reason = "its file is encrypted by Ansible Vault, and no vault password of this run opens it"
            fix = "give the password: --vault-password-file or --vault-id"
            raise StowageError(Problem("STW-SECRET", f"secret {name}", reason, fix)) from None

    return opened


def passwords(templar: Any) -> Any:
    """The vault passwords of this run, as Ansible keeps them; empty if there are none."""
    try:
        from ansible.parsing.vault import VaultSecretsContext  # noqa: PLC0415
    except ImportError:  # ansible-core 2.17 and 2.18
        return templar._loader._vault.secrets
    context = VaultSecretsContext.current(optional=True)
    return context.secrets if context else []
