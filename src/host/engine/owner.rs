//! The creator of a container or an image: a mark that shows whether that process still lives.

use std::{fs, sync::LazyLock};

use sha2::{Digest as _, Sha256};

/// This process, as it is written into a label.
static OWN: LazyLock<Owner> = LazyLock::new(|| Owner {
    host: host(),
    pid: std::process::id(),
    started: started(std::process::id()).unwrap_or_default(),
});

/// A process on some host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Owner {
    /// Host name and PID namespace: a PID is only meaningful within the same ones.
    host: String,
    pid: u32,
    /// Clock ticks since boot: a reused PID has another start.
    started: u64,
}

/// Whether an owner still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Liveness {
    Lives,
    Dead,
    /// It runs on another host, or the mark cannot be read.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub(in crate::host) fn own() -> &'static Self {
        &OWN
    }

    /// The mark, `HOST PID START`.
    pub(super) fn mark(&self) -> String {
        format!("{} {} {}", self.host, self.pid, self.started)
    }

    /// The mark in the letters of a tag, `HOST.PID.START`: of the host its digest, which is as good to compare.
    pub(in crate::host) fn tag(&self) -> String {
        format!("{}.{}.{}", digest_of(&self.host), self.pid, self.started)
    }

    fn parse(mark: &str) -> Option<Self> {
        let mut words = mark.rsplitn(3, ' ');
        let started = words.next()?.parse().ok()?;
        let pid = words.next()?.parse().ok()?;
        Some(Self { host: words.next()?.to_owned(), pid, started })
    }
}

/// Whether the process that wrote this mark still lives.
pub(super) fn liveness(mark: &str) -> Liveness {
    match Owner::parse(mark) {
        Some(owner) if owner.host == OWN.host => of_this_host(owner.pid, owner.started),
        _ => Liveness::Elsewhere,
    }
}

/// The same for a mark in the letters of a tag.
pub(super) fn liveness_of_tag(tag: &str) -> Liveness {
    let mut parts = tag.splitn(3, '.');
    let is_here = parts.next().is_some_and(|host| host == digest_of(&OWN.host));
    let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
    match (is_here, number().and_then(|pid| u32::try_from(pid).ok()), number()) {
        (true, Some(pid), Some(started)) => of_this_host(pid, started),
        _ => Liveness::Elsewhere,
    }
}

fn of_this_host(pid: u32, then: u64) -> Liveness {
    match started(pid) {
        Some(started) if started == then => Liveness::Lives,
        // With `hidepid`, another user's process is invisible. It may be that one, so what it made is left alone.
        None if is_there(pid) => Liveness::Lives,
        _ => Liveness::Dead,
    }
}

/// How many digits of a host's digest are in a tag.
const DIGITS: usize = 16;

fn digest_of(host: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(host));
    digest.truncate(DIGITS);
    digest
}

/// Whether a process has this number, whoever owns it.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", name.trim(), namespace.display())
}

/// Field 22 of proc(5)'s `stat`, counted after the command, which may itself contain blanks and brackets.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives() {
        assert_ne!(Owner::own().started, 0);
        assert_eq!(liveness(&Owner::own().mark()), Liveness::Lives);
        let tag = Owner::own().tag();
        assert_eq!(liveness_of_tag(&tag), Liveness::Lives);
        assert!(tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'), "{tag}");
        let (before, _) = tag.rsplit_once('.').unwrap();
        assert_eq!(liveness_of_tag(&format!("{before}.1")), Liveness::Dead);
        for tag in ["", "x", "0123456789abcdef.1.1", &tag[DIGITS..], before] {
            assert_eq!(liveness_of_tag(tag), Liveness::Elsewhere, "{tag}");
        }
    }

    #[test]
    fn a_pid_that_another_process_has_now_is_a_dead_owner() {
        let mut owner = Owner::own().clone();
        owner.started += 1;
        assert_eq!(liveness(&owner.mark()), Liveness::Dead);
    }

    #[test]
    fn an_owner_on_another_host_is_neither_alive_nor_dead() {
        let mut owner = Owner::own().clone();
        owner.host.push('x');
        assert_eq!(liveness(&owner.mark()), Liveness::Elsewhere);
        for mark in ["", "x", "host 1", "host one 2"] {
            assert_eq!(liveness(mark), Liveness::Elsewhere, "{mark}");
        }
    }
}
