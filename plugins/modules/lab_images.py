#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action lab_images, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_images
short_description: Builds the lab's images and fills its registry
version_added: 0.1.0
description:
  - Builds Docker images from recipes, each known by the digest of everything that goes into it, so that nothing is
    built twice; with O(registry), pushes what the registry lacks and builds only what has to be pushed.
  - Runs on the controller and prints progress lines. A recipe without a parent is a directory with an executable
    C(build) that fills the directory given to it; any other is a C(Dockerfile) with C(ARG BASE).
options:
  recipes:
    description:
      - The recipes, parents first. Each has V(name), and optionally V(directory) (under O(root), default the name),
        V(parent), V(arguments) (build arguments), V(wheels) (PyPI package to the path of one file in its wheel) and
        V(push) (names in the registry).
    type: list
    elements: dict
    required: true
  root:
    description: Directory with the recipes' directories.
    type: path
    required: true
  only:
    description: Names of the recipes to build or push. Empty means all.
    type: list
    elements: str
    default: []
  registry:
    description: Address of a registry to push to, such as V(127.0.0.1:5000).
    type: str
    default: ""
  workers:
    description: How many images are built at the same time.
    type: int
    default: 2
requirements:
  - docker (Python)
  - pip, for recipes with wheels
attributes:
  action:
    description: >-
      Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
  platform:
    description: Target OS families that can be operated against.
    support: full
    platforms: posix
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Build an image on top of another
  stowage.fleet.lab_images:
    root: "{{ playbook_dir }}/images"
    recipes:
      - name: base
      - name: hello
        parent: base
        push: ["stowage/hello:1"]
    registry: 127.0.0.1:5000
"""

RETURN = r"""
images:
  description: Recipe name to the image's name in the local Docker Engine.
  returned: always
  type: dict
  sample: {"node": "stowage-lab/node:0123456789ab"}
built:
  description: Recipes that were built (or would be).
  returned: always
  type: list
  elements: str
pushed:
  description: Names that were pushed (or would be).
  returned: always
  type: list
  elements: str
"""
