"""x-stowage.health: probes with their defaults. Its mistakes are rows of tests/cases/bad_input (health_*)."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.spec import health

READY = {"interval": 1.5, "timeout": 1.0, "retries": 2, "start_period": 0.0}
LIVE = {"interval": 10.0, "timeout": 1.0, "retries": 3, "start_period": 0.0}


@pytest.mark.parametrize(
    ("stated", "made"),
    [
        ({}, {}),
        ({"health": {"ready": {}}}, {}),
        (
            {"health": {"ready": {"http": {"port": 8080}}}},
            {"ready": {"kind": "http", "port": 8080, "path": "/", "host": "", **READY}},
        ),
        (
            {"health": {"live": {"grpc": {"port": 90, "service": "a.B"}, "interval": "1m", "retries": 5}}},
            {"live": {"kind": "grpc", "port": 90, "service": "a.B", **LIVE, "interval": 60.0, "retries": 5}},
        ),
        (
            {"health": {"live": {"tcp": {"port": 90}, "start_period": "30s", "timeout": "200ms"}}},
            {"live": {"kind": "tcp", "port": 90, **LIVE, "start_period": 30.0, "timeout": 0.2}},
        ),
    ],
)
def test_probes(stated, made):
    assert health.compile_health(stated) == made
