# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A large stack loads and compiles in time that grows with its size, not with its square."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

SERVICES, SECONDS = 1000, 5.0  # 0.4 s on the reference machine
SERVICE = """  s{n}:
    image: a:1
    environment: {{A: "1", B: "${{X:-y}}"}}
    ports: ["{port}:80"]
    depends_on: [s0]
    extends: base
    deploy: {{replicas: 2, labels: [a=b, c=d]}}
"""


def test_a_thousand_services(tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    services = "".join(SERVICE.format(n=n, port=8000 + n) for n in range(1, SERVICES))
    path.write_text(f"services:\n  base: {{image: b}}\n  s0: {{image: a}}\n{services}", encoding="utf-8")
    began = time.perf_counter()
    made = compile_services("s", load(path), str(tmp_path))
    assert len(made["services"]) == SERVICES + 1
    assert time.perf_counter() - began < SECONDS
