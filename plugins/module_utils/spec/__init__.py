# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The spec room: stack files in, Service values out."""

from __future__ import annotations

from .bake import LOCK, lock_text, locked_images, wanted_images
from .compilation import compile_services
from .config_golang import TemplateMistake
from .config_templates import filled, identity, template_values
from .export import stack_file
from .inventory import Stack, stack_variables, stacks
from .reading import Options, load

__all__ = [
    "LOCK",
    "Options",
    "Stack",
    "TemplateMistake",
    "compile_services",
    "filled",
    "identity",
    "load",
    "lock_text",
    "locked_images",
    "stack_file",
    "stack_variables",
    "stacks",
    "template_values",
    "wanted_images",
]
