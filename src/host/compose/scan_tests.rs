//! The references of files, and which of their words are variables.

use super::*;

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn all(variables: &Variables) -> BTreeSet<String> {
    variables.named.union(&variables.words).cloned().collect()
}

#[test]
fn finds_variables_wherever_compose_would_use_them() {
    let text = "$A ${B} ${C:-${D}} ${E?x} $$NOT $${NOT} $1 ${F-$G}z $";
    let names: BTreeSet<&str> = uses(text).iter().map(|found| found.name).collect();
    assert_eq!(names, BTreeSet::from(["A", "B", "C", "D", "E", "F", "G"]));
}

#[test]
fn a_dollar_sign_in_a_password_begins_no_variable() {
    for (line, name, is_named) in [
        ("image: app:${tag}", "tag", true),
        ("image: app:$tag", "tag", true),
        ("image: app:$TAG", "TAG", true),
        ("image: app$tag", "tag", false),
        ("DB_PASSWORD: ${DB_PASSWORD}", "DB_PASSWORD", true),
        ("DB_PASSWORD=$DB_PASSWORD", "DB_PASSWORD", true),
        ("DB_PASSWORD: dev-${SUFFIX}", "SUFFIX", true),
        ("DB_PASSWORD: ab$cretHunter2", "cretHunter2", false),
        ("DB_PASSWORD: $cretHunter2", "cretHunter2", false),
        ("DB_PASSWORD=ab-$cretHunter2", "cretHunter2", false),
        ("DB_PASSWORD=ab${cretHunter2", "cretHunter2", false),
        ("DB_PASSWORD=ab$CRET", "CRET", false),
        ("URL: postgres://u:x$y@db", "y", false),
        ("URL: postgres://u:-$hunter2@db", "hunter2", false),
        ("URL: postgres://${U}:$PASS@db", "PASS", true),
        ("command: [--password=$hunter2]", "hunter2", false),
    ] {
        let found = uses(line);
        let found = found.iter().find(|found| found.name == name).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(found.is_named, is_named, "{line}");
    }
    let lines: Vec<usize> = uses("a\nb: $A\n\nc: ${B}").iter().map(|found| found.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn finds_what_a_compose_file_refers_to() {
    let found = compose_file(
        "include: [a.yaml, {path: [b.yaml, c.yaml], project_directory: sub, env_file: inc.env}]\n\
         x-common: &common {env_file: common.env}\n\
         services:\n  api:\n    <<: *common\n    image: x:$TAG\n    environment: {PASS: , OWN: '1'}\n  \
         web:\n    extends: {file: base.yaml, service: web}\n    environment: [THROUGH, A=1]\n    \
         env_file: [one.env, {path: two.env, required: false}]\n  own: {extends: web}\n\
         secrets: {x: {environment: FROM_ENV}}\n",
    )
    .unwrap();
    let of = |kind| -> Vec<&str> {
        found.references.iter().filter(|(k, _)| *k == kind).map(|(_, path)| path.as_str()).collect()
    };
    assert_eq!(of(Reference::Compose), ["a.yaml", "b.yaml", "base.yaml", "c.yaml"]);
    assert_eq!(of(Reference::EnvFile), ["common.env", "inc.env", "one.env", "two.env"]);
    assert_eq!(found.directories, set(["sub"]));
    assert!(!found.profiles);
    assert!(compose_file("services: {a: {image: x, profiles: [debug]}}").unwrap().profiles);
    assert_eq!(found.variables.named, set(["FROM_ENV", "PASS", "TAG", "THROUGH"]));
}

#[test]
fn values_that_may_be_passwords_are_found_and_kept_apart_from_variables() {
    let found = compose_file(
        "services:\n  api:\n    image: x\n    environment: {DB_PASSWORD: hunter2hunter2, PIN: ABCDEF, through: }\n    \
         command: [serve, opensesame9]\n    environment_of: [NOT_ONE]\n",
    )
    .unwrap();
    assert_eq!(found.variables.named, set([]));
    let words = set(["ABCDEF", "NOT_ONE", "hunter2hunter2", "opensesame9", "serve", "through", "x"]);
    assert_eq!(all(&found.variables), words, "Compose may take any of them for a variable");
}

#[test]
fn gives_up_on_what_is_no_yaml() {
    assert_eq!(compose_file("services: {a: [}"), None);
}

#[test]
fn reads_env_files() {
    let found = env_file("# c\nA=1\nexport B = two\nPASS\nC=$X\nCOMPOSE_FILE=a.yaml:b.yaml\n").unwrap();
    assert_eq!(found.variables.named, set(["PASS", "X"]));
    assert_eq!(found.assigned["B"], "two");
    assert_eq!(found.assigned["COMPOSE_FILE"], "a.yaml:b.yaml");
    assert_eq!(env_file("COMPOSE_FILE='a.yaml'"), None);
    assert!(env_file("OTHER='a.yaml'").is_some());
}

#[test]
fn a_line_of_a_key_is_no_variable() {
    let found = env_file("KEY=\"-----BEGIN\nABCDEFGH\nMIIEpAIB\n-----END\"\nAFTER\n").unwrap();
    assert_eq!(found.variables.named, set(["AFTER"]));
    assert_eq!(found.variables.words, set(["ABCDEFGH", "MIIEpAIB"]));
}

#[test]
fn values_of_env_files_are_read_whole() {
    let text =
        "# A=no\nA=1 # one\nexport B = \"two\\\" x\"  \nC='a\nb=c\nd'\nD: four\n - E=5\nF=\"open\nG=7\nH=\n";
    let found: Vec<(&str, String)> =
        entries(text).into_iter().map(|entry| (entry.name, entry.value)).collect();
    let expected = [
        ("A", "1"),
        ("B", "two\\\" x"),
        ("C", "a\nb=c\nd"),
        ("D", "four"),
        ("E", "5"),
        ("F", "open"),
        ("G", "7"),
        ("H", ""),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[ -~\n\"'$\\{é=:]{0,80}") {
        let _ = (entries(&text), uses(&text), env_file(&text), compose_file(&text));
    }
}
