# The commands of this project. `make help` lists them.

SHELL := bash
.DEFAULT_GOAL := help
SERVERS := .run/servers
DENY := PATH=$(CURDIR)/target/tools/bin:$$PATH cargo deny --locked
DEMO_ARGS := $(if $(KEEP),--keep) $(if $(CHAOS),--chaos $(CHAOS))
BENCH_ARGS := $(if $(OFFICES),--offices $(OFFICES)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SECONDS),--seconds $(SECONDS))
SCALE_ARGS := $(if $(OPEN),--open $(OPEN)) $(if $(CLOSED),--closed $(CLOSED)) $(if $(HERD),--herd $(HERD)) $(if $(SILENT),--silent $(SILENT)) \
	$(if $(SECONDS),--seconds $(SECONDS)) $(if $(READER),--reader-seconds $(READER)) $(if $(OVERLOAD),--overload-seconds $(OVERLOAD)) \
	$(if $(ONLY),--only $(ONLY))

.PHONY: help demo down test bench bench-scale check audit fmt schemas

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## plays three stories and a nation on private servers (KEEP=1 leaves it running, CHAOS=10 kills ten times)
	@deploy/demo $(DEMO_ARGS)

down: ## ends what the demo and the tests left running
	@deploy/down

test: ## everything, on real servers that it starts itself
	@deploy/test

bench: ## lives a second beside a bare relay, on a quiet machine, into bench/report.json; 45 minutes (OFFICES=600,32 PAIRS=5 SECONDS=60)
	@deploy/bench $(BENCH_ARGS)

bench-scale: ## small against a nation's million of open requests, and trials (OPEN=1000000 CLOSED=10000000 HERD=200000 SILENT=100000 READER=600 OVERLOAD=300)
	@deploy/bench-scale $(SCALE_ARGS)

check: ## form: fmt, clippy, docs, who may depend on what, schemas, alert rules, scripts, units
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@deploy/install-tools
	$(DENY) check --hide-inclusion-graph bans licenses sources || { $(DENY) --log-level error check bans licenses sources; exit 1; }
	cargo run --quiet --locked -p xacminh-contract --example schemas -- check
	@command -v python3 >/dev/null || deploy/install-servers --with-pika
	python3 data/derive-offices.py --check
	@command -v promtool >/dev/null || deploy/install-servers --with-prometheus
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules deploy/prometheus/tests/*.yml
	bash -n deploy/install-servers deploy/private-servers deploy/demo deploy/down deploy/test deploy/install-tools deploy/audit deploy/bench deploy/bench-scale deploy/check-units
	@deploy/check-units

audit: ## does an advisory name a crate we use? (asks the network)
	@deploy/audit

fmt: ## writes the code in its one form
	cargo fmt --all

schemas: ## writes schemas/ and the generated table of docs/PROTOCOL.md
	cargo run --quiet -p xacminh-contract --example schemas -- write
