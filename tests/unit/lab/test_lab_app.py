# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sample app: who it says it is, and how it misbehaves on demand."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[3] / "roles/lab/files/images/app/app.py"


@pytest.fixture
def start():
    running = []

    def run(wait=True, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, str(APP)],
            env={"PORT": str(port), "VERSION": "1.0", "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        if wait:
            assert "listens" in process.stdout.readline()
        return process, f"http://127.0.0.1:{port}"

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_says_who_it_is_in_one_line(start):
    _process, url = start(NAME="shop_web", SLOT="2", NODE="n3")
    assert get(url + "/") == (
        200,
        {"name": "shop_web", "slot": "2", "host": "n3", "version": "1.0", "container": socket.gethostname()},
    )
    assert get(url + "/health")[0] == 200
    assert get(url + "/other")[0] == 404


def test_health_fails_at_once_or_later(start):
    assert get(start(UNHEALTHY="1")[1] + "/health")[0] == 500
    _process, url = start(UNHEALTHY="1.2")
    assert get(url + "/health")[0] == 200
    time.sleep(1.3)
    assert get(url + "/health")[0] == 500


def test_a_broken_version_says_why_and_ends(start):
    process, _url = start(wait=False, VERSION="broken")
    assert process.wait(10) == 1
    assert "broken on purpose" in process.stdout.read()


def test_it_exits_abruptly_when_told(start):
    assert start(EXIT_AFTER="0.3")[0].wait(10) == 1


@pytest.mark.parametrize(("abrupt", "answered"), [("0", True), ("1", False)])
def test_running_requests_are_finished_unless_abrupt(start, abrupt, answered):
    process, url = start(SLOW="0.8", ABRUPT=abrupt)
    answers = []

    def ask():
        try:
            answers.append(get(url + "/")[0])
        except OSError as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.4)
    process.terminate()
    asking.join(10)
    assert process.wait(10) == 0
    assert (answers == [200]) is answered


def test_a_late_start_refuses_until_then(start):
    process, url = start(wait=False, START_DELAY="0.6")
    time.sleep(0.3)
    with pytest.raises(OSError, match="refused"):
        get(url + "/")
    assert "listens" in process.stdout.readline()
    assert get(url + "/")[0] == 200
