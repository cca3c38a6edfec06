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
include | applied | include | refuses | applies | local files, each with its own directory
models | refused | any | refuses | applies | run the model as a service
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
ports | applied | ports | applies, no addresses | applies | as Swarm; with an address, a port of the host itself
expose | applied | expose | deprecated, no effect | information | no effect is needed: the fleet network is open
volumes | applied | mounts | applies | applies | as Swarm; bind paths are the hosts'
networks | applied | service_networks | applies | applies | as Swarm; host is network_mode: host
configs | applied | references:services.*.configs[] | applies | applies | as Swarm
secrets | applied | references:services.*.secrets[] | applies | applies | as Swarm, on tmpfs
healthcheck | applied | section:services.*.healthcheck | applies | applies | as Swarm; gates updates
depends_on | applied | depends_on | no effect | start order | order of deploy, with conditions: see below
labels | applied | labels | applies | applies | container labels; Traefik labels are read here too
hostname | applied | string | applies | applies | as Swarm, with templates
domainname | applied | string | ignores, warns | applies | as Compose
init | applied | bool? | applies | applies | as Swarm
user | applied | string | applies | applies | as Swarm
working_dir | applied | string | applies | applies | as Swarm
dns | applied | strings_or_one | applies | applies | as Swarm
dns_search | applied | strings_or_one | applies | applies | as Swarm
extra_hosts | applied | extra_hosts | applies | applies | as Swarm
cap_add | applied | strings | applies | applies | as Swarm; ALL and those like SYS_ADMIN need allow_privileged
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
profiles | applied | strings_or_one | refuses | applies | deployed if one of them is active; none means always
extends | applied | extends | refuses | applies | of the same file or another one
platform | applied | string | refuses | applies | a placement rule: hosts of that system and architecture
network_mode | applied | string | ignores, warns | applies | host needs allow_privileged; bridge is the fleet network
privileged | applied | bool | ignores, warns | applies | needs allow_privileged
security_opt | applied | strings | ignores, warns | applies | as Compose; unconfined needs allow_privileged
devices | applied | devices | ignores, warns | applies | as Compose; most paths need allow_host_paths
device_cgroup_rules | applied | strings | refuses | applies | as Compose; needs allow_privileged
gpus | applied | gpus | refuses | applies | as Compose; say where the devices are by a constraint
group_add | applied | group_add | refuses | applies | as Compose
ipc | applied | string | ignores, warns | applies | as Compose; host needs allow_privileged
pid | applied | string | ignores, warns | applies | host only; needs allow_privileged
uts | applied | string | refuses | applies | host only; needs allow_privileged
userns_mode | applied | string | ignores, warns | applies | host only; needs allow_privileged
cgroup | applied | string | refuses | applies | private; host needs allow_privileged
cgroupns_mode | applied | string | ignores, warns | unknown | private; host needs allow_privileged
cgroup_parent | applied | string | ignores, warns | applies | as Compose
dns_opt | applied | strings_or_one | refuses | applies | as Compose
oom_score_adj | applied | int | applies | applies | as Swarm
oom_kill_disable | applied | bool | refuses | applies | as Compose; needs a memory limit
cpu_shares | applied | amount | refuses | applies | as Compose
cpu_period | applied | amount | refuses | applies | as Compose
cpu_quota | applied | amount | refuses | applies | as Compose
cpuset | applied | string | refuses | applies | as Compose
mem_swappiness | applied | amount | refuses | applies | as Compose; no effect on cgroup 2
memswap_limit | applied | swap | refuses | applies | as Compose; needs a memory limit
runtime | applied | string | refuses | applies | as Compose: the host's Engine must know it
storage_opt | applied | labels | refuses | applies | as Compose, where the host's storage driver takes it
annotations | applied | labels | refuses | applies | as Compose; Engine 24 and later, refused by older hosts
blkio_config | applied | section:services.*.blkio_config | refuses | applies | as Compose
label_file | applied | strings_or_one | refuses | applies | as Compose: lines NAME=value, below labels
build | warned | build | ignores, warns | builds | nothing is built: the image is pulled; refused without image
container_name | warned | string | ignores, warns | names the container | a DNS name inside the stack
links | warned | strings | ignores, warns | DNS names | names resolve without it; an alias is a DNS name in the stack
external_links | warned | strings | ignores, warns | DNS names | no effect: write web.<stack>.svc.<domain>
attach | warned | any | refuses | applies | no effect
develop | warned | any | refuses | applies | no effect
isolation | warned | string | applies | applies | no effect on Linux
pull_policy | warned | string | refuses | applies | no effect: a missing image is pulled
pull_refresh_after | warned | string | refuses | applies | no effect: an image that is there is not pulled again
cpu_count | refused | any | refuses | Windows | use deploy.resources.limits.cpus
cpu_percent | refused | any | refuses | Windows | use deploy.resources.limits.cpus
cpu_rt_period | refused | any | refuses | applies | leave it out: no real-time scheduling
cpu_rt_runtime | refused | any | refuses | applies | leave it out: no real-time scheduling
credential_spec | refused | any | applies, Windows | applies | leave it out: Windows only
mac_address | refused | string | ignores, warns | applies | leave it out: addresses come from the plan
models | refused | any | refuses | applies | run the model as a service
post_start | refused | any | refuses | applies | do it in the entrypoint
pre_stop | refused | any | refuses | applies | handle stop_signal in the container
provider | refused | any | refuses | applies | run it as a service with an image
use_api_socket | refused | any | refuses | applies | mount /var/run/docker.sock, with allow_host_paths
volume_driver | refused | any | refuses | version 2 | use volumes.<name>.driver
volumes_from | refused | any | refuses | applies | name the same volumes in both services
""",
    ),
    *rows(
        "services.*.blkio_config",
        """
weight | applied | amount | refuses | applies | as Compose
weight_device | applied | sections:services.*.blkio_config.weight_device[] | refuses | applies | as Compose
weight_device[].path | applied | string | refuses | applies | as Compose
weight_device[].weight | applied | amount | refuses | applies | as Compose
device_read_bps | applied | sections:services.*.blkio_config.device_read_bps[] | refuses | applies | as Compose
device_read_bps[].path | applied | string | refuses | applies | as Compose
device_read_bps[].rate | applied | rate | refuses | applies | as Compose
device_write_bps | applied | sections:services.*.blkio_config.device_write_bps[] | refuses | applies | as Compose
device_write_bps[].path | applied | string | refuses | applies | as Compose
device_write_bps[].rate | applied | rate | refuses | applies | as Compose
device_read_iops | applied | sections:services.*.blkio_config.device_read_iops[] | refuses | applies | as Compose
device_read_iops[].path | applied | string | refuses | applies | as Compose
device_read_iops[].rate | applied | amount | refuses | applies | as Compose
device_write_iops | applied | sections:services.*.blkio_config.device_write_iops[] | refuses | applies | as Compose
device_write_iops[].path | applied | string | refuses | applies | as Compose
device_write_iops[].rate | applied | amount | refuses | applies | as Compose
""",
    ),
    *rows(
        "services.*.ports[]",
        """
target | applied | int | applies | applies | as Swarm
published | applied | published | applies, numbers | applies | or a range with mode host: any free one
protocol | applied | string | applies | applies | tcp, udp, sctp
mode | applied | string | applies | applies | ingress or host
name | warned | string | refuses | information | no effect
app_protocol | warned | string | refuses | information | no effect
host_ip | applied | string | refuses | applies | the port is one of the host itself: mode host
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
image | refused | any | refuses | applies | copy the files into the service's image
bind.propagation | applied | string | applies | applies | as Swarm
bind.create_host_path | warned | bool | no effect | applies | no effect: the path must exist on the host
bind.selinux | warned | string | no effect | applies | no effect
bind.recursive | applied | string | refuses | applies | as Compose; writable and readonly need Engine 25
volume.nocopy | applied | bool | applies | applies | as Swarm
volume.subpath | applied | string | refuses | applies | as Compose; Engine 26 and later, refused by older hosts
volume.labels | refused | any | refuses | applies | use volumes.<name>.labels
tmpfs.size | applied | tmpfs_size | applies, bytes | applies | as Swarm; 64m is read too
tmpfs.mode | applied | mode | no effect | applies | as Compose
""",
    ),
    *rows(
        "services.*.networks.*",
        """
aliases | applied | strings | applies | applies | DNS names inside the stack
priority | warned | int | refuses | applies | no effect: there is one network
gw_priority | warned | int | refuses | applies | no effect: there is one network
driver_opts | refused | labels | applies | applies | leave it out: there is one network
interface_name | refused | any | refuses | applies | leave it out: there is one network
ipv4_address | applied | string | no effect | applies | as Compose, on every host; one per service, and a single task
ipv6_address | refused | string | no effect | applies | use an alias: addresses come from the plan
link_local_ips | refused | any | refuses | applies | leave it out: addresses come from the plan
mac_address | refused | any | refuses | applies | leave it out: addresses come from the plan
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
start_interval | applied | duration? | applies | applies | Engine 25 and later; older ones use interval
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
