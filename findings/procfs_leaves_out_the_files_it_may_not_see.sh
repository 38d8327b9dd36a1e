#!/usr/bin/env bash
# The crate procfs lists the open files of a process that the caller may not look into: the folder can be read with
# CAP_DAC_READ_SEARCH, its links cannot. The iterator ends without an error and without an entry, so such a process seems to
# have nothing open. The process's `exe` is under the same rule and is refused.
. "$(dirname "$0")/lib/finding.sh"
readonly PROCFS=0.18.0
mkdir -p "$work/look/src"
cat >"$work/look/Cargo.toml" <<TOML
[package]
name = "look"
version = "0.0.0"
edition = "2021"
[dependencies]
procfs = { version = "=$PROCFS", default-features = false }
[workspace]
TOML
cat >"$work/look/src/main.rs" <<'RUST'
use procfs::process::Process;
fn main() {
    let pid = std::env::args().nth(1).and_then(|pid| pid.parse().ok()).expect("a process");
    let process = Process::new(pid).expect("it runs");
    let open: Vec<_> = process.fd().expect("the folder can be read").collect();
    let errors = open.iter().filter(|open| open.is_err()).count();
    let counted = process.fd_count().expect("the folder can be read");
    let listed = if open.len() == counted { "all" } else if open.is_empty() { "none" } else { "some" };
    println!("listed {listed} errors {errors}");
    println!("exe {}", if process.exe().is_ok() { "seen" } else { "refused" });
}
RUST
printf 'version: procfs %s\n' "$PROCFS"
(cd "$work/look" && cargo build --quiet)
sleep 600 &
other=$!
end() { kill "$other"; rm -rf "$work"; }
at_end=(end)
look() { "$@" "$work/look/target/debug/look" "$other"; }
seen "with all rights" "listed all errors 0 exe seen" "$(look env | paste -sd' ')"
# `sleep` keeps all rights of root; who looks has one.
few=(setpriv '--bounding-set=-all,+dac_read_search' --)
seen "with the right to read files alone" "listed none errors 0 exe refused" "$(look "${few[@]}" | paste -sd' ')"
