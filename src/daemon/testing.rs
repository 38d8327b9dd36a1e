//! What the loop drives, on a host in memory and in paused time.

use std::{fs, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    keys::Keys, looks::Hung, objects::Objects, readiness::Readiness, reconciler::Shared, sessions::Memory,
    waiters::Waiters,
};
use crate::{
    fixtures,
    host::Host,
    manifest::Source,
    reconcile::{
        AtWork,
        fake::{Container, FakeHost, Image, World},
    },
    runtime::{Reconcile as _, Requeue},
    store::Store,
};

/// Two objects, `backoffice` and `other`, on the same host.
pub(super) struct Bench<H = FakeHost> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) dir: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(world: World) -> Self {
        Self::on(FakeHost::new(world))
    }

    pub(super) fn is_away(&self, away: bool) {
        self.shared.host.world(|world| world.engine_away = away);
    }
}

impl<H: Host + 'static> Bench<H> {
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
        let shared = Arc::new(Shared {
            host: Arc::new(host),
            store: Arc::new(Store::open(dir.path(), "test".into()).unwrap()),
            objects: Objects::new(vec![Source::Path(manifests)]),
            memory: Memory::default(),
            waiters: Waiters::default(),
            keys: Keys::default(),
            readiness: Readiness::default(),
            state_found: super::state::StateFound::default(),
            projects: super::claims::Projects::default(),
            at_work: AtWork::default(),
            hung: Hung::default(),
            reading: Arc::default(),
            builds: Semaphore::new(1),
            narrate: |_, _| None,
            stop: CancellationToken::new(),
            cancel: CancellationToken::new(),
        });
        assert_eq!(shared.objects.reload().errors.len(), 0);
        Self { shared, dir }
    }

    pub(super) async fn turn(&self, object: &str) -> Requeue {
        self.shared.reconcile(object.into()).await
    }

    /// The time until the next turn, after one.
    pub(super) async fn wait_after_turn(&self) -> Duration {
        match self.turn("backoffice").await {
            Requeue::At(at) => at - Instant::now(),
            other => panic!("no time: {other:?}"),
        }
    }

    /// Turns until the object rests; the time until the next turn then.
    pub(super) async fn wait_at_rest(&self) -> Duration {
        loop {
            match self.turn("backoffice").await {
                Requeue::Now => {}
                Requeue::At(at) => return at - Instant::now(),
                Requeue::Never => panic!("it is forgotten"),
            }
        }
    }
}

pub(super) fn healthy() -> World {
    let image = Image { id: 2, source: 2, module: true };
    let container = Container { id: 1, image, config: 1, running: true, starts: 1, crashes: 0, looks: 0 };
    World { image: Some(image), container: Some(container), next: 3, ..World::incident() }
}
