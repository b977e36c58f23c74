# What one types here. Each target is a line or two over a script in scripts/.
#
#   make run ARGS="--port 8080"      ARGS goes to `luciq serve`, or to scripts/bench
#   make bench BACKEND=cluster      on a MariaDB and a Redis that are started for it
#   make bench BENCH=jobs           background jobs, next to Ruby's Sidekiq
#   make bench BENCH=streams        live streams: latency, connections, readers
#   make test FILTER=GroupCommit     FILTER is a part of a suite's or a test's name

ARGS   ?=
BACKEND ?= embedded
BENCH  ?= requests
FILTER ?=
LUCIQ  := .build/release/luciq
SWIFT_SOURCES := Sources Tests Package.swift

.DEFAULT_GOAL := help
.PHONY: help setup run run-cluster run-galera services test build release package bench smoke format lint clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing to build (apt; on macOS it says what to brew)
	@scripts/setup

run: ## Build and start the server on http://127.0.0.1:3000 (ARGS="--port 8080" …)
	@scripts/run $(ARGS)

run-cluster: ## Build and start two servers on a MariaDB and a Redis of their own (ARGS="8080 8081")
	@scripts/run-cluster $(ARGS)

run-galera: ## The same on three MariaDB nodes with Galera, behind HAProxy (ARGS="8080 8081")
	@scripts/run-cluster --galera $(ARGS)

services: ## Start private MariaDB and Redis servers and say where they are; Ctrl-C stops them
	@scripts/setup test
	@scripts/services foreground

test: ## Build and run the tests (FILTER=GroupCommit for some of them)
	@scripts/test '$(FILTER)'

build: setup ## Build everything, tests too, for debugging
	@scripts/build --build-tests

release: setup ## Build the optimised executable, .build/release/luciq
	@scripts/release

package: release ## Pack the optimised executable for Linux: an archive and a Debian package, in .build/packages
	@scripts/package $(LUCIQ)

smoke: release ## Drive the release build as a user would: start, curl, stop, kill
	@scripts/setup smoke
	@scripts/smoke $(LUCIQ)

bench: release ## Measure the release build, about 15 minutes (BACKEND=cluster, BENCH=jobs or streams, ARGS="--only rates --seconds 2" …)
	@scripts/setup bench
	@scripts/release luciq-bench
	@scripts/bench $(BENCH) --backend $(BACKEND) $(ARGS)

format: ## Rewrite the sources in the project's format
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

lint: ## Say what is not in the project's format, or breaks its rules
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

clean: ## Delete what was built; data/ stays
	rm -rf .build
