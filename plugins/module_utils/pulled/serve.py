# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program of stowage-config.service: containers ask through their FIFOs, it pulls for them and answers.

A question is a line with one word; the answer is a file: that word, an exit code, and a line for people.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..engine.boot_secrets import ensure_memory
from . import pull, tasks

WORD = re.compile(rb"[A-Za-z0-9-]{8,64}")
THREADS = 16
LOOK_SECONDS = 0.3  # how long a new container's FIFO may stay unseen
MOST_BYTES = 4096
LOG = logging.getLogger(__name__)


class Server:
    """The containers that may ask, and what is being pulled for them."""

    def __init__(self, root: str = "/") -> None:
        """Begin with no container; root is moved by tests."""
        self._root, self._pool = root, ThreadPoolExecutor(THREADS)
        self._handles: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self._running: dict[str, tuple[str, Future[None]]] = {}
        self._looked = -1.0

    def look(self) -> None:
        """Listen to all containers that have a record, and to no others."""
        known = tasks.names(self._root)
        for name in set(self._handles) - set(known):
            os.close(self._handles.pop(name))
            self._words.pop(name, None)
        for name in known:
            path = tasks.lay_out(self._root, name)
            handle = self._handles.get(name)
            if handle is not None and os.fstat(handle).st_ino != os.stat(path).st_ino:
                os.close(self._handles.pop(name))
            if name not in self._handles:
                # Open for writing as well: it never ends, and no asker waits to open it.
                self._handles[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def turn(self) -> None:
        """Look for new containers now and then, read questions, begin what was asked for."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self.look()
            self._looked = time.monotonic()
        by_handle = {handle: name for name, handle in self._handles.items()}
        ready, _none, _neither = select.select(list(by_handle), (), (), LOOK_SECONDS)
        for handle in ready:
            found = WORD.findall(os.read(handle, MOST_BYTES))
            if found:
                self._words[by_handle[handle]] = found[-1].decode()
        for name, word in list(self._words.items()):
            self._begin(name, word)

    def _begin(self, name: str, word: str) -> None:
        """Pull for a container that asks anew; one at a time."""
        last = self._running.get(name)
        if last and (last[0] == word or not last[1].done()):
            return
        self._running[name] = (word, self._pool.submit(self._answer, name, word))

    def _answer(self, name: str, word: str) -> None:
        outcome = pull.carry_out(self._root, name)
        text = f"{word} {outcome.code} {printable(outcome.text)}\n"
        LOG.info("%s: %s %s", name, outcome.code, printable(outcome.text))
        where = os.path.join(self._root, tasks.gate(name)[1:])
        if os.path.isdir(where):
            tasks.put(os.path.join(where, tasks.ANSWER), text.encode(), 0o444)


def printable(text: str) -> str:
    """One line of it, without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:500]


def tell_ready() -> None:
    """Tell systemd that containers may start now."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.connect("\0" + path[1:] if path.startswith("@") else path)
            link.send(b"READY=1")


def main(_arguments: Sequence[str]) -> int:
    """Serve until the end."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    ensure_memory(tasks.MEMORY)
    server = Server()
    server.look()
    tell_ready()
    while True:
        try:
            server.turn()
        except OSError as error:  # a container's directory went away meanwhile
            LOG.info("%s", error)
            time.sleep(LOOK_SECONDS)
