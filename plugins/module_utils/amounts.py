# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Amounts of tasks: a number, or a percentage of all of them."""

from __future__ import annotations


def part_of(amount: int | str, whole: int, up: bool = False) -> int:
    """An amount as a number: `25%` of the whole, rounded down, or up."""
    if isinstance(amount, int):
        return amount
    hundredths = int(amount[:-1]) * whole
    return -(-hundredths // 100) if up else hundredths // 100
