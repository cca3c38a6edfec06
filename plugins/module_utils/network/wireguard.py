# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""WireGuard under VXLAN: this host's keys, the device stwwg0 and its peers. Standard library only.

The kernel's own where there is one, else the program wireguard-go, as a unit of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time

from .kernel import Change, NetworkError, apply, read, run, set_sysctls
from .links import level
from .names import KEY, NEXT_KEY, WIREGUARD
from .state import State, own, peers

INSIDE = 50  # what VXLAN adds to a packet inside of WireGuard, where all addresses are IPv4
UNIT = "stowage-wireguard"
TUN = "/dev/net/tun"
START_SECONDS = 10
# Where wireguard-go listens for its settings.
SOCKETS = "/run/wireguard"


def make_key(rotate: bool, check: bool) -> list[str]:
    """Have a key on this host, or with rotate one that takes its place; return what was not there."""
    path = NEXT_KEY if rotate and os.path.exists(KEY) else KEY
    if os.path.exists(path):
        return []
    if not check:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(run("wg", "genkey"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
    return [f"make {path}"]


def public_key() -> str:
    """The public half of the key that this host has, or will have with the next convergence; "" if it has none."""
    return _public(NEXT_KEY) or _public(KEY)


def use_key(state: State, check: bool) -> list[str]:
    """Put the key into use whose public half the table names. Raises NetworkError if this host has not that one."""
    if not state.get("encryption"):
        return []
    named = own(state)["public_key"]
    if named and named == _public(NEXT_KEY):
        if not check:
            os.replace(NEXT_KEY, KEY)
        return ["use the new key"]
    if not check and named != _public(KEY):
        raise NetworkError(
            f"the fleet table names another public key than {KEY} has: run stowage.fleet.bootstrap again"
        )
    return []


def converge_wireguard(state: State, check: bool) -> list[str]:
    """Have stwwg0 as the state says, or not at all; return what was not so."""
    found = next(iter(read("ip", "addr", "show", "dev", WIREGUARD)), None)
    if not state.get("encryption"):
        gone = [Change(f"remove device {WIREGUARD}", "ip", f"link del {WIREGUARD}")] if found else []
        sockets = socket_directory()
        return apply(gone, check) + leave(sockets, check)
    done = [] if found else [f"add device {WIREGUARD}"]
    if not found and not check:
        _add_device()
        found = next(iter(read("ip", "addr", "show", "dev", WIREGUARD)), None)
    if found is None:
        return done
    inner = own(state)["inner"]
    held = {f"{a['local']}/{a['prefixlen']}" for a in found.get("addr_info", []) if a["family"] == "inet"}
    changes = level(found, WIREGUARD, state["mtu"] + INSIDE)
    for address in sorted(held - {f"{inner}/32"}):
        changes.append(Change(f"remove address {address} on {WIREGUARD}", "ip", f"addr del {address} dev {WIREGUARD}"))
    if f"{inner}/32" not in held:
        changes.append(Change(f"add address {inner} on {WIREGUARD}", "ip", f"addr add {inner}/32 dev {WIREGUARD}"))
    done += _settings(state, check) + apply(changes, check)
    conf = f"net/ipv4/conf/{WIREGUARD}"
    wanted = {f"{conf}/rp_filter": "2", f"{conf}/send_redirects": "0", f"net/ipv6/conf/{WIREGUARD}/disable_ipv6": "1"}
    return done + set_sysctls(wanted, check)


def socket_directory() -> list[str]:
    """The directory of wireguard-go's sockets, if there is one for our device and none for another."""
    there = os.listdir(SOCKETS) if os.path.isdir(SOCKETS) else []
    return [SOCKETS] if there == [f"{WIREGUARD}.sock"] else []


def leave(directories: list[str], check: bool) -> list[str]:
    """Wait until wireguard-go has ended with its device, and remove what it made; return one line each."""
    for path in [] if check else directories:
        end = time.monotonic() + START_SECONDS
        while os.listdir(path) and time.monotonic() < end:
            time.sleep(0.1)
        with contextlib.suppress(OSError):  # somebody else's came in the meantime
            os.rmdir(path)
    return [f"remove directory {path}" for path in directories]


def _settings(state: State, check: bool) -> list[str]:
    """Key, port and peers, in one command; peers that stay keep their sessions."""
    head, *rows = [line.split("\t") for line in run("wg", "show", WIREGUARD, "dump").splitlines()]
    found = {row[0]: (row[2], row[3]) for row in rows}
    port, command, done = str(state["wireguard"]["port"]), [], []
    if head[1] != _public(KEY):
        command += ["private-key", KEY]
        done.append(f"set the key of {WIREGUARD}")
    if head[2] != port:
        command += ["listen-port", port]
        done.append(f"set the port of {WIREGUARD}")
    wanted = {}
    for name, peer in peers(state).items():
        host = f"[{peer['address']}]" if ":" in peer["address"] else peer["address"]
        if peer["public_key"]:
            wanted[peer["public_key"]] = (name, f"{host}:{port}", f"{peer['inner']}/32")
    for key in sorted(set(found) - set(wanted)):
        command += ["peer", key, "remove"]
        done.append(f"remove peer {key} on {WIREGUARD}")
    for key, (name, endpoint, address) in wanted.items():
        if found.get(key) != (endpoint, address):
            command += ["peer", key, "endpoint", endpoint, "allowed-ips", address]
            done.append(f"set peer {name} on {WIREGUARD}")
    if command and not check:
        run("wg", "set", WIREGUARD, *command)
    return done


def _public(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return run("wg", "pubkey", data=file.read()).strip()
    except FileNotFoundError:
        return ""


def _add_device() -> None:
    with contextlib.suppress(NetworkError):
        run("ip", "link", "add", WIREGUARD, "type", "wireguard")
        return
    program = shutil.which("wireguard-go")
    if program is None:
        raise NetworkError("the kernel has no WireGuard, and wireguard-go is not installed")
    _tun()
    if os.path.isdir("/run/systemd/system"):
        run("systemd-run", f"--unit={UNIT}", "--collect", "--quiet", program, "-f", WIREGUARD)
    else:
        run(program, WIREGUARD)
    end = time.monotonic() + START_SECONDS
    while not read("ip", "link", "show", "dev", WIREGUARD) or not os.path.exists(f"{SOCKETS}/{WIREGUARD}.sock"):
        if time.monotonic() > end:
            raise NetworkError(f"wireguard-go made no {WIREGUARD}: see `journalctl -u {UNIT}`")
        time.sleep(0.1)


def _tun() -> None:
    """The kernel's device for wireguard-go; in a container the node may be missing though the kernel has it."""
    if os.path.exists(TUN):
        return
    with contextlib.suppress(NetworkError):
        run("modprobe", "tun")
    with open("/proc/misc", encoding="ascii") as file:
        known = any(line.split() == ["200", "tun"] for line in file)
    if known and not os.path.exists(TUN):
        os.makedirs(os.path.dirname(TUN), exist_ok=True)
        os.mknod(TUN, 0o20600, os.makedev(10, 200))
