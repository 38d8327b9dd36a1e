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

#[test]
fn of_a_failed_build_its_summary_is_shown_whole_and_of_all_else_the_end() {
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("#1 line {n}")).collect::<Vec<_>>();
    assert_eq!(last_lines(&lines(0, 40).join("\n")), lines(28, 40));
    assert_eq!(last_lines("one\ntwo"), ["one", "two"]);
    // As Compose 2.40 prints it.
    let buildkit = ["------", " > [2/2] RUN make:", "0.2 no rule to make target", "------"];
    let summary: Vec<String> = buildkit.iter().map(ToString::to_string).chain(lines(40, 52)).collect();
    let output = [lines(0, 40), summary.clone()].concat().join("\n");
    assert_eq!(last_lines(&output), summary);
    // A short one stands among the last lines, one that is too long is cut.
    let output = [lines(0, 40), summary[..4].to_vec()].concat().join("\n");
    assert_eq!(last_lines(&output).len(), 12);
    let output = [summary, lines(0, 40)].concat().join("\n");
    assert_eq!(last_lines(&output), lines(10, 40));
}

#[test]
fn a_long_text_is_cut_between_two_words_where_one_ends_near() {
    assert_eq!(cut(&format!("{} no /app/x", "x".repeat(74))), format!("{} no …", "x".repeat(74)));
    assert_eq!(cut(&"x".repeat(90)), format!("{}…", "x".repeat(80)));
    assert_eq!(cut("short"), "short");
}

#[test]
fn the_work_tree_is_shown_once_while_it_stays_the_same() {
    let record = |git: Value| {
        AuditRecord {
        evidence: serde_json::json!({ "git": git }),
        ..serde_json::from_str(
            r#"{"seq":1,"time":"","object":null,"service":null,"incident":null,"actor":"","kind":"","step":null,
                "outcome":null,"evidence":null,"prevHash":"","hash":""}"#,
        )
        .unwrap()
    }
    };
    let at = |revision: &str, dirty| record(serde_json::json!({ "revision": revision, "dirty": dirty }));
    let (first, second) = ("1a2b3c4d5e6f7a8b", "6f5e4d3c2b1a0f9e");
    assert_eq!(git_of(&[]), None);
    assert_eq!(git_of(&[record(Value::Null)]), None);
    let none = record(serde_json::json!({ "revision": null, "dirty": false }));
    assert_eq!(git_of(&[none]).as_deref(), Some("before the first commit"));
    let records = [at(first, true), record(Value::Null), at(first, true), at(second, false)];
    let work_trees = "1a2b3c4d5e6f, with changes that are not committed → 6f5e4d3c2b1a";
    assert_eq!(git_of(&records).as_deref(), Some(work_trees));
}
