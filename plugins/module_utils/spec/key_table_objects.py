# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table's rows of networks, volumes, configs and secrets."""

from __future__ import annotations

from .key_rows import Key, rows

OBJECTS: list[Key] = [
    *rows(
        "networks.*",
        """
name | applied | string | applies | applies | as Swarm: stacks that use one name share the network
driver | applied | string | applies | applies | overlay or bridge, both over all hosts
driver_opts | warned | labels | applies | applies | no effect; encrypted is refused
external | applied | external | applies | applies | as Swarm: shared by all stacks that use it, needs not be made before
attachable | applied | bool | applies | applies | containers started by hand on a host may reach it
internal | applied | bool | applies | applies | as Swarm: no way out of the fleet
ipam | applied | section:networks.*.ipam | applies | applies | for services with ipv4_address
labels | applied | labels | applies | applies | kept, no effect
enable_ipv4 | refused | any | refuses | applies | leave it out: the fleet network is IPv4
enable_ipv6 | refused | any | refuses | applies | leave it out: the fleet network is IPv4
ipam.driver | applied | string | applies | applies | default only
ipam.config | applied | sections:networks.*.ipam.config[] | applies | applies | for services with ipv4_address
ipam.config[].subnet | applied | string | applies | applies | holds ipv4_address; others get addresses of the plan
ipam.config[].gateway | applied | string | refuses | applies | as Compose: the subnet's first address if not stated
ipam.config[].ip_range | warned | string | refuses | applies | no effect: other addresses come from the plan
ipam.config[].aux_addresses | warned | any | refuses | applies | no effect: other addresses come from the plan
ipam.options | refused | any | refuses | applies | leave it out: addresses come from the plan
""",
    ),
    *rows(
        "volumes.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
driver | applied | string | applies | applies | as Swarm
driver_opts | applied | labels | applies | applies | as Swarm
external | applied | external | applies | applies | as Swarm: must exist on the host
labels | applied | labels | applies | applies | as Swarm
x-cluster-spec | warned | any | applies | ignores | no effect: there are no cluster volumes
x-stowage | applied | section:volumes.*.x-stowage | ignores | ignores | see its keys
""",
    ),
    *rows(
        "volumes.*.x-stowage",
        """
class | applied | string | unknown | unknown | a storage class of the inventory: its hosts, and what it is made on
size | applied | size | unknown | unknown | what a new volume takes of the class's capacity on a host
backup | applied | section:volumes.*.x-stowage.backup | unknown | unknown | how it is saved: see its keys
backup.dump | applied | command | unknown | unknown | run in its container; what it prints is the backup
backup.load | applied | command | unknown | unknown | run in its container, with what was printed as its input
""",
    ),
    *rows(
        "configs.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
file | applied | path | applies | applies | read on the controller, beside the first file
content | applied | string | refuses | applies | as Compose
external | applied | external | applies | applies | refused when used: give a file
labels | applied | labels | applies | ignores | kept, no effect
environment | applied | string | refuses | applies | the content is the variable's value
template_driver | applied | driver | applies | ignores | golang as Swarm, or jinja2 from the inventory: configuration.md
""",
    ),
    *rows(
        "secrets.*",
        """
name | applied | string | applies | applies | as Swarm, else <stack>_<name>
file | applied | path | applies | applies | read on the controller, beside the first file
external | applied | external | applies | applies | refused when used: give a file
labels | applied | labels | applies | ignores | kept, no effect
content | refused | any | refuses | refuses | a value has no place in a stack file
environment | refused | any | refuses | applies | give a file
x-stowage | applied | section:secrets.*.x-stowage | ignores | ignores | see its keys
driver | refused | string | applies | refuses | give a file
driver_opts | refused | labels | applies | refuses | give a file
template_driver | refused | string | applies | refuses | give a file
""",
    ),
    *rows(
        "secrets.*.x-stowage",
        """
from | applied | string | unknown | unknown | vault:<path>#<key> or sops:<file>#<key>, instead of a file: secrets.md
key | applied | string | unknown | unknown | the value's place in a file that SOPS encrypted; all of it if not stated
""",
    ),
]
