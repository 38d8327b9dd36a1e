//! A machine in memory: a screen that can be read, time that passes only where somebody waits, and projects on a fake engine.

use std::{
    cell::Cell,
    future::Future,
    io::{self, BufWriter, Write},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use super::projects::Projects;
use crate::{
    api::Time,
    cli::{
        machine::{Machine, Stopwatch, Stream},
        style::Style,
    },
    host::HostError,
    reconcile::Clock,
    store::{StepLock, Store},
    testing::fake::VirtualClock,
};

/// What is on the screen.
#[derive(Debug, Clone, Default)]
pub(super) struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    /// Takes what is on it away.
    pub(super) fn take(&self) -> String {
        let bytes = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The machine of a scenario.
#[derive(Debug)]
pub(super) struct FakeMachine {
    pub(super) clock: VirtualClock,
    pub(super) projects: Projects,
    pub(super) screen: Screen,
    /// How many commands were run: the number of the process.
    pub(super) process: Cell<u32>,
    /// When somebody presses Ctrl-C.
    pub(super) interrupt_at: Cell<Option<Time>>,
    /// Whether undrift was killed in the middle of the command.
    pub(super) was_killed: Cell<bool>,
}

impl FakeMachine {
    pub(super) fn new() -> Self {
        let clock = VirtualClock::new();
        let projects = Projects::new(&clock);
        Self {
            clock,
            projects,
            screen: Screen::default(),
            process: Cell::new(100),
            interrupt_at: Cell::default(),
            was_killed: Cell::default(),
        }
    }
}

impl Machine for FakeMachine {
    type Host = Projects;

    fn stdout(&self) -> Stream {
        let out = Box::new(BufWriter::new(self.screen.clone()));
        Stream { out, style: Style::default(), is_terminal: false }
    }

    fn stderr(&self) -> Stream {
        Stream { out: Box::new(self.screen.clone()), style: Style::default(), is_terminal: false }
    }

    fn clock(&self) -> Clock {
        let clock = self.clock.clone();
        Arc::new(move || clock.now())
    }

    fn stopwatch(&self) -> Stopwatch {
        let (clock, began) = (self.clock.clone(), self.clock.now());
        Box::new(move || (clock.now() - began).to_std().unwrap())
    }

    fn user(&self) -> String {
        format!("ops@node undrift[{}]", self.process.get())
    }

    fn block_on<F: Future>(&self, work: F) -> io::Result<F::Output> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build()?;
        runtime.block_on(async {
            self.clock.begin();
            let done = tokio::select! {
                biased;
                done = work => Ok(done),
                () = self.projects.killed() => {
                    self.was_killed.set(true);
                    // Who is dead complains of nothing, and so does a verb whose reader has gone.
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            };
            self.clock.end();
            done
        })
    }

    fn is_unread(&self) -> bool {
        false
    }

    async fn interrupted(&self) {
        match self.interrupt_at.take() {
            Some(at) => tokio::time::sleep((at - self.clock.now()).to_std().unwrap()).await,
            None => std::future::pending().await,
        }
    }

    fn host_for_looking(&self, _: Option<&Arc<Store>>) -> Result<Projects, HostError> {
        Ok(self.projects.clone())
    }

    fn host_for_steps(&self, _: &Arc<Store>, _: &Arc<StepLock>) -> Result<Projects, HostError> {
        Ok(self.projects.clone())
    }

    async fn settle(&self, _: &Projects) {}
}
