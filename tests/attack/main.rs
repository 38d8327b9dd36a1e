//! Attacks undrift's binary on the real engine, as faults, files and strangers do. `make attack` runs it, no test run does;
//! docs/attacks.md says what each kind tries and what counts as fallen.
#![expect(clippy::panic, clippy::unwrap_used, reason = "an attempt that cannot be judged ends by panicking")]
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

mod access;
mod clock;
mod controls;
mod disk;
#[path = "../support/faulty_wire.rs"]
mod faulty_wire;
mod kills;
mod loops;
#[path = "../e2e/processes.rs"]
#[expect(dead_code, reason = "each of the crates that share it uses another part of it")]
mod processes;
mod proxy;
mod secrets;
mod soak;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "each of the crates that share it uses another part of it")]
mod support;
mod tables;
mod tools;
mod trail;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, iter,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

use fastrand::Rng;
use tools::{Fail, Verdict};

/// A kind of attack: its name, the part of the time that it gets, in percent, and how it begins.
struct Kind(&'static str, u32, fn(Duration) -> Box<dyn Attack>);

/// What one kind does. It is made once, with the time that it has, and asked for one attempt after another.
trait Attack {
    /// Its cases, which take turns.
    fn cases(&self) -> &'static [&'static str];

    /// One attempt. What it does depends on the case and on `rng` alone.
    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict;

    /// What the table says of it besides.
    fn remark(&self) -> String {
        String::new()
    }
}

const KINDS: [Kind; 11] = [
    Kind("kills", 16, |_| Box::new(kills::Kills::new())),
    Kind("proxy", 20, |_| Box::new(proxy::Proxy::new())),
    Kind("trail", 9, |_| Box::new(trail::Trail::new())),
    Kind("tables", 9, |_| Box::new(tables::Tables::new())),
    Kind("secrets", 12, |_| Box::new(secrets::Secrets)),
    Kind("controls", 5, |_| Box::new(controls::Controls)),
    Kind("access", 5, |_| Box::new(access::Access::new())),
    Kind("loops", 12, |_| Box::<loops::Loops>::default()),
    Kind("disk", 6, |_| Box::new(disk::Disk)),
    Kind("clock", 3, |_| Box::new(clock::Clock)),
    Kind("soak", 3, |time| Box::new(soak::Soak::new(time))),
];

/// How many attempts of one case that fell are shown: more of them say the same.
const SHOWN: usize = 3;

/// What became of one kind.
#[derive(Default)]
struct Row {
    tried: usize,
    /// How many fell, by case.
    fell: BTreeMap<String, usize>,
    unjudged: usize,
    /// What could not be tried, each with the reason.
    not_tried: BTreeSet<String>,
    remark: String,
}

/// What the caller chose, by environment variables.
struct Choice {
    seed: u64,
    kinds: Vec<String>,
    time: Duration,
    /// The number of the only attempt.
    at: Option<u64>,
}

impl Choice {
    fn read() -> Self {
        let number = |name: &str| {
            env::var(name)
                .ok()
                .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
        };
        let kinds: Vec<String> =
            env::var("KINDS").map_or(Vec::new(), |kinds| kinds.split(',').map(str::to_owned).collect());
        for kind in &kinds {
            assert!(KINDS.iter().any(|known| known.0 == kind), "KINDS={kind}: no such kind");
        }
        Self {
            seed: number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
            kinds,
            time: Duration::from_secs(60 * number("MINUTES").unwrap_or(50)),
            at: number("AT"),
        }
    }

    fn includes(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|chosen| chosen == kind)
    }

    /// The generator of one attempt: the same for the same seed, kind and number.
    fn rng(&self, kind: &str, number: u64) -> Rng {
        let name = kind.bytes().fold(0, |name: u64, byte| name.rotate_left(8) ^ u64::from(byte));
        Rng::with_seed(self.seed ^ name ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn main() -> ExitCode {
    let choice = Choice::read();
    let shares: u32 = KINDS.iter().filter(|kind| choice.includes(kind.0)).map(|kind| kind.1).sum();
    println!("attack: SEED={} MINUTES={} on {}", choice.seed, choice.time.as_secs() / 60, tools::versions());
    let chosen = KINDS.iter().filter(|kind| choice.includes(kind.0));
    let rows: Vec<(&str, Row)> =
        chosen.map(|kind| (kind.0, attack(kind, &choice, choice.time * kind.1 / shares))).collect();
    print(&rows);
    let clean = rows.iter().all(|(_, row)| row.fell.is_empty() && row.unjudged == 0);
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Attempts until the time is over, one at least.
fn attack(kind: &Kind, choice: &Choice, time: Duration) -> Row {
    let (end, mut row) = (Instant::now() + time, Row::default());
    println!("attack: {} for {} s", kind.0, time.as_secs());
    let begun = catch_unwind(|| kind.2(time));
    let Ok(mut attack) = begun else {
        row.unjudged += 1;
        row.not_tried.insert("it could not be set up, see above".into());
        return row;
    };
    let cases = attack.cases();
    // Each seed begins with another case, so that short runs do not always try the same ones.
    let first = usize::try_from(choice.seed).unwrap_or_default() % cases.len();
    let mut untried: BTreeSet<&str> = cases.iter().copied().collect();
    for number in choice.at.unwrap_or_default().. {
        let case = cases[(first + usize::try_from(number).unwrap_or_default()) % cases.len()];
        untried.remove(case);
        let judged = catch_unwind(AssertUnwindSafe(|| attack.attempt(case, &mut choice.rng(kind.0, number))));
        row.count(judged.unwrap_or(Err(Fail::Unjudged)), case, &|what| {
            println!(
                "{what}: {} ({case})\n  again: SEED={} KINDS={} AT={number} make attack",
                kind.0, choice.seed, kind.0
            );
        });
        if choice.at.is_some() || Instant::now() >= end {
            break;
        }
    }
    row.not_tried.extend(
        untried.iter().filter(|_| choice.at.is_none()).map(|case| format!("{case}: no time was left")),
    );
    row.remark = attack.remark();
    row
}

impl Row {
    fn count(&mut self, judged: Verdict, case: &str, report: &dyn Fn(&str)) {
        self.tried += 1;
        match judged {
            Ok(()) => {}
            Err(Fail::Fell(what)) => {
                let fell = self.fell.entry(case.to_owned()).or_default();
                *fell += 1;
                if *fell <= SHOWN {
                    report("FELL");
                    println!("  {}", what.trim().replace('\n', "\n  "));
                }
            }
            Err(Fail::Unjudged) => {
                self.unjudged += 1;
                report("NOT JUDGED");
            }
            Err(Fail::NotTried(reason)) => {
                self.tried -= 1;
                self.not_tried.insert(format!("{case}: {reason}"));
            }
        }
    }
}

fn print(rows: &[(&str, Row)]) {
    println!("\n| kind | tried | fell | not judged | |\n| --- | --- | --- | --- | --- |");
    for (kind, row) in rows {
        let fell = row.fell.iter().map(|(case, count)| format!("fell {count} times: {case}"));
        let not_tried = row.not_tried.iter().map(|what| format!("not tried: {what}"));
        let remarks: Vec<String> = iter::once(row.remark.clone())
            .filter(|remark| !remark.is_empty())
            .chain(fell)
            .chain(not_tried)
            .collect();
        let (tried, fell, unjudged) = (row.tried, row.fell.values().sum::<usize>(), row.unjudged);
        println!("| {kind} | {tried} | {fell} | {unjudged} | {} |", remarks.join("; "));
    }
}
