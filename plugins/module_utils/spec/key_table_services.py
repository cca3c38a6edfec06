# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table's rows of the top level and of what a service says about its container."""

from __future__ import annotations

from .key_rows import Key, rows

SERVICES: list[Key] = [
    *rows(
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
    *rows(
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
    *rows(
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
    *rows(
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
    *rows(
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
        for key in rows(
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
    *rows(
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
    *rows(
        "services.*.logging",
        """
driver | applied | string | applies | applies | as Swarm
options | applied | labels | applies | applies | as Swarm
""",
    ),
]
