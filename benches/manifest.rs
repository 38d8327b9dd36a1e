//! How long the worst manifests take: 80 KB of brackets, and other ways to nest.
//!
//! Exits with 1 where the median of one of them is 50 ms or more.

#![expect(clippy::print_stdout, reason = "a bench reports to standard output")]

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_millis(50);
const RUNS: usize = 21;

fn main() -> ExitCode {
    let size = 80 * 1024;
    let cases = [
        ("[[[[", "[".repeat(size)),
        ("{a: {a:", "{a: ".repeat(size / 4)),
        ("- - - -", "- ".repeat(size / 2)),
        ("? ? ? ?", "? ".repeat(size / 2)),
        ("[],[],", format!("[{}]", "[],".repeat(size / 3))),
        ("\"aaaa", format!("\"{}", "a".repeat(size))),
        ("a: &a [*a,", format!("a: &a [x]\nb: [{}]", "*a,".repeat(size / 3))),
        ("k: v", (0..size / 10).map(|n| format!("k{n:05}: v\n")).collect::<Vec<_>>().concat()),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, text) in &cases {
        let median = median(text);
        let verdict = if median < LIMIT { "ok" } else { "TOO SLOW" };
        println!(
            "{name:10} {:6} bytes {median:>12?} (median of {RUNS}, limit {LIMIT:?}) {verdict}",
            text.len()
        );
        if median >= LIMIT {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn median(text: &str) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let (objects, errors) = undrift::manifest::parse(text, "bench.yaml", Path::new("."));
            assert!(objects.is_empty() && !errors.is_empty(), "a hostile manifest was accepted");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}
