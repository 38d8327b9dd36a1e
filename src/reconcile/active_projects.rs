//! The right to take a step: one at a time for a Compose project, a few builds at a time for a host.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::SemaphorePermit;

/// The Compose projects with a running step. Two `up` at once can leave a project without containers (21 of 32 times in an
/// experiment), even if two objects declare its services.
#[derive(Debug, Default)]
pub struct ActiveProjects(Mutex<BTreeSet<String>>);

/// A step's claim on a project, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    all: &'a ActiveProjects,
    project: String,
}

impl ActiveProjects {
    /// Claims a project; `None` if another step has it: then nothing is done now, because a decision from before a wait is
    /// not acted on.
    pub(crate) fn claim(&self, project: &str) -> Option<Claim<'_>> {
        let is_free = self.projects().insert(project.to_owned());
        is_free.then(|| Claim { all: self, project: project.to_owned() })
    }

    /// Whether no step is running on a project.
    pub(crate) fn is_free(&self, project: &str) -> bool {
        !self.projects().contains(project)
    }

    fn projects(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.all.projects().remove(&self.project);
    }
}

/// How long a build keeps others from beginning. A build that takes longer, or hangs until its limit, must not keep every
/// other project of the host from being repaired.
const BUILD_SHARE: std::time::Duration = std::time::Duration::from_secs(300);

/// Does the work, and passes the slot on if it takes long.
pub(super) async fn sharing<T>(slot: Option<SemaphorePermit<'_>>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(BUILD_SHARE) => drop(slot),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::{
        sync::Semaphore,
        time::{Instant, sleep},
    };

    use super::*;

    /// Works, and signals after this time, counted from the start, that another may begin.
    async fn second_begins_after(work: Duration) -> Duration {
        let (builds, began) = (Semaphore::new(1), Instant::now());
        let first = sharing(builds.try_acquire().ok(), async {
            sleep(work).await;
            7
        });
        let second = async {
            let _slot = builds.acquire().await;
            began.elapsed()
        };
        let (done, second) = tokio::join!(first, second);
        assert_eq!((done, began.elapsed()), (7, work), "the work has its whole time");
        second
    }

    #[test]
    fn a_project_is_one_steps_until_that_step_has_ended() {
        let all = ActiveProjects::default();
        let claim = all.claim("shop").unwrap();
        assert!(all.claim("shop").is_none());
        assert!(all.claim("bank").is_some());
        drop(claim);
        assert!(all.claim("shop").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_build_keeps_the_slot_to_its_end() {
        let short = BUILD_SHARE / 2;
        assert_eq!(second_begins_after(short).await, short);
    }

    #[tokio::test(start_paused = true)]
    async fn a_build_that_takes_long_gives_the_slot_on_and_goes_on() {
        assert_eq!(second_begins_after(10 * BUILD_SHARE).await, BUILD_SHARE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_without_a_slot_takes_none() {
        let builds = Semaphore::new(1);
        let mut work = std::pin::pin!(sharing(None, sleep(Duration::from_secs(1))));
        assert_eq!(work.as_mut().now_or_never(), None);
        assert!(builds.try_acquire().is_ok());
        work.await;
    }
}
