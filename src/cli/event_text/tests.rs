//! The lines of a repair, whole, for a person to read.

use super::*;
use crate::{
    api::{CommandEnd, Drift, DriftReason, Layer, PlannedStep, Step, Transition},
    decide::{self, History, Inputs},
    host::StepReport,
    testing::fixtures::{at, desired, incident},
};

fn printed(all: &[Event]) -> String {
    let all = all.iter().map(|event| live(Style::default(), event));
    let all = all.map(|lines| if lines.is_empty() { "(nothing)".to_owned() } else { lines.join("\n") });
    all.collect::<Vec<_>>().join("\n")
}

/// The drift and the plan of the incident, as they are decided.
fn decided() -> (Drift, Vec<PlannedStep>) {
    let (desired, observed) = (desired(), incident());
    let history = History { generation: 1, watching_since: Some(at(0)), ..History::default() };
    let inputs =
        Inputs { desired: &desired, observed: &observed, history: &history, now: at(1), jitter_seed: 7 };
    let decision = decide::decide(inputs);
    (decision.services[0].drift.clone().unwrap(), decision.plan)
}

fn report(outcome: StepOutcome, output: &str, duration_ms: u64) -> StepReport {
    StepReport {
        outcome,
        exit_code: None,
        command: Vec::new(),
        output: output.into(),
        notes: Vec::new(),
        started_at: at(1),
        duration_ms,
    }
}

fn drifted(drift: &Drift) -> Event {
    Event::DriftDetected { service: "api".into(), drift: drift.clone() }
}

fn intended(planned: &PlannedStep) -> Event {
    Event::StepIntended { step: planned.step, services: planned.services.clone() }
}

fn ended(planned: &PlannedStep, report: &StepReport) -> Event {
    Event::StepEnded(EndedStep {
        intent: Some(1),
        kind: planned.step.kind(),
        services: planned.services.clone(),
        outcome: report.outcome,
        at: at(1),
        command: Some(CommandEnd {
            exit_code: report.exit_code,
            duration_ms: report.duration_ms,
            output: report.output.clone(),
        }),
    })
}

fn interrupted(planned: &PlannedStep) -> Event {
    let Event::StepEnded(ended) = ended(planned, &report(StepOutcome::Interrupted, "", 0)) else {
        unreachable!("it is one")
    };
    Event::StepEnded(EndedStep { command: None, ..ended })
}

#[test]
fn a_repair_that_succeeds() {
    let (drift, plan) = decided();
    let (built, up) = (report(StepOutcome::Succeeded, "", 12_345), report(StepOutcome::Succeeded, "", 870));
    let transition = RouteTransition {
        service: "api".into(),
        route: "GET /api/workflow".into(),
        transition: Transition { before: Some(404), after: Some(401) },
    };
    insta::assert_snapshot!(printed(&[
        drifted(&drift),
        intended(&plan[0]),
        Event::Output { line: "#5 [2/3] COPY src /app \u{1b}[2K".into() },
        ended(&plan[0], &built),
        intended(&plan[1]),
        ended(&plan[1], &up),
        Event::Waiting { until: Some(at(120)), why: "api: no answer: connection refused".into() },
        Event::Verifying { services: vec!["api".into(), "dashboard".into()], window_ms: 3_000 },
        Event::Reconciled { transitions: vec![transition] },
        Event::Reconciled { transitions: vec![] },
    ]));
}

#[test]
fn a_repair_that_fails() {
    let drift = Drift {
        layer: Layer::Container,
        reason: DriftReason::CrashLooping,
        message: "backoffice-api-1 was restarted 3 times".into(),
    };
    let (_, plan) = decided();
    let output: Vec<String> = (1..=10).map(|n| format!("#{n} line \u{1b}[31m{n}")).collect();
    let failed = report(StepOutcome::Failed, &output.join("\n"), 4_200);
    let silent = report(StepOutcome::TimedOut, "", 1_800_000);
    let restart = PlannedStep {
        step: Step::Restart,
        services: vec!["api".into()],
        reason: String::new(),
        on_behalf_of: vec![],
    };
    let rollback = PlannedStep { step: Step::Rollback, ..restart.clone() };
    insta::assert_snapshot!(printed(&[
        interrupted(&plan[0]),
        drifted(&drift),
        intended(&plan[0]),
        ended(&plan[0], &failed),
        Event::Waiting { until: None, why: "the next attempt".into() },
        intended(&restart),
        ended(&restart, &silent),
        Event::NotVerified { service: "api".into(), why: "it was restarted by the engine".into() },
        intended(&rollback),
        Event::Stalled {
            reason: "BudgetSpent".into(),
            message: "api: 5 of 5 attempts did not mend it".into()
        },
    ]));
}

#[test]
fn the_narrator_cannot_steer_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J";
    let drift = Drift { layer: Layer::Route, reason: DriftReason::Absent, message: evil.into() };
    let failed = report(StepOutcome::Failed, evil, 1);
    let (_, plan) = decided();
    let text = printed(&[
        drifted(&drift),
        Event::Output { line: evil.into() },
        ended(&plan[0], &failed),
        Event::NotVerified { service: "api".into(), why: evil.into() },
        Event::Waiting { until: None, why: evil.into() },
        Event::Stalled { reason: "Absent".into(), message: evil.into() },
    ]);
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
}
