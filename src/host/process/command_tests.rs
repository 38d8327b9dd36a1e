//! Children that exit, hang, hide and print too much.

use std::{fs, os::fd::AsFd, path::PathBuf, sync::Arc};

use super::*;

const LONG: Duration = Duration::from_secs(60);

struct CommandRun {
    env: Environment,
    limit: Duration,
    grace: Duration,
    cancel: CancellationToken,
    keep_stdout: bool,
}

impl CommandRun {
    fn new() -> Self {
        Self {
            env: Environment::of_this_process(),
            limit: LONG,
            grace: Duration::from_millis(300),
            cancel: CancellationToken::new(),
            keep_stdout: false,
        }
    }

    async fn script(&self, script: &str, hold: Option<BorrowedFd<'_>>) -> (Finished, Vec<String>) {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let lines = Mutex::new(Vec::new());
        let finished = run(Invocation {
            argv: &argv,
            directory: Path::new("/"),
            env: &self.env,
            limit: self.limit,
            grace: self.grace,
            cancel: &self.cancel,
            progress: &|line| lock(&lines).push(line.to_owned()),
            hold,
            keep_stdout: self.keep_stdout,
        })
        .await
        .unwrap();
        let lines = lines.into_inner().unwrap();
        (finished, lines)
    }
}

/// Whether a process whose command line holds this word still runs. A zombie has no command line.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(word) && line.starts_with("sleep")
    })
}

async fn until(what: impl Fn() -> bool) {
    timeout(Duration::from_secs(10), async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

/// A number of seconds that no other process sleeps for.
fn unique(n: u32) -> String {
    format!("{}.{n}", 100_000 + std::process::id() % 50_000)
}

#[tokio::test]
async fn the_end_of_a_command_and_its_output_are_reported() {
    let (finished, lines) =
        CommandRun::new().script("echo out; echo err >&2; printf '\\033[1mbold'; exit 7", None).await;
    assert_eq!((finished.outcome, finished.exit_code), (StepOutcome::Failed, Some(7)));
    assert_eq!(lines.len(), 3);
    assert_eq!(finished.output.lines().count(), 3);
    assert!(finished.output.contains("bold") && !finished.output.contains('\u{1b}'), "{}", finished.output);
    let (finished, _) = CommandRun::new().script("true", None).await;
    assert_eq!((finished.outcome, finished.exit_code), (StepOutcome::Succeeded, Some(0)));
}

#[tokio::test]
async fn keeps_standard_output_apart_where_it_is_data() {
    let run = CommandRun { keep_stdout: true, ..CommandRun::new() };
    let (finished, lines) = run.script("head -c 300000 /dev/zero; echo warning >&2", None).await;
    assert_eq!(finished.stdout.len(), 300_000);
    assert_eq!((finished.output.as_str(), lines), ("warning", vec!["warning".to_owned()]));
}

#[tokio::test]
async fn gets_no_input_and_only_the_given_environment() {
    let run =
        CommandRun { env: CommandRun::new().env.with("GIVEN", "1").without("HOME"), ..CommandRun::new() };
    let (finished, _) = run.script("cat; echo \"$GIVEN${HOME-none}\"", None).await;
    assert_eq!(finished.output, "1none");
}

#[tokio::test]
async fn at_the_limit_the_whole_group_is_ended() {
    let seconds = unique(1);
    let run = CommandRun { limit: Duration::from_millis(200), ..CommandRun::new() };
    let (finished, _) = run.script(&format!("sleep {seconds} & echo on; wait"), None).await;
    assert_eq!((finished.outcome, finished.exit_code), (StepOutcome::TimedOut, None));
    assert_eq!(finished.output, "on");
    assert!(!runs(&seconds), "the grandchild is gone");
    assert!(finished.duration < Duration::from_secs(5), "{:?}", finished.duration);
}

#[tokio::test]
async fn what_ignores_the_first_signal_is_killed_after_the_grace() {
    let seconds = unique(2);
    let run = CommandRun { limit: Duration::from_millis(200), ..CommandRun::new() };
    let script = format!("trap '' TERM; sleep {seconds} & while :; do wait; sleep {seconds}; done");
    let (finished, _) = run.script(&script, None).await;
    assert_eq!(finished.outcome, StepOutcome::TimedOut);
    assert!(finished.duration >= Duration::from_millis(500), "the grace was given: {:?}", finished.duration);
    assert!(!runs(&seconds));
}

#[tokio::test]
async fn what_ends_within_the_grace_may_finish() {
    let run = CommandRun { limit: Duration::from_millis(200), grace: LONG, ..CommandRun::new() };
    let script = "trap 'echo put away; exit 0' TERM; while :; do sleep 0.01; done";
    let (finished, _) = run.script(script, None).await;
    assert_eq!(finished.outcome, StepOutcome::TimedOut);
    assert!(finished.output.contains("put away"), "{}", finished.output);
}

#[tokio::test]
async fn a_cancellation_ends_it() {
    let seconds = unique(3);
    let run = CommandRun::new();
    let script = format!("sleep {seconds} & wait");
    let (cancel, word) = (run.cancel.clone(), seconds.clone());
    let canceller = tokio::spawn(async move {
        until(|| runs(&word)).await;
        cancel.cancel();
    });
    let (finished, _) = run.script(&script, None).await;
    canceller.await.unwrap();
    assert_eq!(finished.outcome, StepOutcome::Cancelled);
    assert!(!runs(&seconds));
}

#[tokio::test]
async fn a_grandchild_that_stays_does_not_keep_us_and_does_not_stay() {
    let seconds = unique(4);
    let run = CommandRun { grace: LONG, ..CommandRun::new() };
    let (finished, _) = run.script(&format!("sleep {seconds} & echo done"), None).await;
    assert_eq!((finished.outcome, finished.output.as_str()), (StepOutcome::Succeeded, "done"));
    assert!(finished.duration < Duration::from_secs(5), "{:?}", finished.duration);
    assert!(!runs(&seconds));
}

#[tokio::test]
async fn a_grandchild_in_a_group_of_its_own_does_not_keep_us() {
    let seconds = unique(5);
    let script = format!("setsid sleep {seconds} & echo $!");
    let (finished, _) = CommandRun::new().script(&script, None).await;
    assert!(finished.duration < Duration::from_secs(5), "{:?}", finished.duration);
    // It is out of reach of the group, so the test ends it.
    until(|| runs(&seconds)).await;
    let pid = Pid::from_raw(finished.output.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[tokio::test]
async fn dropping_the_run_kills_the_group() {
    let seconds = unique(6);
    let run = CommandRun::new();
    let script = format!("trap '' TERM; sleep {seconds} & wait");
    tokio::select! {
        _ = run.script(&script, None) => panic!("it hangs"),
        () = until(|| runs(&seconds)) => {}
    }
    until(|| !runs(&seconds)).await;
}

#[tokio::test]
async fn the_child_holds_the_lock_that_it_is_given_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let lock = fs::File::create(&path).unwrap();
    lock.try_lock().unwrap();
    let seconds = unique(7);
    let run = Arc::new(CommandRun::new());
    let script = format!("sleep {seconds}");
    let held = lock.try_clone().unwrap();
    let task = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.script(&script, Some(held.as_fd())).await }
    });
    until(|| runs(&seconds)).await;
    // The test's lock is closed; only the child inherits the task's own clone.
    drop(lock);
    let other = fs::File::open(&path).unwrap();
    assert!(other.try_lock().is_err(), "the child holds it");
    assert!(child_holds(&path), "as an open file of its own");
    run.cancel.cancel();
    task.await.unwrap();
    other.try_lock().unwrap();
}

/// Whether a process other than this one has the file open.
fn child_holds(path: &Path) -> bool {
    let links = |process: PathBuf| fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let others = processes.filter(|process| !process.ends_with(std::process::id().to_string()));
    others.flat_map(links).any(|link| fs::read_link(link.path()).is_ok_and(|target| target == path))
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let argv = ["undrift-no-such-program".to_owned()];
    let error = run(Invocation {
        argv: &argv,
        directory: Path::new("/"),
        env: &Environment::of_this_process(),
        limit: LONG,
        grace: GRACE,
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: false,
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
