# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program stowage-health: between runs, local containers that do not serve leave this host's names and addresses.

It only withholds what the plan gave (discovery.given), and gives it back as it was. It knows no other host. While a
run works here, it restarts nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..discovery import files
from ..discovery import given as held
from ..network.hairpin import MARK
from . import judge
from .engine_socket import STARTED, EngineDown, EngineSocket, adopted_path, read_adopted, tasks_of
from .judge import Container, Restarts, Streak
from .probes import probe

LOOK_SECONDS = 5.0  # a look at all containers even if no event came
AGAIN_SECONDS = 0.5  # between two looks at something that begins to fail
BEAT_SECONDS = 10.0
SETTLE_SECONDS = 0.05  # events come in bundles
THREADS = 16
GRACE_MARGIN = 30.0
Key = tuple[str, str]  # (container id, ready | live)
Ask = Callable[[Mapping[str, Any], str], str]


class Watch:
    """What the program remembers between two looks."""

    def __init__(
        self,
        engine: EngineSocket,
        apply: Callable[[str, str], bool],
        root: str = "/",
        ask: Ask = probe,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Take the Engine, how an nft script is loaded (text, path), and for tests the root, the probe, the log."""
        self.engine, self.apply, self.root, self.ask, self.say = engine, apply, root, ask, say or tell
        self.woken = threading.Event()
        self.lock = threading.Lock()
        self.fresh: set[str] = set()  # ids that started since the last look
        self.containers: list[Container] = []
        self.streaks: dict[Key, Streak] = {}
        self.running_since: dict[str, float] = {}
        self.due: dict[Key, float] = {}
        self.asking: dict[Key, Future[str]] = {}
        self.restarts: dict[str, Restarts] = {}
        self.listed_at = float("-inf")
        self.given: dict[str, Any] = {}
        self.given_at: tuple[int, int] | None = None
        self.pool = ThreadPoolExecutor(max_workers=THREADS)
        self.repairs = ThreadPoolExecutor(max_workers=2)

    def event(self, what: str, container: str) -> None:
        """Something happened to a container."""
        with self.lock:
            if what in STARTED:
                self.fresh.add(container)
            self.listed_at = float("-inf")
        self.woken.set()

    def look(self, now: float) -> float:
        """One round: list, probe, judge, withhold, restart. Seconds until the next one is due."""
        self._read_given()
        if not self.given:
            return LOOK_SECONDS
        try:
            if now - self.listed_at >= LOOK_SECONDS:
                self._list(now)
        except EngineDown as error:
            # What cannot be seen is unknown, not dead: all stays as it is.
            self.say(f"Docker Engine does not answer: {error}")
            return 1.0
        self._probe(now)
        self._withhold()
        self._restart(now)
        beats = [due - now for key, due in self.due.items() if key not in self.asking]
        return max(min([LOOK_SECONDS, *beats]), SETTLE_SECONDS)

    def _read_given(self) -> None:
        try:
            found = os.stat(os.path.join(self.root, held.GIVEN_FILE))
        except OSError:
            self.given, self.given_at = {}, None
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self.given_at:
            self.given, self.given_at = held.read_given(self.root), stamp

    def _list(self, now: float) -> None:
        with self.lock:
            fresh, self.fresh = self.fresh, set()
            self.listed_at = now
        mine = {str(task["ip"]) for task in self.given["tasks"] if task["node"] == self.given["node"]}
        listed = tasks_of(self.engine.containers(), read_adopted(adopted_path(self.root)))
        self.containers = [one for one in listed if one.ip in mine]
        running = {one.id for one in self.containers if one.state == "running"}
        started = {one for one in running if one in fresh or one not in self.running_since}
        for one in started:
            self.running_since[one] = now
            self._forget(one)
        if started and str(self.given["ports"]).startswith(MARK):
            self._ports_again()
        for one in set(self.running_since) - running:
            del self.running_since[one]
            self._forget(one)

    def _ports_again(self) -> None:
        """A container's new link to the bridge is to give packets back, where a task may meet itself."""
        path = os.path.join(self.root, held.PORTS_FILE)
        with held.endpoints_lock(self.root):
            found = files.read(path) or ""
            if found.startswith(MARK):
                self.apply(found, path)

    def _forget(self, container: str) -> None:
        for kind in ("ready", "live"):
            for memory in (self.streaks, self.due, self.asking):
                memory.pop((container, kind), None)

    def health(self) -> dict[str, Mapping[str, Any]]:
        """{service: its probes and what its restart policy allows}."""
        return {one["name"]: one["health"] for one in self.given["services"] if one.get("health")}

    def _probe(self, now: float) -> None:
        health = self.health()
        for one in self.containers:
            for kind in ("ready", "live"):
                spec, key = (health.get(one.service) or {}).get(kind), (one.id, kind)
                if not spec or one.state != "running":
                    continue
                if key in self.asking:
                    self._answered(key, spec, now)
                elif now >= self.due.setdefault(key, self.running_since.get(one.id, now) + spec["start_period"]):
                    self.asking[key] = self.pool.submit(self.ask, spec, one.ip)
                    self.asking[key].add_done_callback(lambda _done: self.woken.set())

    def _answered(self, key: Key, spec: Mapping[str, Any], now: float) -> None:
        if not self.asking[key].done():
            return
        streak = judge.step(self.streaks.get(key, Streak()), self.asking.pop(key).result())
        self.streaks[key] = streak
        begins = streak.failures and streak.failures < int(spec["retries"])
        self.due[key] = now + (min(AGAIN_SECONDS, spec["interval"]) if begins else spec["interval"])

    def _withhold(self) -> None:
        """Write what changed, under the lock of those who write endpoints, on what is given at that moment."""
        after = judge.withheld(self.given["tasks"], self.given["node"], self.containers, self.health(), self.streaks)
        old = held.read_withheld(self.root, always=True)
        if after == old and held.seconds_since_beat(self.root) < BEAT_SECONDS:
            return
        with held.endpoints_lock(self.root):
            self._read_given()
            mine = held.local(self.given, after) if self.given else set()
            # First the record, then the files: whoever looks in between sees what is not as it was given.
            if after != old:
                held.write_withheld({ip: after[ip] for ip in sorted(mine)}, self.root)
            held.beat(self.root)
            if self.given and (old or mine):
                held.enforce(self.given, held.local(self.given, old), mine, self.apply, self.root)
        self._tell(old, after)

    def _tell(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for ip in sorted({*old, *new}):
            if (ip in old) != (ip in new):
                entry = new.get(ip) or old[ip]
                words = f"withheld: {entry['reason']}" if ip in new else "serves again"
                self.say(f"{entry['service']}.{entry['slot']} at {ip} {words}")

    def _restart(self, now: float) -> None:
        health = self.health()
        for one in self.containers:
            streak, done = self.streaks.get((one.id, "live"), Streak()), self.restarts.get(one.id, Restarts())
            reason = judge.must_restart(one, health.get(one.service) or {}, streak, done, now)
            if reason and not run_works(self.root):
                self.restarts[one.id] = Restarts(done.times + 1, now)
                self.say(f"{one.service}.{one.slot} is restarted: {reason}")
                self.repairs.submit(self._restart_one, one)
        listed = {one.id for one in self.containers}
        self.restarts = {key: value for key, value in self.restarts.items() if key in listed}

    def _restart_one(self, one: Container) -> None:
        try:
            grace = self.engine.grace(one.id)
            self.engine.restart(one.id, grace, grace + GRACE_MARGIN)
        except (EngineDown, ValueError, KeyError) as error:
            self.say(f"{one.service}.{one.slot} cannot be restarted: {error}")


def tell(line: str) -> None:
    """One line for the journal."""
    sys.stdout.write(f"{line}\n")


def run_works(root: str = "/") -> bool:
    """Whether some run has this host now: a module holds its lock, or its lease binds."""
    try:
        handle = os.open(os.path.join(root, "run/stowage/apply.lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    try:
        with open(os.path.join(root, "run/stowage/lock.json"), encoding="utf-8") as file:
            lease = json.load(file)
        return float(lease["until_boot"]) > time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def listen(watch: Watch, engine: EngineSocket) -> None:
    """Pass events on for ever; after each interruption everything is looked at anew."""
    while True:
        try:
            for what, container in engine.events():
                watch.event(what, container)
        except EngineDown:
            watch.event("", "")
            time.sleep(1)


def main(arguments: Iterable[str] = ()) -> int:
    """Watch until the end."""
    from ..network.host import apply_ports  # noqa: PLC0415 (only in the program)

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    engine = EngineSocket()
    watch = Watch(engine, apply_ports)
    threading.Thread(target=listen, args=(watch, engine), daemon=True).start()
    while True:
        watch.woken.clear()
        try:
            wait = watch.look(time.monotonic())
        except Exception as error:  # the watch goes on: what it withholds it must be able to give back
            tell(f"failed: {type(error).__name__}: {error}")
            wait = LOOK_SECONDS
        if watch.woken.wait(wait):
            time.sleep(SETTLE_SECONDS)
