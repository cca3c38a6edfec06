# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.secret_env: what the template says, and that nothing changes for services without it."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

STACK = """
services:
  web:
    image: shop/web:1
    secrets: [token, {source: db, target: /etc/app/password}]
    x-stowage: {secret_env: {TOKEN: token, DB_PASSWORD: db}}
  plain:
    image: shop/web:1
    secrets: [token]
secrets:
  token: {file: token}
  db: {file: db}
"""


def test_a_variable_names_where_its_secret_lies(tmp_path):
    for name, text in {"stack.yml": STACK, "token": "t", "db": "p"}.items():
        (tmp_path / name).write_text(text)
    made = compile_services("shop", load([tmp_path / "stack.yml"], {}), str(tmp_path))
    templates = {service["short"]: service["template"] for service in made["services"]}
    assert templates["web"]["shim"] == {"env": {"DB_PASSWORD": "/etc/app/password", "TOKEN": "/run/secrets/token"}}
    assert "shim" not in templates["plain"]
