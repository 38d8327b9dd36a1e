//! The lock on steps, which the Compose child inherits.
//!
//! The [`StateLock`](super::StateLock) ends with undrift. If undrift is killed in the middle of a step, the Compose process
//! that it started keeps working, and a second `up` beside it can leave a service without a container (21 of 32 times in an
//! experiment). So this lock ends with the last process that has it open: undrift, or the child that inherited it.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    folder,
    lock::{Holder, LockError, take},
};

/// The lock's file in the state folder.
pub(super) const FILE: &str = "step.lock";

/// How often to check a lock that another process holds. The kernel offers no better: a wait in `flock` cannot be given a
/// limit or be cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The lock on steps of one state folder.
///
/// Only for the holder of the [`StateLock`](super::StateLock): a check takes the lock for a moment, and would block a step
/// that another process begins just then.
#[derive(Debug)]
pub struct StepLock {
    path: PathBuf,
    /// Only this handle knows whether it holds the lock: the kernel would grant it again.
    state: Mutex<StepLockState>,
}

#[derive(Debug)]
struct StepLockState {
    file: File,
    held: bool,
}

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct StepGuard<'a> {
    lock: &'a StepLock,
}

impl StepLock {
    /// Opens the lock file, and creates it if it is missing; takes nothing yet.
    ///
    /// # Errors
    /// [`LockError::Folder`].
    pub fn open(dir: &Path) -> Result<Self, LockError> {
        folder::ensure(dir)?;
        let path = dir.join(FILE);
        let file = folder::open_private(&path)?;
        Ok(Self { path, state: Mutex::new(StepLockState { file, held: false }) })
    }

    /// Takes the lock at once.
    ///
    /// # Errors
    /// [`LockError::Held`] if it is held: by a step that a dead undrift began, or by this handle.
    pub fn acquire(&self) -> Result<StepGuard<'_>, LockError> {
        let mut state = self.state();
        if state.held {
            return Err(super::lock::held(&mut state.file, &self.path));
        }
        take(&mut state.file, &self.path)?;
        state.held = true;
        let guard = StepGuard { lock: self };
        // The lock works without the name; the next process to find it held only learns less.
        let _ = Holder::new("step").sign(&state.file);
        drop(state);
        Ok(guard)
    }

    /// Whether someone else holds the lock: a step that this handle did not begin is running.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn is_held_elsewhere(&self) -> Result<bool, LockError> {
        match self.probe() {
            Ok(()) => Ok(false),
            Err(LockError::Held { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits until nobody else holds the lock.
    ///
    /// # Errors
    /// [`LockError::Held`] if it is still held after `limit`.
    pub async fn wait_free(&self, limit: Duration) -> Result<(), LockError> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            match self.probe() {
                Err(LockError::Held { .. }) if tokio::time::Instant::now() < end => {
                    tokio::time::sleep(LOOK).await;
                }
                settled => return settled,
            }
        }
    }

    /// The lock as a descriptor to pass to one child, by a duplicate without its close-on-exec flag that is open only across
    /// the spawn: no other child started meanwhile may have it. The child then holds the lock with this process, and keeps
    /// it if this process is killed; the [`StepGuard`] ends it for both.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn inheritable(&self) -> io::Result<OwnedFd> {
        Ok(self.state().file.try_clone()?.into())
    }

    /// Takes the lock and releases it. A `flock` cannot be inspected without taking it.
    fn probe(&self) -> Result<(), LockError> {
        let mut state = self.state();
        if !state.held {
            take(&mut state.file, &self.path)?;
            state.file.unlock().map_err(|source| LockError::Io { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, StepLockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StepGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state();
        let _ = state.file.set_len(0);
        // Explicitly, and not by closing: a child of the step that survives in the background has it open too.
        if let Err(error) = state.file.unlock() {
            tracing::warn!(%error, "failed to unlock {}", self.lock.path.display());
        }
        state.held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_held_by_one_handle_once() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (StepLock::open(home.path()).unwrap(), StepLock::open(home.path()).unwrap());
        let guard = one.acquire().unwrap();
        assert!(one.acquire().is_err());
        assert!(!one.is_held_elsewhere().unwrap());
        assert!(other.is_held_elsewhere().unwrap());
        let error = other.acquire().unwrap_err().to_string();
        assert!(error.starts_with(&format!("the state folder {} is held", home.path().display())), "{error}");
        assert!(error.contains(&format!("by undrift step, process {}", std::process::id())), "{error}");
        drop(guard);
        assert!(!other.is_held_elsewhere().unwrap());
        other.acquire().unwrap();
        one.acquire().unwrap();
    }

    #[test]
    fn its_end_is_an_end_for_who_inherited_it_too() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (StepLock::open(home.path()).unwrap(), StepLock::open(home.path()).unwrap());
        let guard = one.acquire().unwrap();
        let inherited = rustix::io::dup(one.inheritable().unwrap()).unwrap();
        drop(guard);
        assert!(!other.is_held_elsewhere().unwrap());
        drop(inherited);
    }

    #[test]
    fn a_child_that_it_was_not_passed_to_does_not_hold_it() {
        let home = tempfile::tempdir().unwrap();
        let lock = StepLock::open(home.path()).unwrap();
        let open = lock.inheritable().unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let files = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().flatten();
        let files: Vec<PathBuf> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
        drop(child.stdin.take());
        child.wait().unwrap();
        drop(open);
        assert!(!files.is_empty() && files.iter().all(|file| !file.ends_with(FILE)), "{files:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_limit_or_with_the_step() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (StepLock::open(home.path()).unwrap(), StepLock::open(home.path()).unwrap());
        let guard = one.acquire().unwrap();
        let start = tokio::time::Instant::now();
        let error = other.wait_free(Duration::from_secs(7)).await.unwrap_err();
        assert!(matches!(error, LockError::Held { holder: Some(_), .. }), "{error:?}");
        assert!(start.elapsed() >= Duration::from_secs(7) && start.elapsed() < Duration::from_secs(8));
        one.wait_free(Duration::ZERO).await.unwrap();
        let wait = other.wait_free(Duration::from_secs(7));
        let end = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(guard);
        };
        let (waited, ()) = tokio::join!(wait, end);
        waited.unwrap();
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
