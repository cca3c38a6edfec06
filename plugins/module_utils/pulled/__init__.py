# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration that containers pull from a store when they start: a service on each host that pulls for them.

A container asks through a FIFO of its own; it never holds the store's credential, and needs no network to the store.
"""
