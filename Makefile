# The commands of the project. Each target calls a script in scripts/.
#
#   make run ARGS="--port 8080"      ARGS goes to `luciq serve`, or to scripts/bench
#   make bench BACKEND=cluster      with a MariaDB and a Redis that it starts
#   make bench BENCH=jobs           background jobs, compared with Ruby's Sidekiq
#   make bench BENCH=streams        live streams: latency, connections, readers
#   make bench BENCH=search         searches, compared with the Rails application's statement
#   make bench BENCH=access         requests by keys and user tokens, compared with the token in the path
#   make bench BENCH=flood          what a flood leaves to others
#   make bench BENCH=conversation   edits, reactions, what has changed and what is unread
#   make bench BENCH=against ARGS=v0.1.0   this build and another revision's, with NATS and nginx
#   make test FILTER=GroupCommit     FILTER is a part of a suite's or a test's name

ARGS   ?=
BACKEND ?= embedded
BENCH  ?= requests
FILTER ?=
LUCIQ  := .build/release/luciq
SWIFT_SOURCES := Sources Tests Package.swift

.DEFAULT_GOAL := help
.PHONY: help setup run run-cluster run-galera services test build release package bench smoke format lint clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what a build needs (with apt; on macOS it prints what to install with brew)
	@scripts/setup

run: ## Build and start the server on http://127.0.0.1:3000 (ARGS="--port 8080" …)
	@scripts/run $(ARGS)

run-cluster: ## Build and start two servers with a private MariaDB and Redis (ARGS="8080 8081")
	@scripts/run-cluster $(ARGS)

run-galera: ## The same with three MariaDB nodes (Galera) behind HAProxy (ARGS="8080 8081")
	@scripts/run-cluster --galera $(ARGS)

services: ## Start private MariaDB and Redis servers and print their addresses; Ctrl-C stops them
	@scripts/setup test
	@scripts/services foreground

test: ## Build and run the tests (FILTER=GroupCommit runs only some)
	@scripts/test '$(FILTER)'

build: setup ## Build everything for debugging, tests included
	@scripts/build --build-tests

release: setup ## Build the optimised executable, .build/release/luciq
	@scripts/release

package: release ## Pack the optimised executable for Linux: an archive and a Debian package in .build/packages
	@scripts/package $(LUCIQ)

smoke: release ## Test the release build as a user would run it: start, curl, stop, kill
	@scripts/setup smoke
	@scripts/smoke $(LUCIQ)

bench: release ## Measure the release build, about 15 minutes (BACKEND=cluster, BENCH=jobs, streams, search, access, flood, conversation or against, ARGS="--only rates --seconds 2" …)
	@scripts/setup bench
	@scripts/release luciq-bench
	@scripts/bench $(BENCH) --backend $(BACKEND) $(ARGS)

format: ## Format the sources
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

lint: ## Check the sources' format and the lint rules
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

clean: ## Delete all build products; data/ stays
	rm -rf .build
