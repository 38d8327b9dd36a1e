//! Which containers something was done to that may have changed their files: a command in them, or a copy into them.
//!
//! Only containers whose files are compared count. A health check is a command, too, and would count every few seconds: what
//! it runs is known.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bollard::models::{EventMessage, EventMessageTypeEnum as Type};

/// How many health checks may be in progress; of more it is no longer known that they are some.
const MOST_CHECKS: usize = 1024;

/// How many containers are watched.
const MOST_CONTAINERS: usize = 4096;

/// The containers whose files are compared.
#[derive(Debug, Default)]
pub(in crate::host) struct ContentWatch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    containers: HashMap<String, WatchedContainer>,
    /// The IDs of the health checks that run.
    checks: HashSet<String>,
    /// Counts touches, and times at which events may have been missed.
    count: u64,
    /// The count when events may last have been missed.
    gap: u64,
}

impl Watched {
    const fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    const fn note_gap(&mut self) {
        self.gap = self.next();
    }
}

#[derive(Debug)]
struct WatchedContainer {
    /// The command of its health check, as events have it.
    check: Option<String>,
    /// The count when it was last touched.
    touched: u64,
}

impl ContentWatch {
    /// Watches a container, with the command of its health check. Returns a number that is another one after each touch.
    pub(in crate::host) fn watch(&self, container: &str, check: Option<&str>) -> u64 {
        let mut watched = self.lock();
        if watched.containers.len() >= MOST_CONTAINERS && !watched.containers.contains_key(container) {
            // Those that still are get in again, each read once more.
            watched.containers.clear();
            watched.note_gap();
        }
        let gap = watched.gap;
        let check = check.map(str::to_owned);
        let known = watched.containers.entry(container.to_owned());
        known.or_insert(WatchedContainer { check, touched: 0 }).touched.max(gap)
    }

    /// Events may have been missed: each container may have been touched.
    pub(super) fn note_gap(&self) {
        self.lock().note_gap();
    }

    /// Notes an event; returns whether it touched a watched container.
    pub(super) fn note(&self, event: &EventMessage) -> bool {
        let (Some(Type::CONTAINER), Some(action), Some(actor)) = (event.typ, &event.action, &event.actor)
        else {
            return false;
        };
        let (action, command) =
            action.split_once(": ").map_or((action.as_str(), None), |(a, c)| (a, Some(c)));
        let exec = actor.attributes.as_ref().and_then(|attributes| attributes.get("execID"));
        let mut watched = self.lock();
        let count = watched.next();
        let Watched { containers, checks, .. } = &mut *watched;
        let Some(container) = actor.id.as_ref().and_then(|id| containers.get_mut(id)) else { return false };
        match (action, exec) {
            ("exec_start", Some(exec)) if command.is_some() && command == container.check.as_deref() => {
                if checks.len() < MOST_CHECKS {
                    checks.insert(exec.clone());
                }
                return false;
            }
            // The command has ended; whatever it does, it has done.
            ("exec_die", Some(exec)) if checks.remove(exec) => return false,
            ("exec_die" | "extract-to-dir", _) => container.touched = count,
            ("destroy" | "remove", _) => {
                if let Some(id) = &actor.id {
                    containers.remove(id);
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The command of a health check, as the engine's events have it: moby's `daemon/health.go`.
pub(super) fn check_command(test: &[String], shell: Option<&[String]>) -> Option<String> {
    let (kind, command) = test.split_first()?;
    match kind.as_str() {
        "CMD" => Some(command.join(" ")),
        "CMD-SHELL" => {
            let shell = shell.filter(|shell| !shell.is_empty());
            let shell = shell.map_or_else(|| "/bin/sh -c".to_owned(), |shell| shell.join(" "));
            Some(format!("{shell} {}", command.first()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn event(action: &str, container: &str, exec: Option<&str>) -> EventMessage {
        let attributes = exec.map(|exec| ("execID".to_owned(), exec.to_owned())).into_iter().collect();
        EventMessage {
            typ: Some(Type::CONTAINER),
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some(container.to_owned()), attributes: Some(attributes) }),
            ..Default::default()
        }
    }

    /// As measured on engine 20.10.24.
    #[test]
    fn a_command_and_a_copy_touch_a_container_and_a_look_at_it_does_not() {
        let watch = ContentWatch::default();
        let before = watch.watch("a", None);
        for (action, exec, touches) in [
            ("exec_create: sh", Some("1"), false),
            ("exec_start: sh", Some("1"), false),
            ("exec_die", Some("1"), true),
            ("extract-to-dir", None, true),
            ("archive-path", None, false),
            ("start", None, false),
        ] {
            assert_eq!(watch.note(&event(action, "a", exec)), touches, "{action}");
            assert!(!watch.note(&event(action, "b", exec)), "nobody asked for b");
        }
        let touched = watch.watch("a", None);
        assert!(touched > before && touched == watch.watch("a", None));
        watch.note_gap();
        assert!(watch.watch("a", None) > touched);
        watch.note(&event("destroy", "a", None));
        assert!(!watch.note(&event("exec_die", "a", Some("1"))));
    }

    #[test]
    fn a_health_check_touches_nothing_and_another_command_beside_it_does() {
        let watch = ContentWatch::default();
        let before = watch.watch("a", Some("/bin/sh -c true x"));
        for (action, exec) in [
            ("exec_start: /bin/sh -c true x", "1"),
            ("exec_start: sh", "2"),
            ("exec_die", "1"),
            ("exec_die", "2"),
        ] {
            assert_eq!(
                watch.note(&event(action, "a", Some(exec))),
                (action, exec) == ("exec_die", "2"),
                "{action}"
            );
        }
        assert!(watch.watch("a", None) > before);
    }

    #[test]
    fn the_command_of_a_health_check_is_as_the_engine_runs_it() {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let command =
            |test: &[&str], shell: Option<&[&str]>| check_command(&words(test), shell.map(words).as_deref());
        assert_eq!(command(&["CMD", "curl", "-f", "x"], None).as_deref(), Some("curl -f x"));
        assert_eq!(command(&["CMD-SHELL", "true x"], None).as_deref(), Some("/bin/sh -c true x"));
        assert_eq!(
            command(&["CMD-SHELL", "x"], Some(&["/bin/bash", "-ec"])).as_deref(),
            Some("/bin/bash -ec x")
        );
        assert_eq!((command(&["NONE"], None), command(&[], None)), (None, None));
    }
}
