# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of the nftables table `inet stowage`: guard, marks, masquerade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .blocks import ip_range
from .converge import BRIDGE, BRIDGES, LOOP, MARK, own, peers, tunnels
from .firewall import script
from .names import WIREGUARD
from .state import endpoint


def base_table(state: Mapping[str, Any]) -> str:
    """The nft script of `inet stowage` for one host; state is the fleet table and `name`.

    Outside cannot reach container addresses, containers cannot pose as others, VXLAN comes from the fleet only. What
    may pass is marked: accepting it here would not stop Docker's chains from dropping it, so those accept the mark.
    """
    body = _members(state) + _guard(state) + _redirects(state) + _forwarding(state) + _source(state)
    return script("inet stowage", body)


def _members(state: Mapping[str, Any]) -> str:
    """Who is no container of a plan: hosts, and what was started by hand; what is the fleet's, and what is this host's.

    The policy fills the empty chains, and adds fixed addresses, which are in no block, to the last three sets.
    """
    nodes = sorted(state["nodes"].values(), key=lambda entry: int(entry["index"]))
    return f"""\tset hosts {{
\t\ttype ipv4_addr
\t\telements = {{ {", ".join(entry["vtep"] for entry in nodes)} }}
\t}}
\tset byhand {{
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = {{ {", ".join(ip_range(entry["block"]) for entry in nodes)} }}
\t}}
\tset inside {{
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = {{ {state["cidr"]} }}
\t}}
\tset mine {{
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = {{ {own(dict(state))["block"]} }}
\t}}
\tset fixed {{
\t\ttype ipv4_addr
\t}}
\tchain judged {{
\t}}
\tchain leaving {{
\t}}
\tchain sourced {{
\t}}
\tchain refused {{
\t\tmeta l4proto tcp counter reject with tcp reset
\t\tcounter reject with icmpx type admin-prohibited
\t}}
"""


def _guard(state: Mapping[str, Any]) -> str:
    me = own(dict(state))
    family = "ip6" if ":" in endpoint(state, me) else "ip"
    kind = "ipv6_addr" if family == "ip6" else "ipv4_addr"
    underlay = sorted(endpoint(state, peer) for peer in peers(dict(state)).values())
    elements = f"elements = {{ {', '.join(underlay)} }}; " if underlay else ""
    return f"""{_sealing(state)}\tset peers {{ type {kind}; {elements}}}
\tchain guard {{
\t\ttype filter hook prerouting priority -310; policy accept;
{_sealed(state)}\t\tudp dport {state["port"]} @th,96,24 {_vnis(state)} {family} saddr != @peers drop
\t\tiifname != "lo" ip daddr 127.0.0.0/8 drop
\t\tiifname "{BRIDGE}" ip saddr != {me["block"]} drop
\t\tiifname "{BRIDGE}" ip saddr {{ {me["vtep"]}, {me["gateway"]} }} drop
\t\tiifname "{BRIDGES}" iifname != "{BRIDGE}" ip saddr != @fixed drop
\t\tiifname {_names(*tunnels(state))} ip saddr != @inside drop
{_native(state)}\t\tiifname != {_names("lo", BRIDGES, *tunnels(state), *_inner(state), LOOP[1])} ip daddr @inside drop
\t}}
"""


def _inner(state: Mapping[str, Any]) -> list[str]:
    return [WIREGUARD] if state.get("encryption") else []


def _sealed(state: Mapping[str, Any]) -> str:
    """With encryption: no VXLAN of ours from anywhere else, and from there nothing but for this host itself."""
    if not state.get("encryption"):
        return ""
    return f"""\t\tiifname != "{WIREGUARD}" udp dport {state["port"]} @th,96,24 {_vnis(state)} counter drop
\t\tiifname "{WIREGUARD}" ip saddr != @peers drop
\t\tiifname "{WIREGUARD}" ip daddr != {own(dict(state))["inner"]} drop
"""


def _sealing(state: Mapping[str, Any]) -> str:
    """With encryption: no VXLAN of ours goes out any other way, whatever routes there are."""
    if not state.get("encryption"):
        return ""
    return f"""\tchain sealing {{
\t\ttype filter hook output priority 0; policy accept;
\t\toifname != "{WIREGUARD}" udp dport {state["port"]} @th,96,24 {_vnis(state)} counter drop
\t}}
"""


def _vnis(state: Mapping[str, Any]) -> str:
    """The VNI, or the set of them, that the fleet's tunnels have."""
    evpn = state.get("evpn")
    return f"{{ {state['vni']}, {evpn['vni']} }}" if evpn else str(state["vni"])


def _native(state: Mapping[str, Any]) -> str:
    """What comes without encapsulation from other hosts."""
    if not state.get("native"):
        return ""
    others = "ip saddr @inside ip saddr != @mine" + (f" ip saddr != {state['vips']}" if state.get("vips") else "")
    return f"\t\tiifname {_names(*state['native'])} {others} ip daddr @mine accept\n"


def _redirects(state: Mapping[str, Any]) -> str:
    """Clients of published ports, who share a link with all hosts then, are not told of a shorter way past this one."""
    if not state.get("native"):
        return ""
    return """\tchain redirects {
\t\ttype filter hook output priority 0; policy accept;
\t\ticmp type redirect drop
\t}
"""


class _Ways(NamedTuple):
    """Matches of forwarded packets, by where they come from and go to."""

    inward: str  # to a container here, or on another host
    outward: str  # out of the fleet
    within: str  # from a container or host of the fleet to another
    remote: str  # from another host's container


def _ways(state: Mapping[str, Any]) -> _Ways:
    """By device where every way has its own; by address where containers' packets share devices with others."""
    both = _names(BRIDGES, *tunnels(state))
    if state.get("native"):
        remote = f"iifname {_names(*tunnels(state), *state['native'])} ip saddr @inside"
        inside = "ip daddr @inside"
        return _Ways(inside, f"oifname != {both} ip daddr != @inside", f"ip saddr @inside {inside}", remote)
    inner = _names(BRIDGES, *tunnels(state), LOOP[1])
    remote = f"iifname {_names(*tunnels(state))}"
    return _Ways(f"oifname {both}", f"oifname != {both}", f"iifname {inner} oifname {both}", remote)


def _names(*devices: str) -> str:
    """A device, or a set of them."""
    quoted = [f'"{device}"' for device in devices]
    return quoted[0] if len(quoted) == 1 else f"{{ {', '.join(quoted)} }}"


def _forwarding(state: Mapping[str, Any]) -> str:
    """Containers to the outside stay Docker's business: a mark there would break its isolation of networks.

    What still has a service's address here has no task to go to, but for what comes back over the loop (untracked).
    What had one is judged as if it had gone to the task itself.
    """
    ways, vips = _ways(state), state.get("vips")
    passes = f"meta mark set meta mark or {MARK} accept"
    services = f"""\tchain unserved {{
\t\ttype filter hook output priority 0; policy accept;
\t\tip daddr {vips} goto refused
\t}}
"""
    return f"""{services if vips else ""}\tchain forwarding {{
\t\ttype filter hook forward priority -10; policy accept;
\t\tiifname "{BRIDGES}" oifname "{LOOP[0]}" ct state untracked {passes}
\t\toifname "{LOOP[0]}" goto refused
\t\tiifname "{BRIDGES}" {ways.outward} jump leaving
\t\t{ways.inward} ct status dnat ct direction original {_unless(vips)}jump sourced
\t\t{ways.inward} ct status dnat {_unless(vips)}{passes}
\t\t{ways.within} jump judged
\t\t{ways.inward} ct state established,related {passes}
\t\t{ways.remote} ct state established,related {passes}
\t\t{ways.within} {passes}
\t\t{ways.remote} drop
\t\t{ways.inward} drop
\t}}
\tchain segment {{
\t\ttype filter hook forward priority -150; policy accept;
\t\toifname {_names(*tunnels(state))} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
\t}}
"""


def _source(state: Mapping[str, Any]) -> str:
    """Masquerade what leaves the fleet, and published flows whose replies would not come back through this host."""
    me, vips = own(dict(state)), state.get("vips")
    away = f'oifname != "{BRIDGES}" ip daddr @inside'
    both = _names(BRIDGES, *tunnels(state))
    return f"""\tchain source {{
\t\ttype nat hook postrouting priority 90; policy accept;
\t\toifname "{BRIDGES}" ip saddr 127.0.0.0/8 masquerade
\t\t{away} ip saddr 127.0.0.0/8 snat ip to {me["vtep"]}
\t\t{away} ct status dnat ip saddr != @mine snat ip to {me["vtep"]}
\t\toifname "{BRIDGES}" ct status dnat ip saddr {me["vtep"]} masquerade
\t\toifname "{BRIDGES}" ct status dnat {_unless(vips)}ip saddr @mine masquerade
\t\toifname != {both} ip saddr @mine ip daddr != @inside masquerade
\t}}
"""


def _unless(vips: Any) -> str:
    """Matches flows that were not begun to a service's address."""
    return f"ct original ip daddr != {vips} " if vips else ""
