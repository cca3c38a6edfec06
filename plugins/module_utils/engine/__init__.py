# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine room: the only place that talks to a Docker Engine. Runs on the host, inside a module.

Import the part you need (`engine.observe`, `engine.apply`, `engine.payload`, ...): nothing is re-exported here,
because a host compiles everything that its module imports, in every call.
"""
