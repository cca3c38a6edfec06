# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every key of a stack file: applied, warned or refused, how it is read, and what Swarm, Compose and Stowage do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

APPLIED, WARNED, REFUSED = "applied", "warned", "refused"


class Key(NamedTuple):
    """One key: its path (`*` for names, `[]` for list items), our verdict, its form, and three phrases."""

    path: str
    verdict: str
    form: str
    swarm: str
    compose: str
    stowage: str


def _keys(prefix: str, text: str) -> list[Key]:
    """Keys of one mapping from lines `name | verdict | form | Swarm | Compose | Stowage`."""
    rows = []
    for line in text.strip().splitlines():
        name, verdict, form, swarm, compose, stowage = (cell.strip() for cell in line.split("|"))
        rows.append(Key(f"{prefix}.{name}".lstrip("."), verdict, form, swarm, compose, stowage))
    return rows


KEYS: list[Key] = [
    *_keys(
        "",
        """
version | applied | version | 3.0 to 3.13 | ignores it | any version is read as 3.13
name | applied | string | refuses | project name | the inventory names the stack; another name is warned about
services | applied | services | applies | applies | as Swarm
networks | applied | names:networks.* | applies | applies | as Swarm, see networks below
volumes | applied | names:volumes.* | applies | applies | as Swarm
configs | applied | names:configs.* | applies | applies | as Swarm
secrets | applied | names:secrets.* | applies | applies | as Swarm
include | refused | any | refuses | applies | give several files instead
models | refused | any | refuses | applies | not supported
""",
    ),
    *_keys(
        "services.*",
        """
image | applied | string | applies | applies | needed
command | applied | command | applies | applies | as Swarm
entrypoint | applied | command | applies | applies | as Swarm
environment | applied | environment | applies | applies | as Swarm; true and false are text
env_file | applied | env_file | applies, plain | applies, with quotes | as Swarm: quotes stay, with a warning
ports | applied | ports | applies, no addresses | applies | as Swarm; an address is refused
expose | applied | expose | deprecated, no effect | information | no effect is needed: the fleet network is open
volumes | applied | mounts | applies | applies | as Swarm; bind paths are the hosts'
networks | applied | service_networks | applies | applies | all are the one fleet network
configs | applied | references:services.*.configs[] | applies | applies | as Swarm
secrets | applied | references:services.*.secrets[] | applies | applies | as Swarm, on tmpfs
healthcheck | applied | section:services.*.healthcheck | applies | applies | as Swarm; gates updates
depends_on | applied | depends_on | no effect | start order | order of deploy
labels | applied | labels | applies | applies | container labels; Traefik labels are read here too
hostname | applied | string | applies | applies | as Swarm, with templates
domainname | applied | string | ignores, warns | applies | as Compose
init | applied | bool? | applies | applies | as Swarm
user | applied | string | applies | applies | as Swarm
working_dir | applied | string | applies | applies | as Swarm
dns | applied | strings_or_one | applies | applies | as Swarm
dns_search | applied | strings_or_one | applies | applies | as Swarm
extra_hosts | applied | extra_hosts | applies | applies | as Swarm
cap_add | applied | strings | applies | applies | as Swarm; ALL needs x-stowage.allow_privileged
cap_drop | applied | strings | applies | applies | as Swarm
sysctls | applied | labels | applies | applies | as Swarm
ulimits | applied | ulimits | applies | applies | as Swarm
tmpfs | applied | strings_or_one | no effect | applies | as Compose
shm_size | applied | size_text | ignores, warns | applies | as Compose
read_only | applied | bool | applies | applies | as Swarm
tty | applied | bool | applies | applies | as Swarm
stdin_open | applied | bool | applies | applies | as Swarm
stop_signal | applied | string | applies | applies | as Swarm
stop_grace_period | applied | duration? | applies | applies | as Swarm, 10s if not stated
logging | applied | section:services.*.logging | applies | applies | as Swarm
restart | applied | string | else restart_policy; no means any | applies | else restart_policy; no means none
deploy | applied | section:services.*.deploy | applies | partly | as Swarm
scale | applied | count | refuses | applies | deploy.replicas
cpus | applied | cpus | refuses | applies | deploy.resources.limits.cpus
mem_limit | applied | size | refuses | applies | deploy.resources.limits.memory
mem_reservation | applied | size | refuses | applies | deploy.resources.reservations.memory
pids_limit | applied | count | refuses | applies | deploy.resources.limits.pids
x-stowage | applied | section:services.*.x-stowage | ignores | ignores | see x-stowage below
build | warned | build | ignores, warns | builds | nothing is built: the image is pulled; refused without image
container_name | warned | string | ignores, warns | names the container | a DNS name inside the stack
links | warned | strings | ignores, warns | DNS names | names resolve without it; an alias is a DNS name in the stack
external_links | warned | strings | ignores, warns | DNS names | no effect: write web.<stack>.svc.<domain>
attach | warned | any | refuses | applies | no effect
develop | warned | any | refuses | applies | no effect
isolation | warned | string | applies | applies | no effect on Linux
pull_policy | warned | string | refuses | applies | no effect: a missing image is pulled
annotations | refused | any | refuses | applies | not supported yet
blkio_config | refused | any | refuses | applies | not supported
cgroup | refused | any | refuses | applies | not supported
cgroupns_mode | refused | string | ignores, warns | unknown | not supported
cgroup_parent | refused | string | ignores, warns | applies | not supported yet
cpu_count | refused | any | refuses | applies | use deploy.resources
cpu_percent | refused | any | refuses | applies | use deploy.resources
cpu_period | refused | any | refuses | applies | use deploy.resources
cpu_quota | refused | any | refuses | applies | use deploy.resources.limits.cpus
cpu_rt_period | refused | any | refuses | applies | not supported
cpu_rt_runtime | refused | any | refuses | applies | not supported
cpu_shares | refused | any | refuses | applies | use deploy.resources
cpuset | refused | any | refuses | applies | not supported
credential_spec | refused | any | applies, Windows | applies | Windows only
device_cgroup_rules | refused | any | refuses | applies | not supported yet
devices | refused | strings | ignores, warns | applies | not supported yet
dns_opt | refused | any | refuses | applies | not supported yet
extends | refused | any | refuses | applies | use YAML anchors or several files
gpus | refused | any | refuses | applies | not supported yet
group_add | refused | any | refuses | applies | not supported yet
ipc | refused | string | ignores, warns | applies | not supported yet
label_file | refused | any | refuses | applies | use labels
mac_address | refused | string | ignores, warns | applies | not supported: addresses come from the plan
mem_swappiness | refused | any | refuses | applies | not supported
memswap_limit | refused | any | refuses | applies | not supported
models | refused | any | refuses | applies | not supported
network_mode | refused | string | ignores, warns | applies | not supported: every container is on the fleet network
oom_kill_disable | refused | any | refuses | applies | not supported
oom_score_adj | refused | int | applies | applies | not supported yet
pid | refused | string | ignores, warns | applies | not supported yet
platform | refused | any | refuses | applies | use the constraint node.platform.arch
post_start | refused | any | refuses | applies | not supported
pre_stop | refused | any | refuses | applies | not supported
privileged | refused | bool | ignores, warns | applies | not supported
profiles | refused | any | refuses | applies | use several files
provider | refused | any | refuses | applies | not supported
runtime | refused | any | refuses | applies | not supported yet
security_opt | refused | strings | ignores, warns | applies | not supported yet
storage_opt | refused | any | refuses | applies | not supported
use_api_socket | refused | any | refuses | applies | not supported
userns_mode | refused | string | ignores, warns | applies | not supported yet
uts | refused | any | refuses | applies | not supported
volume_driver | refused | any | refuses | version 2 | use volumes.<name>.driver
volumes_from | refused | any | refuses | applies | use a named volume
""",
    ),
    *_keys(
        "services.*.ports[]",
        """
target | applied | int | applies | applies | as Swarm
published | applied | published | applies, numbers | applies | as Swarm; text is read as a number
protocol | applied | string | applies | applies | tcp, udp, sctp
mode | applied | string | applies | applies | ingress or host
name | warned | string | refuses | information | no effect
app_protocol | warned | string | refuses | information | no effect
host_ip | refused | string | refuses | applies | not supported: the port would be open on all addresses
""",
    ),
    *_keys(
        "services.*.volumes[]",
        """
type | applied | string | applies | applies | volume, bind, tmpfs
source | applied | string | applies | applies | as Swarm
target | applied | string | applies | applies | as Swarm
read_only | applied | bool | applies | applies | as Swarm
consistency | warned | string | no effect | no effect | no effect
bind | applied | section:services.*.volumes[].bind | applies | applies | as Swarm
volume | applied | section:services.*.volumes[].volume | applies | applies | as Swarm
tmpfs | applied | section:services.*.volumes[].tmpfs | applies | applies | as Swarm
image | refused | any | refuses | applies | not supported
bind.propagation | applied | string | applies | applies | as Swarm
bind.create_host_path | warned | bool | no effect | applies | no effect: the path must exist on the host
bind.selinux | refused | any | no effect | applies | not supported
bind.recursive | refused | any | refuses | applies | not supported
volume.nocopy | applied | bool | applies | applies | as Swarm
volume.subpath | refused | any | refuses | applies | not supported
volume.labels | refused | any | refuses | applies | use volumes.<name>.labels
tmpfs.size | applied | tmpfs_size | applies, bytes | applies | as Swarm; 64m is read too
tmpfs.mode | refused | any | no effect | applies | not supported
""",
    ),
    *_keys(
        "services.*.networks.*",
        """
aliases | applied | strings | applies | applies | DNS names inside the stack
priority | warned | int | refuses | applies | no effect: there is one network
gw_priority | warned | int | refuses | applies | no effect: there is one network
driver_opts | refused | labels | applies | applies | not supported
interface_name | refused | any | refuses | applies | not supported
ipv4_address | refused | string | no effect | applies | not supported: addresses come from the plan
ipv6_address | refused | string | no effect | applies | not supported: addresses come from the plan
link_local_ips | refused | any | refuses | applies | not supported
mac_address | refused | any | refuses | applies | not supported
""",
    ),
    *(
        key
        for kind in ("configs", "secrets")
        for key in _keys(
            f"services.*.{kind}[]",
            f"""
source | applied | string | applies | applies | as Swarm
target | applied | string | applies | applies | as Swarm; relative to {"/" if kind == "configs" else "/run/secrets"}
uid | applied | string | applies | ignores | as Swarm
gid | applied | string | applies | ignores | as Swarm
mode | applied | mode | applies | ignores | as Swarm, 0444 if not stated
""",
        )
    ),
    *_keys(
        "services.*.healthcheck",
        """
test | applied | health_test | applies | applies | as Swarm
interval | applied | duration? | applies | applies | as Swarm
timeout | applied | duration? | applies | applies | as Swarm
retries | applied | count? | applies | applies | as Swarm
start_period | applied | duration? | applies | applies | as Swarm
start_interval | warned | duration? | Engine 25 and later | Engine 25 and later | no effect yet
disable | applied | bool | applies | applies | as Swarm
""",
    ),
    *_keys(
        "services.*.logging",
        """
driver | applied | string | applies | applies | as Swarm
options | applied | labels | applies | applies | as Swarm
""",
    ),
    *_keys(
        "services.*.deploy",
        """
mode | applied | string | applies | applies | replicated or global; jobs are refused for now
replicas | applied | int? | applies | applies | 0 to 10000
labels | applied | labels | applies | information | Traefik labels are read here
endpoint_mode | applied | string | applies | applies | dnsrr; vip with a warning: names give all addresses
placement | applied | section:services.*.deploy.placement | applies | ignores | as Swarm
resources | applied | section:services.*.deploy.resources | applies | applies | as Swarm
restart_policy | applied | section:services.*.deploy.restart_policy | applies | applies | Docker's restart policy
update_config | applied | section:services.*.deploy.update_config | applies | partly | as Swarm; see defaults
rollback_config | applied | section:services.*.deploy.rollback_config | applies | ignores | as Swarm
placement.constraints | applied | strings_repeated | applies | ignores | as Swarm
placement.preferences | applied | sections:services.*.deploy.placement.preferences[] | applies | ignores | as Swarm
placement.preferences[].spread | applied | string | applies | ignores | as Swarm
placement.max_replicas_per_node | applied | count | applies | ignores | as Swarm
resources.limits | applied | section:services.*.deploy.resources.limits | applies | applies | as Swarm
resources.limits.cpus | applied | cpus | applies, text | applies | as Swarm; a number is read too
resources.limits.memory | applied | size | applies | applies | as Swarm
resources.limits.pids | applied | count | applies | applies | as Swarm
resources.reservations | applied | section:services.*.deploy.resources.reservations | applies | applies | as Swarm
resources.reservations.cpus | applied | cpus | applies, text | ignores | as Swarm; a number is read too
resources.reservations.memory | applied | size | applies | applies | as Swarm
resources.reservations.generic_resources | applied | generic_resources | applies | ignores | as Swarm
resources.reservations.devices | refused | any | refuses | applies | not supported yet
restart_policy.condition | applied | string | applies | applies | any, on-failure, none
restart_policy.max_attempts | applied | count? | applies | applies | with on-failure
restart_policy.delay | warned | duration? | applies | applies | no effect: Docker's own back-off
restart_policy.window | warned | duration? | applies | applies | no effect: Docker's own back-off
""",
    ),
    *(
        key
        for part in ("update_config", "rollback_config")
        for key in _keys(
            f"services.*.deploy.{part}",
            """
parallelism | applied | count? | applies | applies | as Swarm, 1 if not stated, 0 is all
delay | applied | duration | applies | applies | as Swarm
failure_action | applied | string | applies | applies | pause, continue, rollback
monitor | applied | duration | applies | applies | 5s, or 0s with a healthcheck, if not stated
max_failure_ratio | applied | number | applies | applies | as Swarm
order | applied | order | applies | applies | start-first or stop-first
""",
        )
    ),
    *_keys(
        "services.*.x-stowage",
        """
drain | applied | duration? | unknown | unknown | time between traffic off and stop, 2s if not stated
ready_timeout | applied | duration? | unknown | unknown | time a new container may take to become healthy
placement | applied | section:services.*.x-stowage.placement | unknown | unknown | see its keys
placement.strategy | applied | string | unknown | unknown | spread, binpack or round_robin
placement.hosts | applied | strings_or_one | unknown | unknown | only these hosts, by inventory name
allow_host_paths | applied | strings_or_one | unknown | unknown | guarded host paths this service may mount
allow_privileged | applied | bool | unknown | unknown | allows cap_add: [ALL]
""",
    ),
    *_keys(
        "services.*.x-stowage.placement",
        """
constraints | applied | rules | unknown | unknown | Swarm's and more, see scheduling.md
spread | applied | sections:services.*.x-stowage.placement.spread[] | unknown | unknown | even over the values of a key
spread[].over | applied | string | unknown | unknown | node.labels.zone
spread[].max_skew | applied | int? | unknown | unknown | a rule, not a wish: never more uneven than this
affinity | applied | sections:services.*.x-stowage.placement.affinity[] | unknown | unknown | near to others
affinity[].service | applied | string | unknown | unknown | of this stack, or the full name of another's
affinity[].group | applied | string | unknown | unknown | a group that services say they are of
affinity[].domain | applied | string | unknown | unknown | node.hostname if not stated, or node.labels.rack
affinity[].weight | applied | int? | unknown | unknown | 1 to 100, 10 if not stated
affinity[].required | applied | bool | unknown | unknown | true: a rule, not a wish
anti_affinity | applied | sections:services.*.x-stowage.placement.anti_affinity[] | unknown | unknown | far from others
anti_affinity[].service | applied | string | unknown | unknown | of this stack, or the full name of another's
anti_affinity[].group | applied | string | unknown | unknown | a group that services say they are of
anti_affinity[].domain | applied | string | unknown | unknown | node.hostname if not stated, or node.labels.rack
anti_affinity[].weight | applied | int? | unknown | unknown | 1 to 100, 10 if not stated
anti_affinity[].required | applied | bool | unknown | unknown | true: a rule, not a wish
groups | applied | strings_or_one | unknown | unknown | names that affinities of others can use
tolerations | applied | strings_or_one | unknown | unknown | taints that do not keep it off
priority | applied | int? | unknown | unknown | higher is placed first, 0 if not stated
preempt | applied | bool | unknown | unknown | true: it may displace what has a lower priority
stateful | applied | bool? | unknown | unknown | true if it has a local volume, if not stated
""",
    ),
    *_keys(
        "networks.*",
        """
name | applied | string | applies | applies | kept, no effect
driver | applied | string | applies | applies | overlay or bridge, realised as the fleet network
driver_opts | warned | labels | applies | applies | no effect; encrypted is refused
external | applied | external | applies | applies | realised as the fleet network, with a warning
attachable | applied | bool | applies | applies | every container of the fleet is on it
internal | applied | bool | applies | applies | true is refused: not enforced yet
ipam | applied | section:networks.*.ipam | applies | applies | stated subnets are refused
labels | applied | labels | applies | applies | kept, no effect
enable_ipv4 | refused | any | refuses | applies | not supported
enable_ipv6 | refused | any | refuses | applies | not supported
ipam.driver | applied | string | applies | applies | default only
ipam.config | applied | sections:networks.*.ipam.config[] | applies | applies | refused when stated
ipam.config[].subnet | applied | string | applies | applies | refused: addresses come from the plan
ipam.config[].gateway | refused | string | refuses | applies | addresses come from the plan
ipam.config[].ip_range | refused | string | refuses | applies | addresses come from the plan
ipam.config[].aux_addresses | refused | any | refuses | applies | addresses come from the plan
ipam.options | refused | any | refuses | applies | not supported
""",
    ),
    *_keys(
        "volumes.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
driver | applied | string | applies | applies | as Swarm
driver_opts | applied | labels | applies | applies | as Swarm
external | applied | external | applies | applies | as Swarm: must exist on the host
labels | applied | labels | applies | applies | as Swarm
""",
    ),
    *_keys(
        "configs.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
file | applied | path | applies | applies | read on the controller, beside the first file
content | applied | string | refuses | applies | as Compose
external | applied | external | applies | applies | refused when used: give a file
labels | applied | labels | applies | ignores | kept, no effect
environment | refused | any | refuses | applies | use content with a variable
template_driver | refused | string | applies | ignores | not supported
""",
    ),
    *_keys(
        "secrets.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
file | applied | path | applies | applies | read on the controller, beside the first file
external | applied | external | applies | applies | refused when used: give a file
labels | applied | labels | applies | ignores | kept, no effect
content | refused | any | refuses | refuses | a value has no place in a stack file
environment | refused | any | refuses | applies | give a file
driver | refused | string | applies | refuses | not supported
driver_opts | refused | labels | applies | refuses | not supported
template_driver | refused | string | applies | refuses | not supported
""",
    ),
]


@cache
def children(prefix: str) -> dict[str, Key]:
    """The keys directly below a path of the table, by name; "" for the top level."""
    lead = f"{prefix}." if prefix else ""
    below = {key.path[len(lead) :]: key for key in KEYS if key.path.startswith(lead)}
    return {name: key for name, key in below.items() if "." not in name and "[" not in name}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the known names nearest to this one; "" if none is near."""
    close = difflib.get_close_matches(name[:100].lower(), sorted(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else ""
