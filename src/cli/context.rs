//! What every verb needs: where to print, where the state is, which objects are meant.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, IsTerminal, Write},
    ops::Deref,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub(super) use super::failure::{Failure, outcome, with_causes};
use super::{
    args::{Format, Global, LogFormat, Manifests},
    machine::{Machine, Stream},
    one_line,
    recorded::View,
    safe::{self, Safe},
    style::Style,
};
use crate::{
    api::{Desired, Reason, Time},
    documents, files,
    host::{HostError, KeyedDigest},
    manifest::{self, ManifestSource},
    plain,
    reconcile::{Clock, ReconcileError},
    standing::Watcher,
    store::{DigestKey, Displaced, FILES, LostTrail, StepLock, Store, StoreError},
};

/// How long an orphaned Compose command may go on before undrift says that it does not end: as long as the
/// longest build that the manifest's default allows.
pub(super) const ORPHAN_LIMIT: Duration = Duration::from_secs(1800);

/// Where a verb prints, and what it was told globally.
pub(super) struct Context<'a> {
    pub(super) out: Box<dyn Write>,
    pub(super) err: Box<dyn Write>,
    pub(super) style: Style,
    pub(super) clock: Clock,
    /// Who runs the verb.
    user: String,
    global: &'a Global,
}

impl<'a> Context<'a> {
    pub(super) fn new(global: &'a Global, machine: &impl Machine) -> Self {
        let safe = |Stream { out, style, .. }| Box::new(Safe::new(out, style));
        let (out, err) = (machine.stdout(), machine.stderr());
        let (style, clock, user) = (out.style, machine.clock(), machine.user());
        Self { out: safe(out), err: safe(err), style, clock, user, global }
    }

    /// Who acts: the user and the process, for the trail.
    pub(super) fn actor(&self, verb: &str) -> String {
        format!("{} {verb}", self.user)
    }

    /// Prints a value as the one JSON document of standard output.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        safe::document(&mut self.out, value)?;
        self.out.flush()
    }

    /// Says something on standard error. Where nobody hears it, the work goes on all the same.
    pub(super) fn complain(&mut self, message: &str) {
        let _ = match self.global.log_format {
            LogFormat::Text => writeln!(self.err, "undrift: {message}"),
            LogFormat::Json => writeln!(self.err, "{}", event("WARN", message, None, (self.clock)())),
        };
    }

    /// Says why nothing can be said of an object; where that is for the manifest to mend, with its lines.
    pub(super) fn complain_of(&mut self, object: &str, error: &ReconcileError) {
        let pointed = match (self.global.log_format, error) {
            (LogFormat::Text, ReconcileError::Host(HostError::NoSuchService { manifest, unknown, .. })) => {
                manifest::point(manifest, unknown)
            }
            (LogFormat::Text, ReconcileError::Host(HostError::ServiceTaken { manifest, taken })) => {
                manifest::point(manifest, taken)
            }
            _ => None,
        };
        match pointed {
            None => self.complain(&format!("{object}: {}", with_causes(error))),
            Some(errors) => drop(safe::lines(&mut self.err, &errors.to_string())),
        }
        if let (LogFormat::Text, ReconcileError::Host(error)) = (self.global.log_format, error)
            && let Some(next) = error.next()
        {
            let _ = writeln!(self.err, "  → {next}");
        }
    }

    /// Says why a verb failed: on standard error for people and, where JSON was asked for, as the document.
    pub(super) fn fail(&mut self, failure: &Failure, format: Option<Format>) {
        let message = self.in_full(failure);
        // A broken standard error leaves nobody to tell.
        let _ = match (self.global.log_format, failure) {
            (LogFormat::Json, _) => {
                let event = event("ERROR", &message, Some(&failure.reason()), (self.clock)());
                writeln!(self.err, "{event}")
            }
            (LogFormat::Text, Failure::Manifest(errors)) => safe::lines(&mut self.err, &errors.to_string()),
            (LogFormat::Text, _) => writeln!(self.err, "undrift: {message}"),
        };
        if format == Some(Format::Json) {
            let _ = self.json(&documents::error(&failure.reason(), &message));
        }
    }

    /// A failure with its causes; one of the state with the file that it is of.
    fn in_full(&self, failure: &Failure) -> String {
        let output = with_causes(failure);
        match (failure.of_state(), self.named_state_dir()) {
            (Some(error), Ok(dir)) => error.name_file(&dir, output),
            _ => output,
        }
    }

    /// The state folder, which is there or can be made, and at no file of which a verb would wait without end.
    pub(super) fn state_dir(&self) -> Result<PathBuf, Failure> {
        let dir = self.named_state_dir()?;
        let at = dir.clone();
        let odd = files::look(move || {
            let odd = |path: PathBuf| files::is_file_or_absent(&path).err().map(|source| (path, source));
            FILES.iter().map(|file| at.join(file)).find_map(odd)
        });
        match odd {
            Ok(Some((path, source))) if files::is_trap(&source) => {
                Err(StoreError::Folder { path, source }.into())
            }
            // What else is wrong is found where it is used.
            Ok(_) => Ok(dir),
            Err(hangs) => Err(StoreError::Folder { path: dir, source: hangs.into() }.into()),
        }
    }

    /// The state folder, as it is named.
    pub(super) fn named_state_dir(&self) -> Result<PathBuf, Failure> {
        let (option, is_root) = (self.global.state_dir.as_deref(), rustix::process::geteuid().is_root());
        state_dir(option, is_root, |name| env::var_os(name)).ok_or(Failure::NoStateDir)
    }

    /// The state for a verb that only looks: what it remembers of images and Compose files makes it fast, but
    /// it is not needed. Where there is none, or one of another version, it looks without, and makes or upgrades
    /// nothing: the copy that is taken before an upgrade is the way back. With why it looks without one that is there, or was.
    pub(super) fn store_for_looking(&self) -> Result<(Option<Store>, Option<String>), Failure> {
        let dir = self.named_state_dir()?;
        let opened = match self.state_dir() {
            Ok(dir) => Store::open_for_looking(&dir),
            Err(Failure::Store(error)) => Err(error),
            Err(failure) => return Err(failure),
        };
        Ok(match opened {
            Ok(None) => (None, LostTrail::of(&dir).map(|lost| lost.to_string())),
            Ok(store) => (store.map(|store| store.with_clock(Arc::clone(&self.clock))), None),
            Err(error) => (None, Some(error.in_full(&dir))),
        })
    }

    /// How a verb that shows the recorded state is to print.
    pub(super) fn view(&self, format: Format) -> View {
        View { json: format == Format::Json, style: self.style, now: (self.clock)() }
    }

    /// Whether a daemon runs on the state.
    pub(super) fn watcher(&self) -> Result<Watcher, Failure> {
        Ok(Watcher::of(&self.state_dir()?))
    }

    /// The recorded state.
    pub(super) fn recorded(&self) -> Result<Option<Store>, Failure> {
        let store = Store::open_read_only(&self.state_dir()?)?;
        Ok(store.map(|store| store.with_clock(Arc::clone(&self.clock))))
    }

    /// The same for verbs that show it. Where the undrift that runs records elsewhere, that is said beside whatever is shown.
    pub(super) fn shown(&mut self) -> Result<Option<Store>, Failure> {
        if let Some(displaced) = Displaced::of(&self.state_dir()?) {
            self.complain(&format!("{displaced}; what it records is not shown here"));
        }
        self.recorded()
    }
}

/// The state folder: as the option says, else root's own, else below the user's, where the environment names one.
fn state_dir(
    option: Option<&Path>,
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    if let Some(dir) = option {
        return Some(dir.to_owned());
    }
    if is_root {
        return Some(PathBuf::from("/var/lib/undrift"));
    }
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("undrift"))
}

/// What is said on standard error as an event of the log: one line, with the log's keys.
fn event(level: &str, message: &str, reason: Option<&Reason>, now: Time) -> String {
    let timestamp = now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let mut event =
        json!({ "timestamp": timestamp, "level": level, "message": message, "target": "undrift::cli" });
    if let Some(reason) = reason {
        event["reason"] = json!(reason);
    }
    plain::json(&event.to_string()).into_owned()
}

/// Colours on a terminal, unless the user has said otherwise (<https://no-color.org>).
pub(super) fn colour(terminal: bool) -> bool {
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    terminal && !dumb && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What the manifests declare.
pub(super) struct Loaded {
    /// All of it: of two objects that declare one service, one may not be named.
    pub(super) all: Vec<Desired>,
    /// The named objects; all of them where none is.
    pub(super) named: Vec<Desired>,
}

/// Loads the manifests, and finds the named objects.
pub(super) fn load(manifests: &Manifests, names: &[String]) -> Result<Loaded, Failure> {
    let all = manifest::load(&ManifestSource::all(&manifests.files))?;
    if let Some(unknown) =
        names.iter().find(|name| !all.iter().any(|desired| desired.name() == name.as_str()))
    {
        let known = all.iter().map(|desired| desired.name().to_owned()).collect();
        return Err(Failure::NoSuchObject { name: unknown.clone(), known });
    }
    let wanted = |desired: &Desired| names.is_empty() || names.iter().any(|name| name == desired.name());
    Ok(Loaded { named: all.iter().filter(|desired| wanted(desired)).cloned().collect(), all })
}

/// One thread for all that waits: build contexts are hashed on others anyway, and a second one costs more wake-ups than it
/// saves (a `check` takes a tenth longer with it).
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| Runtime(Some(runtime)))
}

/// A runtime whose end waits for nobody: a thread that hangs at a file, or at a name server, is left behind.
pub(super) struct Runtime(Option<tokio::runtime::Runtime>);

impl Deref for Runtime {
    type Target = tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Some(runtime) => runtime,
            None => unreachable!("it is taken at the end only"),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The user of this process and the process.
pub(super) fn user() -> String {
    let name = |variable: &str| env::var(variable).ok().filter(|value| !value.is_empty());
    let uid = rustix::process::getuid();
    let user = name("SUDO_USER").map(|user| format!("{user} (sudo)")).or_else(|| name("USER"));
    let user = user.unwrap_or_else(|| format!("uid {}", uid.as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host} undrift[{}]", std::process::id())
}

/// Returns when the user or the system asks undrift to end.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// An undrift that was killed may have left its Compose command at work. Two `up` at once can leave a host
/// without containers: the orphan comes first.
pub(super) async fn wait_for_orphan(context: &mut Context<'_>, steps: &StepLock) -> Result<(), Failure> {
    if steps.is_held_elsewhere()? {
        context.complain(
            "an earlier undrift was killed while its Compose command still works; waiting for its end",
        );
        let began = Instant::now();
        steps.wait_free(ORPHAN_LIMIT).await?;
        tracing::info!(ms = began.elapsed().as_millis(), "the orphaned command has ended");
    }
    Ok(())
}

/// Digests under the key of the state folder, where this user may read it.
pub(super) fn digests(store: &Arc<Store>) -> Option<KeyedDigest> {
    Some(keyed_digest(store.digest_key()?.clone()))
}

/// Digests under a key.
pub(super) fn keyed_digest(key: DigestKey) -> KeyedDigest {
    Arc::new(move |name, value| key.digest(name, value))
}

/// Gives each Compose command the step lock to inherit.
pub(super) fn inheritable(steps: &Arc<StepLock>) -> Arc<dyn Fn() -> Option<OwnedFd> + Send + Sync> {
    let steps = Arc::clone(steps);
    Arc::new(move || steps.inheritable().map_err(|error| tracing::warn!(%error, "no step lock")).ok())
}

/// At `debug` these log whole answers of the engine, with the environment of containers, and request headers:
/// secrets. No filter that a person gives opens them further.
const TALKATIVE: [&str; 5] = ["bollard", "h2", "hyper", "hyper_util", "reqwest"];

/// Whether an event may hold secrets, by who logs it and how talkatively.
fn may_hold_secrets(event: &Metadata<'_>) -> bool {
    let crate_name = event.target().split("::").next().unwrap_or_default();
    *event.level() > Level::INFO && TALKATIVE.contains(&crate_name)
}

/// Reports each certificate that it does not trust as an error, at each look; undrift's status says it in its own words.
const REPORTS_ITSELF: &str = "rustls_platform_verifier";

/// Whether an event is undrift's to show.
fn is_shown(event: &Metadata<'_>) -> bool {
    !may_hold_secrets(event) && event.target().split("::").next() != Some(REPORTS_ITSELF)
}

/// Starts the log on standard error.
pub(super) fn start_logging(global: &Global, default: &str) -> Result<(), Failure> {
    let log = global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(log).map_err(|error| Failure::Usage(format!("--log {log}: {error}")))?;
    let filter = filter.and(filter_fn(is_shown));
    let log = tracing_subscriber::fmt::layer();
    let registry = tracing_subscriber::registry();
    match global.log_format {
        LogFormat::Text => {
            let log = log.with_ansi(colour(io::stderr().is_terminal())).with_writer(one_line::text);
            registry.with(log.with_filter(filter)).init();
        }
        LogFormat::Json => {
            let log = log.with_writer(one_line::json);
            registry.with(log.json().flatten_event(true).with_current_span(true).with_filter(filter)).init();
        }
    }
    Ok(())
}

/// Does the work with a log as that of a verb on standard error, on a screen in memory and in simulated time.
#[cfg(test)]
pub(super) fn with_log<T>(
    screen: &(impl Write + Clone + Send + Sync + 'static),
    clock: crate::testing::fake::VirtualClock,
    filter: &str,
    work: impl FnOnce() -> T,
) -> T {
    let screen = screen.clone();
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_timer(clock);
    let log = log.with_writer(move || one_line::text_on(screen.clone()));
    let filter = EnvFilter::new(filter).and(filter_fn(is_shown));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.with_filter(filter)), work)
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api::Pointed;

    /// What is said of a service that the Compose project does not have.
    fn printed(log_format: LogFormat) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (output, manifest) = (folder.path().join("said"), folder.path().join("shop.yaml"));
        fs::write(&manifest, "services:\n  - name: dashbord\n").unwrap();
        let global = Global { state_dir: None, log: None, log_format };
        let err = Box::new(fs::File::create(&output).unwrap());
        let (out, style, clock) = (Box::new(io::sink()), Style::default(), Arc::new(crate::reconcile::now));
        let mut context = Context { out, err, style, clock, user: String::new(), global: &global };
        let unknown = Pointed {
            line: 2,
            column: 11,
            text: "dashbord".into(),
            message: "the Compose project shop has no service dashbord".into(),
            help: Some("did you mean dashboard?".into()),
        };
        let manifest = manifest.display().to_string();
        let error = HostError::NoSuchService { manifest, unknown: vec![unknown] };
        context.complain_of("shop", &error.into());
        fs::read_to_string(&output).unwrap()
    }

    #[test]
    fn the_state_folder_is_the_options_then_roots_then_the_users() {
        let xdg_and_home = &[("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/ops")][..];
        for (option, is_root, environment, expected) in [
            (Some("/srv/state"), true, xdg_and_home, Some("/srv/state")),
            (Some("/srv/state"), false, &[], Some("/srv/state")),
            (None, true, xdg_and_home, Some("/var/lib/undrift")),
            (None, false, xdg_and_home, Some("/xdg/undrift")),
            (None, false, &[("HOME", "/home/ops")], Some("/home/ops/.local/state/undrift")),
            (None, false, &[("XDG_STATE_HOME", ""), ("HOME", "/h")], Some("/h/.local/state/undrift")),
            (None, false, &[("HOME", "")], None),
            (None, false, &[], None),
        ] {
            let variable = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let found = state_dir(option.map(Path::new), is_root, variable);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{option:?} {is_root} {environment:?}");
        }
    }

    #[test]
    fn a_service_that_does_not_exist_is_shown_in_its_line() {
        let text = printed(LogFormat::Text);
        let shown =
            "2 |   - name: dashbord\n  |           ^^^^^^^^\n  |\n  = help: did you mean dashboard?\n";
        assert!(text.starts_with("error: the Compose project shop has no service dashbord\n"), "{text}");
        assert!(text.contains(shown), "{text}");
        let event: serde_json::Value = serde_json::from_str(&printed(LogFormat::Json)).unwrap();
        let message = event["message"].as_str().unwrap();
        assert!(message.contains("shop.yaml:2:11: the Compose project shop has no service"), "{event}");
    }
}
