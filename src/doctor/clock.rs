//! This host's clock: whether it is synchronized, whether it jumps, and whether the trail and the engine agree with it.

use std::{
    path::Path,
    time::{Instant, SystemTime},
};

use chrono::{SecondsFormat, TimeDelta};

use super::{
    Check,
    engine::Offset,
    tool::{ToolOutput, ask},
};
use crate::{api::Time, files, times::span};

/// A difference that slewing cannot cause within seconds: somebody set the clock.
const JUMP: TimeDelta = TimeDelta::milliseconds(100);

/// How far the engine's clock may be off before ages and backoffs are wrong.
const APART: TimeDelta = TimeDelta::seconds(5);

/// How far in the future a record of the trail may be: it may have been written while doctor ran.
const AHEAD: TimeDelta = TimeDelta::seconds(1);

/// systemd's time client creates this file when it has set the clock for the first time.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

const SYNCHRONISE: &str =
    "sudo apt-get install systemd-timesyncd && sudo timedatectl set-ntp true (or chrony)";

/// Both clocks of this host at one moment: the settable one, and the monotonic one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    wall: SystemTime,
    steady: Instant,
}

impl Reading {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// By how much the wall clock went further than the monotonic one until that later moment.
    pub(super) fn jump(self, later: Self) -> TimeDelta {
        let forward = |to: SystemTime, from: SystemTime| {
            to.duration_since(from).ok().and_then(|passed| TimeDelta::from_std(passed).ok())
        };
        let wall =
            forward(later.wall, self.wall).or_else(|| forward(self.wall, later.wall).map(|back| -back));
        let steady = TimeDelta::from_std(later.steady.duration_since(self.steady)).unwrap_or(TimeDelta::MAX);
        wall.unwrap_or(TimeDelta::MAX) - steady
    }
}

/// Whether a time server keeps the clock synchronized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Synchronised {
    Yes(&'static str),
    No(&'static str),
    /// It cannot be determined here: in a container without systemd, for instance.
    NotKnown,
}

/// Determines it: first by a file, then from the service that reads the kernel's own mark.
pub(super) async fn read_synchronised() -> Synchronised {
    if files::exists(Path::new(TIMESYNCD)) {
        return Synchronised::Yes("systemd-timesyncd");
    }
    answer(&ask(&["timedatectl", "show", "--property=NTPSynchronized", "--value"]).await)
}

fn answer(output: &ToolOutput) -> Synchronised {
    match output {
        ToolOutput::Words(word) if word == "yes" => Synchronised::Yes("timedatectl"),
        ToolOutput::Words(word) if word == "no" => Synchronised::No("timedatectl"),
        _ => Synchronised::NotKnown,
    }
}

/// Everything that is known about clocks.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) synchronised: Synchronised,
    /// How far the wall clock jumped while doctor ran.
    pub(super) jumped: TimeDelta,
    pub(super) now: Time,
    /// The latest time in the trail: `Ok(None)` for an empty one; the reason if it cannot be read.
    pub(super) latest_record: Result<Option<Time>, String>,
    pub(super) engine: Option<Offset>,
}

/// Judges it.
pub(super) fn judge(clocks: &Clocks) -> Vec<Check> {
    vec![
        synchronised(&clocks.synchronised),
        steady(clocks.jumped),
        after_trail(clocks),
        with_engine(clocks.engine),
    ]
}

fn synchronised(synchronised: &Synchronised) -> Check {
    let name = "ClockSynchronized";
    match synchronised {
        Synchronised::Yes(who) => {
            Check::ok(name, format!("{who} reports that a time server sets this clock"))
        }
        Synchronised::No(who) => {
            Check::warning(name, format!("{who} reports that no time server sets this clock"), SYNCHRONISE)
        }
        Synchronised::NotKnown => Check::unknown(
            name,
            "no systemd-timesyncd and no timedatectl here shows whether a time server sets this clock",
        ),
    }
}

fn steady(jumped: TimeDelta) -> Check {
    let name = "ClockSteady";
    if jumped.abs() < JUMP {
        return Check::ok(name, "it did not jump while doctor looked");
    }
    let way = if jumped < TimeDelta::zero() { "back" } else { "forward" };
    Check::warning(
        name,
        format!("it was set {way} by {} while doctor looked", seconds(jumped)),
        format!("let one program only set the clock, gently: {SYNCHRONISE}"),
    )
}

fn after_trail(clocks: &Clocks) -> Check {
    let name = "ClockAfterTrail";
    let latest = match &clocks.latest_record {
        Ok(Some(latest)) => *latest,
        Ok(None) => return Check::ok(name, "there is no record that it could be before"),
        Err(why) => return Check::unknown(name, why.clone()),
    };
    let at = latest.to_rfc3339_opts(SecondsFormat::Secs, true);
    if latest <= clocks.now + AHEAD {
        return Check::ok(name, format!("it is after the trail's latest record, of {at}"));
    }
    Check::failed(
        name,
        format!(
            "it is {} before the trail's latest record, of {at}: the trail would go backwards",
            seconds(latest - clocks.now)
        ),
        format!("date; where it is wrong: {SYNCHRONISE}"),
    )
}

fn with_engine(offset: Option<Offset>) -> Check {
    let name = "ClockAgreesWithEngine";
    let Some(Offset { ahead, give_or_take }) = offset else {
        return Check::unknown(name, "the engine did not report its time");
    };
    if ahead.abs() <= APART {
        return Check::ok(name, format!("the engine's differs by less than {} s", APART.num_seconds()));
    }
    if ahead.abs() - give_or_take <= APART {
        return Check::unknown(name, "the engine took too long to report its time");
    }
    let way = if ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
    Check::warning(
        name,
        format!("the engine's is {} {way} this one: ages of containers are shown wrong", seconds(ahead)),
        format!("set both by a time server, on each host: {SYNCHRONISE}"),
    )
}

/// The amount, for a person.
fn seconds(delta: TimeDelta) -> String {
    span(delta.abs())
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
