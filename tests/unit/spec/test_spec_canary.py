# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.canary in its normal form. Its mistakes are rows of tests/cases/bad_input (canary_*)."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.spec import canary

NOTHING = {"replicas": "0%", "weight": 0, "match": "", "mirror": None, "hold": None}


@pytest.mark.parametrize(
    ("stated", "made"),
    [
        ({}, {}),
        ({"canary": {"weight": 20}}, {**NOTHING, "replicas": "20%", "weight": 20}),
        (
            {"canary": {"weight": 20, "replicas": 2, "hold": "10m"}},
            {**NOTHING, "replicas": 2, "weight": 20, "hold": 600.0},
        ),
        ({"canary": {"mirror": {"percent": 5}}}, {**NOTHING, "mirror": 5}),
        ({"canary": {"match": "Header(`X-Canary`, `1`)"}}, {**NOTHING, "match": "Header(`X-Canary`, `1`)"}),
    ],
)
def test_normal_form(stated, made):
    assert canary.compile_canary(stated) == ({"canary": made} if made else {})


@pytest.mark.parametrize(
    ("replicas", "whole", "expected"), [("20%", 6, 2), ("0%", 6, 1), ("100%", 6, 6), (2, 6, 2), ("10%", 0, 1)]
)
def test_replicas(replicas, whole, expected):
    """Rounded up, and never none."""
    assert canary.canary_replicas({"replicas": replicas}, whole) == expected
