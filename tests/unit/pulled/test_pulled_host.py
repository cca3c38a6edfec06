# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The host's side of pulled configuration: tries, last-good, planned revisions, files, questions and answers."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import config_stores
from ansible_collections.stowage.fleet.plugins.module_utils.pulled import install, pull, serve, tasks

NAME = "shop_web.1.abc"


@pytest.fixture
def page():
    """A web server's answers: set .entries to what it gives, or .status to what it refuses with."""

    class Page(BaseHTTPRequestHandler):
        entries, status, seen = {"a": "1", "sub/b": "2"}, 200, []

        def do_GET(self):
            Page.seen.append(self.headers.get("Authorization"))
            self.send_response(Page.status)
            self.end_headers()
            self.wfile.write(json.dumps(Page.entries).encode())

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Page.url = f"http://127.0.0.1:{server.server_port}"
    yield Page
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def task(tmp_path, page):
    """A function that writes the task's record; keys over the usual ones."""

    def write(**keys):
        source = {"type": "http", "endpoints": [page.url], "prefix": "web.json"}
        record = {"service": "shop_web", "source": source, "require": [], "tries": 2, "stale": False, "planned": ""}
        tasks.write(tasks.record_path(str(tmp_path), NAME), {**record, **keys})
        tasks.lay_out(str(tmp_path), NAME)

    return write


def carried(root):
    return pull.carry_out(str(root), NAME, sleep=lambda _seconds: None)


def files(root):
    folder = root / tasks.folder(NAME)[1:]
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_are_just_what_the_store_has(tmp_path, task, page):
    task()
    assert carried(tmp_path)[:2] == (0, "")
    assert files(tmp_path) == {"a": "1", "sub/b": "2"}
    page.entries = {"a/x": "3", "sub": "4"}
    carried(tmp_path)
    assert files(tmp_path) == {"a/x": "3", "sub": "4"}
    assert oct(os.stat(tmp_path / tasks.folder(NAME)[1:] / "sub").st_mode)[-3:] == "444"


def test_a_required_key_that_is_not_there_ends_it_with_78(tmp_path, task):
    task(require=["a", "z", "y"])
    outcome = carried(tmp_path)
    assert outcome.code == 78
    assert "the store has no z, y" in outcome.text
    assert files(tmp_path) == {}


def test_the_first_pull_gives_the_planned_revision_and_later_ones_any(tmp_path, task, page):
    revision = config_stores.revision_of({"a": b"1", "sub/b": b"2"})
    task(planned=revision)
    page.entries = {"a": "2"}
    assert (carried(tmp_path).code, files(tmp_path)) == (78, {})
    page.entries = {"a": "1", "sub/b": "2"}
    assert carried(tmp_path).code == 0
    page.entries = {"a": "2"}
    assert (carried(tmp_path).code, files(tmp_path)) == (0, {"a": "2"})


def test_a_store_that_is_down_ends_it_with_75_or_with_what_was_pulled_last(tmp_path, task, page):
    task(stale=True)
    page.status = 503
    assert carried(tmp_path).code == 75
    assert len(page.seen) == 2
    page.status = 200
    assert carried(tmp_path).code == 0
    page.status, page.entries = 503, {"a": "new"}
    task(stale=True, planned=config_stores.revision_of({"a": b"1", "sub/b": b"2"}))
    outcome = carried(tmp_path)
    assert outcome.code == 0
    assert "after 2 tries; going on with what was pulled last, 20" in outcome.text
    assert files(tmp_path) == {"a": "1", "sub/b": "2"}
    task(stale=True, planned="another")
    assert carried(tmp_path).code == 78
    task(stale=False)
    assert carried(tmp_path).code == 75


def test_what_was_kept_of_another_source_is_not_used(tmp_path, task, page):
    task(stale=True)
    carried(tmp_path)
    source = {"type": "http", "endpoints": [page.url], "prefix": "other.json"}
    page.status = 503
    task(stale=True, source=source)
    assert carried(tmp_path).code == 75


def test_a_store_that_refuses_is_not_asked_again(tmp_path, task, page):
    task(stale=True)
    page.status = 403
    assert carried(tmp_path).code == 78
    assert len(page.seen) == 1


def test_the_credential_is_read_from_the_host_s_memory(tmp_path, task, page):
    (tmp_path / "word").write_text("me:pass\n")
    task(credential="/word")
    assert carried(tmp_path).code == 0
    assert page.seen == ["Basic bWU6cGFzcw=="]
    os.unlink(tmp_path / "word")
    assert (carried(tmp_path).code, len(page.seen)) == (75, 1)


def test_it_answers_who_asks_and_forgets_who_is_gone(tmp_path, task, page):
    server = serve.Server(str(tmp_path))
    task()
    server.turn()
    gate = tmp_path / tasks.gate(NAME)[1:]

    def ask(word):
        with open(gate / tasks.ASK, "r+b", buffering=0) as fifo:
            fifo.write(f"rubbish\n{word}\n".encode())
        until = time.monotonic() + 10
        while not (gate / tasks.ANSWER).exists() or word not in (gate / tasks.ANSWER).read_text():
            assert time.monotonic() < until
            server.turn()
        return (gate / tasks.ANSWER).read_text()

    assert ask("11111111-aaaa") == "11111111-aaaa 0 \n"
    page.status = 404
    assert ask("22222222-bbbb").startswith("22222222-bbbb 78 http: ")
    assert tasks.prune(str(tmp_path), [NAME]) is False
    assert tasks.prune(str(tmp_path), [], check=True) is True
    assert tasks.prune(str(tmp_path), []) is True
    server.look()
    assert not (tmp_path / tasks.MEMORY[1:] / NAME).exists()
    assert tasks.names(str(tmp_path)) == []


def test_the_program_runs_by_itself(tmp_path):
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert install.present(check=True, root=str(tmp_path)) == [
        "write /usr/local/lib/stowage/stowage-config.pyz",
        "write /etc/systemd/system/stowage-config.service",
    ]
    program = tmp_path / "config.pyz"
    program.write_bytes(install.program(serve.__name__))
    check = "import sys; sys.path.insert(0, sys.argv[1]); import stowage.pulled.serve as s; print(s.WORD)"
    done = os.popen(f"{os.sys.executable} -I -c '{check}' {program}").read()
    assert "A-Za-z" in done


def test_waiting_is_longer_than_all_tries():
    assert tasks.pauses(5) == [0.5, 1.0, 2.0, 4.0]
    assert tasks.pauses(1) == []
    assert tasks.patience(5, 2) > sum(tasks.pauses(5)) + 5 * 2 * tasks.TRY_SECONDS
