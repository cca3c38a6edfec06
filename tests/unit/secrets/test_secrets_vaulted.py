# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that Ansible Vault encrypted are opened in memory, or refused without a word of what is in them."""

from __future__ import annotations

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import vaulted

RIGHT = [("default", VaultSecret(b"right"))]


def test_an_encrypted_file_gives_its_value_and_a_plain_one_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaulted, "passwords", lambda _templar: RIGHT)
    content = VaultLib(RIGHT).encrypt(b"value\n\xff")
    opened = vaulted.opener(None)
    assert content.startswith(b"$ANSIBLE_VAULT")
    assert opened("shop_token", content) == b"value\n\xff"
    assert opened("shop_token", b"plain \xff") == b"plain \xff"


@pytest.mark.parametrize("passwords", [[], [("default", VaultSecret(b"wrong"))]])
def test_without_the_password_it_is_one_error(monkeypatch: pytest.MonkeyPatch, passwords: list[object]) -> None:
    monkeypatch.setattr(vaulted, "passwords", lambda _templar: passwords)
    with pytest.raises(StowageError) as caught:
        vaulted.opener(None)("shop_token", VaultLib(RIGHT).encrypt(b"value"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("STW-SECRET", "secret shop_token")
    assert "value" not in str(problem)
