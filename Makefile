# One command for each habit. `make test` is what has to pass before a change lands.

# Two at a time: some dependencies compile large C sources, and small machines run out of memory first.
export CARGO_BUILD_JOBS ?= 2

# What the chat page is made of; directories too, so that a file that was removed counts.
PAGE_SOURCES := $(shell find web/src web/public ! -name '*.test.ts') web/chat.html \
    $(wildcard web/*.config.js web/*.config.ts web/vite.plugins.ts web/tsconfig.json)
PAGE := web/dist/chat.html
PACKAGES := web/node_modules/.package-lock.json
CODEX := tests/agents/node_modules/.package-lock.json
CLAUDE := tests/agents/claude/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.NOTPARALLEL:
# A page that was built by half counts as not built.
.DELETE_ON_ERROR:
.PHONY: help bootstrap run dev web agents test soak fuzz bench fmt lint

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

bootstrap: ## install what is missing (Debian packages)
	@scripts/bootstrap

run: bootstrap-run web ## build and start the product; ARGS="…" goes to `paliadin serve`
	cargo run -- serve $(ARGS)

dev: bootstrap-run $(PACKAGES) ## start the product, and the chat page with hot reload beside it
	@scripts/dev $(ARGS)

web: $(PAGE) ## build the chat page into web/dist, if it changed; cargo puts it into the program

agents: $(CODEX) $(if $(filter 1,$(PALIADIN_TEST_CLAUDE)),$(CLAUDE)) ## install the agents that tests run: codex (400 MB), and with PALIADIN_TEST_CLAUDE=1 Claude Code

lint: $(PACKAGES) ## formatting and lints
	cargo fmt --check
	cargo clippy --all-targets --features faults -- -D warnings
	cd web && npm run --silent check

# cargo's tests come late, so that their summary is in sight; the browser tests use the program that they built.
test: bootstrap lint web agents ## every check and every test
	cd web && npm test --silent
	cargo test --features faults --lib --tests
	PALIADIN_TEST_STORE=postgres cargo test --features faults --test it
	cd web && npm run --silent --if-present e2e

soak: bootstrap ## the server, agents and tmux killed at random; PALIADIN_SOAK_KILLS (1000) kills in each of the tests
	PALIADIN_SOAK_KILLS=$${PALIADIN_SOAK_KILLS:-1000} \
	    cargo test --features faults --test it -- kills:: --nocapture --test-threads=1

fuzz: bootstrap ## requests that nobody would send, for PALIADIN_FUZZ_SECONDS (300); the same again with its PALIADIN_FUZZ_SEED
	PALIADIN_FUZZ_SECONDS=$${PALIADIN_FUZZ_SECONDS:-300} \
	    cargo test --features faults --test it -- fuzz:: --nocapture

bench: bootstrap web ## floors and the rows measured against them, into target/bench.md, and the page's frames; ARGS=--floors-only
	cargo bench --bench engine -- $(ARGS)
	cargo build --features faults
	cd web && PALIADIN_BENCH=1 npm run --silent e2e -- speed

fmt: $(PACKAGES) ## format the code
	cargo fmt
	cd web && npm run --silent format

.PHONY: bootstrap-run
bootstrap-run:
	@scripts/bootstrap run

# npm writes this file when it is done.
$(PACKAGES): web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

$(CODEX): tests/agents/package-lock.json
	npm ci --prefix tests/agents --no-audit --no-fund
	@touch $@

# Its program is put in place by a script of its package, which npm does not run by itself everywhere.
$(CLAUDE): tests/agents/claude/package-lock.json
	npm ci --prefix tests/agents/claude --no-audit --no-fund --ignore-scripts
	cd tests/agents/claude/node_modules/@anthropic-ai/claude-code && node install.cjs
	@touch $@

$(PAGE): $(PACKAGES) $(PAGE_SOURCES)
	cd web && npm run --silent build
