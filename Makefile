# One command for each habit. `make test` is what has to pass before a change lands.

# Two at a time: some dependencies compile large C sources, and small machines run out of memory first.
export CARGO_BUILD_JOBS ?= 2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help bootstrap run test bench fmt lint

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

bootstrap: ## install what is missing (Debian packages)
	@scripts/bootstrap

run: ## build and start the product; ARGS="…" goes to `paliadin serve`
	@scripts/bootstrap run
	cargo run -- serve $(ARGS)

lint: ## formatting and lints
	cargo fmt --check
	cargo clippy --all-targets --features faults -- -D warnings

test: bootstrap lint ## every check and every test
	cargo test --features faults --lib --tests

bench: bootstrap ## floors and the rows measured against them, into target/bench.md; ARGS=--floors-only
	cargo bench --bench engine -- $(ARGS)

fmt: ## format the code
	cargo fmt
