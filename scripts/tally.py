# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Close a run of scripts/stages: the time of each stage, then `N passed, N failed, N skipped` over all its tests.

usage: tally.py RESULTS, a directory with `stages` (lines `name passed|failed seconds`) and JUnit files.
A stage that failed without a failing test counts as one failure. Exit status 1 when anything failed or nothing ran.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(reports: list[Path]) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of JUnit files; an unreadable file counts as one failure."""
    passed = failed = skipped = 0
    for report in reports:
        try:
            suites = ElementTree.parse(report).getroot().iter("testsuite")
        except ElementTree.ParseError:
            failed += 1
            continue
        for suite in suites:
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            idle = int(suite.get("skipped", 0))
            failed, skipped = failed + bad, skipped + idle
            passed += int(suite.get("tests", 0)) - bad - idle
    return passed, failed, skipped


def main(results: Path) -> int:
    """Print the table and the closing line; the exit status."""
    stages = [line.split() for line in (results / "stages").read_text(encoding="utf-8").splitlines()]
    print()
    for name, verdict, seconds in stages:
        print(f"{name:<20} {verdict:<7} {int(seconds):>5} s")
    print(f"{'total':<20} {'':<7} {sum(int(stage[2]) for stage in stages):>5} s")
    passed, failed, skipped = count(sorted(results.glob("*.xml")))
    broken = sum(stage[1] != "passed" for stage in stages)
    failed = max(failed, broken)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
