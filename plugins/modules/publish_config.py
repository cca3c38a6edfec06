#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: publish_config
short_description: Write the inventory's values to the stores that containers pull from
version_added: 0.1.0
description:
  - Runs on the controller. For every service that C(stowage_config) names, the store of its C(x-stowage.config_source)
    gets the values and files that are stated there (docs/configuration.md). Containers that run keep what they pulled;
    the next plan shows which services a change rolls.
  - Keys are written in one transaction, each only if nobody else has changed it since it was read. etcd takes 100 keys
    at once and Consul 64; more are several transactions.
  - Other keys below the prefix stay, unless the entry says C(prune=true).
  - A document behind C(http) cannot be written.
attributes:
  check_mode:
    support: full
    description: Reads the stores, says what would be written, and writes nothing.
  diff_mode:
    support: full
    description:
      - Each key before and after. Of keys that the entry calls C(sensitive), of all in a store of secrets, and of what
        is no text, only sizes are shown.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Publish
  stowage.fleet.publish_config:
  run_once: true
"""

RETURN = r"""
published:
  description: Names of the keys that were written, by service.
  returned: always
  type: dict
  sample: {shop_web: {added: [motd], changed: [db/host], removed: []}}
"""

# The work is done by the action plugin of the same name.
