# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bench's hosts: commands on them, since when their containers run, and how often their engines were asked."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/bench"
FOLDER = ROOT / ".lab/bench"  # the lab's inventory directory
GROUP = yaml.safe_load((FOLDER / "hosts.yml").read_text())["all"]["children"]["stowage_nodes"]
ADDRESSES = {name: host["ansible_host"] for name, host in sorted(GROUP["hosts"].items())}
LIST = "docker ps -aq --no-trunc --filter name=^bench_"
# The CLI hands numbers to templates as text.
CLEAN = """{{if and .State.Running (eq (print .RestartCount) "0")}}{{.Id}} {{.State.StartedAt}}{{end}}"""
STARTS = "timeout %d docker events --filter event=start --format '{{.Actor.Attributes.name}}'"
LONGEST = 180  # seconds that a cold deploy may take
# A reload leaves alone what the file does not say, so debug is switched off before the file is put back.
DEBUG = """set -e; cd /etc/docker; [ -e bench.json ] || cp daemon.json bench.json
python3 -c 'import json; d = json.load(open("bench.json")); d["debug"] = %s; json.dump(d, open("daemon.json", "w"))'
systemctl reload docker; sleep 1; %s"""


def ssh(node, command):
    """The argv that runs a command on a node over a connection that is kept."""
    control = f"{os.environ['ANSIBLE_SSH_CONTROL_PATH_DIR']}/bench-{node}"
    keep = f"-o BatchMode=yes -o ControlMaster=auto -o ControlPersist=30m -o ControlPath={control}".split()
    trust = ["-i", GROUP["vars"]["ansible_ssh_private_key_file"], *GROUP["vars"]["ansible_ssh_common_args"].split()]
    return ["ssh", *keep, *trust, f"root@{ADDRESSES[node]}", command]


def run(argv, log="last", cwd=ROOT, stdin=subprocess.DEVNULL):
    """Run a command; (seconds, output). A log has its lines with the moment each came, to read where the time went."""
    options = {"cwd": cwd, "env": {**os.environ, "PWD": str(cwd)}, "stdin": stdin, "text": True}
    began, lines = time.monotonic(), []
    with (CACHE / f"{log}.log").open("w") as out:
        process = subprocess.Popen(argv, **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in process.stdout:
            lines.append(line)
            out.write(f"{time.monotonic() - began:8.3f} {line}")
    if process.wait():
        raise SystemExit(f"{' '.join(map(str, argv))}: exit code {process.returncode}\n{''.join(lines[-40:])}")
    return time.monotonic() - began, "".join(lines)


def everywhere(command, nodes=tuple(ADDRESSES)):
    """Run a command on nodes, one after another; {node: output}."""
    return {node: run(ssh(node, command))[1].strip() for node in nodes}


def containers():
    """{id: when it was started} of the measured containers that run, and have run without a restart."""
    lines = "\n".join(everywhere(f"{LIST} | xargs -r docker inspect -f '{CLEAN}'").values()).splitlines()
    return {key: datetime.fromisoformat(began).timestamp() for key, began in map(str.split, filter(None, lines))}


@contextmanager
def listening():
    """Hear of started containers: gives a function that waits for `count` of them and returns containers() then.

    Events cost the hosts next to nothing. They are heard from before the deploy on: an engine remembers 256 of them.
    """
    reader, writer = os.pipe()
    calls = [ssh(node, STARTS % LONGEST) for node in ADDRESSES]
    streams = [subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=writer) for call in calls]
    os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            yield lambda count: settled(lines, count)
    finally:
        for stream in streams:
            stream.kill()
            stream.wait()


def settled(lines, count):
    """containers() as soon as `count` were started, by the engines' own words."""
    missing = count
    while missing and (line := lines.readline()):
        missing -= line.startswith("bench_")
    found = containers()
    if len(found) != count:
        raise SystemExit(f"{len(found)} containers run, and have run without a restart; {count} are wanted")
    return found


def count_calls(act):
    """Do something; {node: [API calls, by whomever, that its engine saw meanwhile]}, from the engine's debug log."""
    everywhere(DEBUG % (True, "true"))
    since = time.time()
    act()
    time.sleep(1)  # the journal's last lines
    calls = everywhere(f"journalctl -u docker -o cat --since @{since:.3f} | grep -o 'Calling [^\"]*' || true")
    everywhere(DEBUG % (False, "mv bench.json daemon.json"))
    return {node: text.splitlines() for node, text in calls.items()}
