# What this repository can do. `make help` lists it; make/workshop.mk has the checks and tests.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV ?= .venv
# A lab of another name: make lab LAB=try HOSTS=5
LAB ?= lab
HOSTS ?= 3
# The interpreter is named: shims of version managers on the PATH may point to one that does not run.
PLAYBOOK := $(VENV)/bin/ansible-playbook -i localhost,

.PHONY: help quickstart clean setup lab lab-destroy

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart:  ## From a bare machine to a running sample stack on a lab; run again: nothing changes
	@VENV=$(VENV) scripts/quickstart

clean:  ## Remove all labs, their images, generated files and the Python environment
	@VENV=$(VENV) scripts/clean

setup:  ## Make the Python environment of requirements.txt (does nothing when it is there)
	@scripts/setup $(VENV)

lab: setup  ## Make a lab: hosts with sshd and Docker Engine in containers (LAB=lab HOSTS=3)
	@$(PLAYBOOK) stowage.fleet.workstation stowage.fleet.lab -e stowage_lab_name=$(LAB) -e stowage_lab_hosts=$(HOSTS)

lab-destroy: setup  ## Remove a lab (LAB=lab)
	@$(PLAYBOOK) stowage.fleet.lab_destroy -e stowage_lab_name=$(LAB)

-include make/workshop.mk
