use super::*;

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
