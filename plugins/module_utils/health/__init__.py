# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Between runs: each host's own watch over the containers that the plan gave it. Standard library only."""
