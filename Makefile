# make demo           the incident, found, repaired and verified on this host's engine, each command with its output
# make test           every test, also those against the real engine
# make lint           format, clippy, docs, shell scripts, licences and advisories of the dependencies
# make bench          check, apply and `content: same` against the same work done by hand, and how soon `run` repairs, with a release build
# make bench-trail    what a year of audit trail costs the verbs that read it, with a release build
# make bench-daemon   only how soon `run` repairs and what it costs at rest
# make soak           a quarter of an hour of random kills under `run`: what undrift did, and what is down at the end
# make test-engines   the tests on other engines and Composes, each in a container (AXES=…, ARGS=…; see docs/engines.md)
# make test-frameworks   the tests on a service in a real framework (examples/fastapi), whose base image takes minutes to make
# make attack         attacks by faults, files and strangers, for at most an hour (SEED=…, KINDS=…, MINUTES=…; see docs/attacks.md)
# make host           installs or starts what the others need and this host lacks
#
# demo, test, test-engines, test-frameworks, bench, soak and attack call scripts/host first; it changes nothing where everything is there.
.PHONY: help host demo test test-engines test-frameworks lint bench bench-trail bench-daemon soak attack

help:
	@sed -n 's/^# //p' Makefile | head -n 11

host:
	@scripts/host

demo: host
	cargo build --locked
	@scripts/demo

test:
	@scripts/host test
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run --locked && cargo test --doc --locked; \
	else set -x; cargo test --locked; fi

test-engines:
	@scripts/host test
	@scripts/test-engines $(AXES) $(if $(ARGS),-- $(ARGS))

test-frameworks:
	@scripts/host test
	@scripts/host fastapi
	cargo test --locked --test frameworks

lint:
	@scripts/host toolchain
	@scripts/lint

bench:
	@scripts/host bench
	cargo build --release --locked
	@scripts/bench
	@scripts/bench-content
	@scripts/bench-daemon

bench-trail:
	@scripts/host bench
	cargo build --release --locked
	@scripts/bench-trail

# The second half alone.
bench-daemon:
	@scripts/host bench
	cargo build --release --locked
	@scripts/bench-daemon

soak:
	@scripts/host bench
	cargo build --release --locked
	@scripts/soak

attack:
	@scripts/host bench
	cargo test --locked --test attack
