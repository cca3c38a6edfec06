# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network room: blocks and claims, kernel objects, the tables of nftables, published ports.

The controller imports it as `network.api`. Hosts import the one file they need: they compile it anew each time.
"""
