# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table's rows of deploy and x-stowage."""

from __future__ import annotations

from .key_rows import Key, rows

DEPLOY: list[Key] = [
    *rows(
        "services.*.deploy",
        """
mode | applied | string | applies | applies | replicated, global, replicated-job, global-job
replicas | applied | int? | applies | applies | 0 to 10000
labels | applied | labels | applies | information | Traefik labels are read here
endpoint_mode | applied | string | applies | applies | vip or dnsrr, as Swarm
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
resources.reservations.devices | applied | gpus | refuses | applies | as gpus
restart_policy.condition | applied | string | applies | applies | any, on-failure, none
restart_policy.max_attempts | applied | count? | applies | applies | with on-failure
restart_policy.delay | warned | duration? | applies | applies | no effect: Docker's own back-off
restart_policy.window | warned | duration? | applies | applies | no effect: Docker's own back-off
""",
    ),
    *(
        key
        for part in ("update_config", "rollback_config")
        for key in rows(
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
    *rows(
        "services.*.x-stowage",
        """
drain | applied | duration? | unknown | unknown | time between traffic off and stop, 2s if not stated
ready_timeout | applied | duration? | unknown | unknown | time a new container may take to become healthy
observe_for | applied | duration? | unknown | unknown | time a new container is watched after it became ready
health | applied | section:services.*.x-stowage.health | unknown | unknown | what the host asks its containers
on_change | applied | on_change | unknown | unknown | restart, signal:HUP or none: see configuration.md
config_source | applied | section:services.*.x-stowage.config_source | unknown | unknown | pulled when it starts
config_source.type | applied | string | unknown | unknown | etcd, consul, zookeeper, vault or http
config_source.endpoints | applied | strings_or_one | unknown | unknown | asked one after the other
config_source.prefix | applied | string | unknown | unknown | what is below it is pulled; path of a document with http
config_source.dir | applied | string | unknown | unknown | where the container finds a file for each key
config_source.require | applied | strings_or_one | unknown | unknown | keys that must be there
config_source.stale | applied | string | unknown | unknown | last-good: goes on with what was pulled last on its host
config_source.tries | applied | int? | unknown | unknown | 5 if not stated
config_source.tls | applied | section:services.*.x-stowage.config_source.tls | unknown | unknown | how it is known
config_source.tls.ca | applied | string | unknown | unknown | a config of the stack: who signs its certificate
config_source.auth | applied | section:services.*.x-stowage.config_source.auth | unknown | unknown | who asks
config_source.auth.secret | applied | string | unknown | unknown | a secret of the stack; never in the container
secret_env | applied | labels | unknown | unknown | variable: secret of the service; not in docker inspect
bake | applied | section:services.*.x-stowage.bake | unknown | unknown | an image with configuration inside
bake.from | applied | string | unknown | unknown | the image that it is made from, by version or digest
bake.files | applied | labels | unknown | unknown | path in the image: file on the controller
bake.labels | applied | labels | unknown | unknown | labels of the image
bake.environment | applied | labels | unknown | unknown | variables of the image
require_labels | applied | labels | unknown | unknown | labels that its image must have, or nothing is started
update | applied | section:services.*.x-stowage.update | unknown | unknown | over update_config
update.parallelism | applied | number_or_percent | unknown | unknown | a number or 25% of the tasks at a time
update.max_unavailable | applied | number_or_percent | unknown | unknown | so many may be away; binds stop-first
update.min_available | applied | number_or_percent | unknown | unknown | so many stay; binds stop-first
canary | applied | section:services.*.x-stowage.canary | unknown | unknown | a new version begins beside the old one
canary.replicas | applied | number_or_percent | unknown | unknown | its tasks; as much as the weight if not stated
canary.weight | applied | int? | unknown | unknown | percent of the requests, 0 to 100
canary.match | applied | string | unknown | unknown | a Traefik rule: what matches goes to the canary
canary.mirror | applied | section:services.*.x-stowage.canary.mirror | unknown | unknown | copies; the old tasks answer
canary.mirror.percent | applied | int? | unknown | unknown | percent of the requests that are copied
canary.hold | applied | duration? | unknown | unknown | promoted by itself after it; waits for a word if not stated
before | applied | strings_or_one | unknown | unknown | jobs that run once per version before the stack rolls
placement | applied | section:services.*.x-stowage.placement | unknown | unknown | see its keys
placement.strategy | applied | string | unknown | unknown | spread, binpack or round_robin
placement.hosts | applied | strings_or_one | unknown | unknown | only these hosts, by inventory name
policy | applied | string | unknown | unknown | open, or closed: only whom allow names; closed with allow if not stated
allow | applied | allow | unknown | unknown | who may begin flows to it, see network.md
allow[].from | applied | strings_or_one | unknown | unknown | services, or * for all in its networks
allow[].ports | applied | expose | unknown | unknown | 8080/tcp, 9000-9010/udp; all if not stated
sources | applied | strings_or_one | unknown | unknown | networks that may use its published ports; all if not stated
allow_host_paths | applied | strings_or_one | unknown | unknown | guarded host paths this service may mount
allow_privileged | applied | bool | unknown | unknown | allows privileged, host namespaces and what is like them
compose | applied | section:services.* | unknown | unknown | keys that Swarm refuses, as export writes them
""",
    ),
    *rows(
        "services.*.x-stowage.health",
        """
ready | applied | section:services.*.x-stowage.health.ready | unknown | unknown | serves: else no traffic
live | applied | section:services.*.x-stowage.health.live | unknown | unknown | alive: else it is restarted
""",
    ),
    *(
        key
        for part in ("ready", "live")
        for key in rows(
            f"services.*.x-stowage.health.{part}",
            f"""
http | applied | section:services.*.x-stowage.health.{part}.http | unknown | unknown | GET, 200 to 399 passes
http.port | applied | int? | unknown | unknown | port of the container
http.path | applied | string | unknown | unknown | / if not stated
http.host | applied | string | unknown | unknown | header Host
tcp | applied | section:services.*.x-stowage.health.{part}.tcp | unknown | unknown | a connection passes
tcp.port | applied | int? | unknown | unknown | port of the container
grpc | applied | section:services.*.x-stowage.health.{part}.grpc | unknown | unknown | grpc.health.v1, SERVING passes
grpc.port | applied | int? | unknown | unknown | port of the container
grpc.service | applied | string | unknown | unknown | the whole server if not stated
interval | applied | duration? | unknown | unknown | 1.5s for ready, 10s for live, if not stated
timeout | applied | duration? | unknown | unknown | 1s if not stated
retries | applied | int? | unknown | unknown | failures in a row: 2 for ready, 3 for live, if not stated
start_period | applied | duration? | unknown | unknown | 0s if not stated; not asked before
""",
        )
    ),
    *rows(
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
]
