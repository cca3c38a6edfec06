# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Discovery: Traefik's file and the names of services, from labels and serving tasks; delivery and the fence.

The controller imports it as `discovery.api`. Hosts import the one file they need: they compile it anew each time.
"""
