//! The reconciler of the loop, on a host in memory and in paused time.

use std::{fs, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    objects::ManagedObjects, reconciler::DaemonContext, session_cache::SessionCache, work_queue::WorkQueue,
};
use crate::{
    host::Host,
    manifest::ManifestSource,
    runtime::{Reconcile as _, Requeue},
    store::Store,
    testing::fake::{FakeContainer, FakeHost, Image, World},
    testing::fixtures,
};

/// Two objects, `backoffice` and `other`, on the same host.
pub(super) struct DaemonFixture<H = FakeHost> {
    pub(super) shared: Arc<DaemonContext<H>>,
    pub(super) dir: tempfile::TempDir,
}

impl DaemonFixture {
    pub(super) fn new(world: World) -> Self {
        Self::on(FakeHost::new(world))
    }

    pub(super) fn is_away(&self, away: bool) {
        self.shared.host.world(|world| world.engine_away = away);
    }
}

impl<H: Host + 'static> DaemonFixture<H> {
    pub(super) fn on(host: H) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let manifests = dir.path().join("manifests");
        fs::create_dir(&manifests).unwrap();
        for name in ["backoffice", "other"] {
            let mut object = fixtures::desired().object;
            object.metadata.name = name.into();
            fs::write(manifests.join(format!("{name}.yaml")), serde_json::to_string(&object).unwrap())
                .unwrap();
        }
        let shared = Arc::new(DaemonContext {
            host: Arc::new(host),
            store: Arc::new(Store::open(dir.path(), "test".into()).unwrap()),
            objects: Arc::new(ManagedObjects::new(vec![ManifestSource::Path(manifests)])),
            sessions: SessionCache::default(),
            subscribers: Arc::default(),
            queue: WorkQueue::default(),
            sources: super::source_watch::SourceWatch::default(),
            readiness: Arc::default(),
            heartbeat: super::heartbeat::Heartbeat::default(),
            instructions: tokio_util::task::TaskTracker::new(),
            feed: tokio::sync::broadcast::Sender::new(16),
            state_found: super::state::StateFound::default(),
            projects: super::claims::Projects::default(),
            active_projects: Arc::default(),
            hung_reads: Arc::default(),
            reading: Arc::default(),
            builds: Arc::new(Semaphore::new(1)),
            stop: CancellationToken::new(),
            cancel: CancellationToken::new(),
        });
        assert_eq!(shared.objects.reload().errors.len(), 0);
        Self { shared, dir }
    }

    pub(super) async fn reconcile(&self, object: &str) -> Requeue {
        self.shared.reconcile(object.into()).await
    }

    /// The time until the next reconcile, after one.
    pub(super) async fn wait_after_reconcile(&self) -> Duration {
        match self.reconcile("backoffice").await {
            Requeue::At(at) => at - Instant::now(),
            other => panic!("no time: {other:?}"),
        }
    }

    /// Reconciles until the object rests; returns the time until the next reconcile.
    pub(super) async fn wait_at_rest(&self) -> Duration {
        loop {
            match self.reconcile("backoffice").await {
                Requeue::Now => {}
                Requeue::At(at) => return at - Instant::now(),
                Requeue::Never => panic!("it is forgotten"),
            }
        }
    }
}

pub(super) fn healthy() -> World {
    let image = Image { id: 2, source: 2, module: true, revision: None };
    let container = FakeContainer::new(1, image, 1);
    World { image: Some(image), container: Some(container), next: 3, ..World::incident() }
}
