# `make run` starts the real thing; `make test` installs what the tests need and passes.

SHELL := /bin/bash
CACHE := target/clients
VM := target/vm
DENY_VERSION := 0.20.2
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# What the tests need besides the Rust toolchain; the clients bring a list of their own.
PACKAGES := ca-certificates dnsmasq-base gcc libc6-dev mount openssl qemu-system-x86 systemd xz-utils $(shell grep -hv '^\#' conformance/clients/packages.txt)
# What makes the image of a whole Debian.
IMAGE_PACKAGES := e2fsprogs fakeroot mmdebstrap uidmap

.PHONY: help run test test-all check deny tools tests parts debian whole-vm clients control service bench fuzz docs clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## Build the server and start it as an ordinary user would
	cargo build --release --package openimds
	@printf '\nStarting. In another shell, try:\n'
	@printf '  TOKEN=$$(curl -sX PUT http://127.0.0.1:1338/latest/api/token -H "X-aws-ec2-metadata-token-ttl-seconds: 21600")\n'
	@printf '  curl -s http://127.0.0.1:1338/latest/meta-data/ -H "X-aws-ec2-metadata-token: $$TOKEN"\n'
	@printf '  AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338 aws configure list\n\n'
	@target/release/imds serve

test: tools check tests clients control ## Install what the tests need, check, and test

test-all: export IMDS_TEST_KILLS = 100
test-all: export IMDS_TEST_ATTACK_SECONDS = 30
test-all: export IMDS_TEST_CHURN_SECONDS = 300
test-all: export IMDS_TEST_NAMESPACES = 2000
test-all: export POLICY_CASES = 300000
test-all: CONTROL_FLAGS := --all
test-all: PACKAGES += $(IMAGE_PACKAGES)
test-all: test service whole-vm ## The same, with the long tests in full, what needs root, and a whole Debian

check: deny ## Format, lints, documentation, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items --quiet
	cargo deny --log-level error check bans licenses sources

tests: parts ## Unit, conformance and process tests, and small virtual machines
	cargo build --package openimds
	cargo test --workspace --quiet

whole-vm: debian ## A virtual machine with a whole Debian, which its cloud-init sets up
	cargo test --package openimds --test vm --quiet -- --ignored

parts: ## Fetch what virtual machines are made of: a kernel and a busybox
	crates/cli/tests/vm/fetch $(VM)

debian: PACKAGES += $(IMAGE_PACKAGES)
debian: tools parts ## Make the root file system of a whole Debian
	crates/cli/tests/vm/image $(VM)

clients: ## Unmodified clients of others against the server
	cargo build --release --package openimds
	conformance/clients/run --imds target/release/imds --cache $(CACHE)

control: ## The EC2 API judged by the AWS CLI, boto3 and the reference scenario
	cargo build --release --package openimds
	conformance/control/run --imds target/release/imds --cache $(CACHE) $(CONTROL_FLAGS)

service: ## The systemd units, under a systemd of their own (needs root)
	cargo build --release --package openimds
	$(SUDO) conformance/systemd/run --imds target/release/imds

bench: ## CPU time, latency, memory and start, beside a floor server and nginx
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || { \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qqy --no-install-recommends nginx-light; }
	cargo build --release --package openimds --package openimds-bench
	target/release/openimds-bench run --imds target/release/imds $(BENCH_FLAGS)

TARGET := all
SECONDS := 600
fuzz: ## Look for bytes that break a promise: TARGET=request SECONDS=600
	fuzz/run $(TARGET) $(SECONDS)

docs: ## Write what is generated: the reference of settings, the table of clients
	cargo build --release --package openimds
	UPDATE_REFERENCE=1 cargo test --quiet --package openimds --bin imds reference
	UPDATE_REFERENCE=1 cargo test --quiet --package openimds-store document
	conformance/clients/run --imds target/release/imds --cache $(CACHE) --markdown README.md

tools: ## Install the packages that tests need
	@dpkg-query --show $(PACKAGES) >/dev/null 2>&1 || { \
	  echo "installing: $(PACKAGES)"; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $(PACKAGES); }

deny:
	@cargo deny --version >/dev/null 2>&1 || { \
	  echo "installing cargo-deny $(DENY_VERSION)"; cargo install --locked --quiet cargo-deny@$(DENY_VERSION); }

clean: ## Remove what was built
	cargo clean
