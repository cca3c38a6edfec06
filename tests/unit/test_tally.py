# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The closing line of `make test`: what CI reads must never be better than what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "tally.py"
REPORT = '<testsuites><testsuite errors="{0}" failures="{1}" skipped="{2}" tests="{3}"/></testsuites>'


def tally(folder: Path, stages: str, *reports: str) -> tuple[int, str]:
    """Exit status and last line for these stages and JUnit files."""
    (folder / "stages").write_text(stages, encoding="utf-8")
    for number, report in enumerate(reports):
        (folder / f"{number}.xml").write_text(report, encoding="utf-8")
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[-1]


def test_adds_up_all_reports(tmp_path: Path) -> None:
    reports = (REPORT.format(0, 0, 1, 10), REPORT.format(0, 0, 0, 5))
    assert tally(tmp_path, "lint passed 3\nunit passed 1\n", *reports) == (0, "14 passed, 0 failed, 1 skipped")


def test_a_failing_test_fails(tmp_path: Path) -> None:
    assert tally(tmp_path, "unit failed 1\n", REPORT.format(1, 2, 0, 10)) == (1, "7 passed, 3 failed, 0 skipped")


def test_a_stage_without_tests_fails(tmp_path: Path) -> None:
    report = REPORT.format(0, 0, 0, 10)
    assert tally(tmp_path, "lint failed 9\nunit passed 1\n", report) == (1, "10 passed, 1 failed, 0 skipped")


def test_a_report_cut_short_fails(tmp_path: Path) -> None:
    reports = (REPORT.format(0, 0, 0, 10), "<testsuites><testsuite tests=")
    assert tally(tmp_path, "unit passed 1\n", *reports) == (1, "10 passed, 1 failed, 0 skipped")


def test_no_tests_at_all_fails(tmp_path: Path) -> None:
    assert tally(tmp_path, "unit passed 1\n") == (1, "0 passed, 0 failed, 0 skipped")
