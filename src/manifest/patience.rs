//! A look at the host's files that may never end: on a mount whose server is gone each call hangs, and nothing ends it
//! but the server's return.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// How long a look may take. It takes well under a millisecond; a disk that is to wake up, seconds.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// The same while another one hangs: it is probably the same mount, and each manifest on it costs this.
const SHORT: Duration = Duration::from_secs(1);

/// Where a look hangs. No second one is begun there, or each reading of the manifests would leave one more thread behind.
static HANGING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn hanging() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a look at this place finds; `None` where it does not end in time, or an earlier one there has not ended yet.
pub(super) fn look<T: Send + 'static>(at: &Path, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let limit = {
        let hanging = hanging();
        match hanging.len() {
            _ if hanging.contains(at) => return None,
            0 => LIMIT,
            _ => SHORT,
        }
    };
    look_within(limit, at, look)
}

fn look_within<T: Send + 'static>(
    limit: Duration,
    at: &Path,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (found, finds) = mpsc::sync_channel(1);
    let place = at.to_owned();
    let looking = move || {
        let _ = found.send(look());
        hanging().remove(&place);
    };
    thread::Builder::new().name("undrift-look".into()).spawn(looking).ok()?;
    finds.recv_timeout(limit).ok().or_else(|| {
        let mut hanging = hanging();
        // What ended since then does not hang, and would not be taken from the list any more.
        let late = finds.try_recv();
        if matches!(late, Err(mpsc::TryRecvError::Empty)) {
            hanging.insert(at.to_owned());
        }
        late.ok()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_look_that_hangs_is_given_up_and_none_is_begun_beside_it() {
        let (at, other) = (Path::new("/hangs"), Path::new("/answers"));
        let (release, held) = mpsc::channel::<()>();
        let hangs = move || held.recv().is_err();
        assert_eq!(look_within(Duration::from_millis(10), at, hangs), None);
        assert_eq!(look(at, || 7), None, "one hangs there already");
        assert_eq!(look(other, || 7), Some(7), "others go on");
        drop(release);
        let deadline = Instant::now() + Duration::from_secs(30);
        while look(at, || 7) != Some(7) {
            assert!(Instant::now() < deadline, "what has ended does not hang");
            thread::yield_now();
        }
    }

    #[test]
    fn a_look_that_breaks_off_finds_nothing_and_hangs_nowhere() {
        let at = Path::new("/breaks");
        assert_eq!(look(at, || -> u8 { std::panic::resume_unwind(Box::new(())) }), None);
        assert_eq!(look(at, || 7), Some(7));
    }
}
