//! Messages of Compose 2.26.1 and 5.6.1, measured, with a password in the place of each value; and the part that is shown.

use super::{super::super::test_support, *};

const SECRET: &str = "Seeded-S3cret.99";

/// A project of these files, and the part of its refusal that is shown.
fn passed(files: &[(&str, &str)], output: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text.replace("SECRET", SECRET)).unwrap();
    }
    let directory = folder.path().to_str().unwrap();
    let desired = test_support::desired(directory, &["api"]);
    let passed = Passed::of(&desired, &Environment::default());
    passed.text(&output.replace("SECRET", SECRET).replace("DIR", directory)).replace(directory, "DIR")
}

const COMPOSE: (&str, &str) = (
    "compose.yaml",
    "services:\n  api:\n    image: x\n    env_file: a.env\n    ports: []\n    environment: { DB_PASSWORD: \"SECRET\" }\n    \
     depends_on: [database]\n    imagee: 1\n    stop_grace_period: 1\n",
);

/// Each message, and the part of it that is shown.
const OUTPUTS: &[(&str, &str)] = &[
    (
        "failed to read DIR/.env: line 4: unterminated quoted value \"SECRET",
        "failed to read DIR/.env: line 4: unterminated quoted value …",
    ),
    ("line 4: unterminated quoted value 'SECRET\nMORE=\"of it\"\n", "line 4: unterminated quoted value …"),
    (
        "failed to read DIR/.env: line 2: unexpected character \"%\" in variable name \"X%%-SECRET=1\"",
        "failed to read DIR/.env: line 2: unexpected character \"%\" in variable name …",
    ),
    (
        "failed to read DIR/.env: Invalid template: \"ab${SECRET\"",
        "failed to read DIR/.env: Invalid template: …",
    ),
    (
        "invalid interpolation format for services.api.environment.DB_PASSWORD.\nYou may need to escape any $ with another $.\nabc${SECRET",
        "invalid interpolation format for services.api.environment.DB_PASSWORD.\nYou may need to escape any $ with another $.",
    ),
    (
        "error while interpolating services.api.ports.[].target: failed to cast to expected type: strconv.Atoi: parsing \"SECRET\": invalid syntax",
        "error while interpolating services.api.ports.[].target: failed to cast to expected type: strconv.Atoi: parsing …: invalid syntax",
    ),
    (
        "error while interpolating services.api.environment.DB_PASSWORD: required variable X is missing a value: please SECRET",
        "error while interpolating services.api.environment.DB_PASSWORD: required variable … is missing a value: please …",
    ),
    ("Invalid containerPort: SECRET", "Invalid containerPort: …"),
    ("Invalid hostPort: SECRET", "Invalid hostPort: …"),
    (
        "decoding failed due to the following error(s):\n\nerror decoding 'services[api].stop_grace_period': time: invalid duration \"SECRET\"",
        "decoding failed due to the following error(s):\nerror decoding 'services[api].stop_grace_period': time: invalid duration …",
    ),
    (
        "error decoding 'services[api].stop_grace_period': invalid size: 'SECRET'",
        "error decoding 'services[api].stop_grace_period': invalid size: …",
    ),
    ("invalid spec: SECRET:/x:y:z:zz: too many colons", "invalid spec: … too many colons"),
    ("yaml: cannot decode !!str `SECRET` as a !!int", "yaml: cannot decode !!str … as a !!int"),
    ("yaml: unknown anchor 'SECRET' referenced", "yaml: unknown anchor … referenced"),
    (
        "yaml: unmarshal errors:\n  line 6: mapping key \"SECRET\" already defined at line 5",
        "yaml: unmarshal errors:\nline 6: mapping key … already defined at line 5",
    ),
    (
        "confusing device mapping, please use long syntax: SECRET:a:b",
        "confusing device mapping, please use long syntax: …",
    ),
    (
        "env file DIR/SECRET.env not found: stat DIR/SECRET.env: no such file or directory",
        "env file … not found: stat … no such file or directory",
    ),
    (
        "env file DIR/a.env not found: stat DIR/a.env: no such file or directory",
        "env file DIR/a.env not found: stat DIR/a.env: no such file or directory",
    ),
    (
        "validating DIR/compose.yaml: services.api.environment.DB_PASSWORD must be a string, number, boolean or null",
        "validating DIR/compose.yaml: services.api.environment.DB_PASSWORD must be a string, number, boolean or null",
    ),
    (
        "validating DIR/compose.yaml: services.api Additional property imagee is not allowed",
        "validating DIR/compose.yaml: services.api Additional property imagee is not allowed",
    ),
    (
        "service \"api\" depends on undefined service \"database\": invalid compose project",
        "service \"api\" depends on undefined service \"database\": invalid compose project",
    ),
    (
        "service \"api\" depends on undefined service \"SECRET\": invalid compose project",
        "service \"api\" depends on undefined service …: invalid compose project",
    ),
    (
        "services.api.environment.[0]: unexpected type map[string]interface {}",
        "services.api.environment.[0]: unexpected type map[string]interface {}",
    ),
    ("yaml: line 5: did not find expected ',' or '}'", "yaml: line 5: did not find expected ',' or '}'"),
    (
        "services.api: can't set distinct values on 'scale' and 'deploy.replicas': invalid compose project",
        "services.api: can't set distinct values on 'scale' and …: invalid compose project",
    ),
    // Of 5.6.1.
    (
        "failed to read DIR/a.env: line 4: unterminated quoted value \"SECRET",
        "failed to read DIR/a.env: line 4: unterminated quoted value …",
    ),
    (
        "decoding failed due to the following error(s):\n\n'services[api].stop_grace_period' time: invalid duration \"SECRET\"",
        "decoding failed due to the following error(s):\n'services[api].stop_grace_period' time: invalid duration …",
    ),
    (
        "go-yaml load error in scanner (while scanning a quoted scalar) at L5.C13-L6.C1: found unexpected end of stream",
        "go-yaml load error in scanner (while scanning a quoted scalar) at L5.C13-L6.C1: found unexpected end of stream",
    ),
    (
        "go-yaml load error in composer at L5.C13: unknown anchor 'SECRET' referenced",
        "go-yaml load error in composer at L5.C13: unknown anchor … referenced",
    ),
    (
        "failed to parse DIR/compose.yaml: yaml: construct errors: line 1: go-yaml load error in resolver at <unknown position>: cannot construct !!str `SECRET` as a !!int",
        "failed to parse DIR/compose.yaml: yaml: construct errors: line 1: go-yaml load error in resolver at … position>: cannot construct !!str … as a !!int",
    ),
    (
        "validating DIR/compose.yaml: services.api.imagee 'SECRET' does not match pattern '^(always|never)$'",
        "validating DIR/compose.yaml: services.api.imagee … does not match pattern …",
    ),
    (
        "validating DIR/compose.yaml: services.api.imagee false schema",
        "validating DIR/compose.yaml: services.api.imagee false schema",
    ),
    ("hello SECRET from a wrapper, SECRET", "… from a …"),
];

#[test]
fn place_and_kind_are_passed_on_and_no_value_is() {
    for (output, expected) in OUTPUTS {
        let found = passed(&[COMPOSE], output);
        assert_eq!(found, *expected, "{output}");
        assert!(!found.contains("Seeded") && !found.contains("S3cret"), "{found}");
    }
}

#[test]
fn a_password_that_occurs_in_composes_own_messages_is_not_passed_on() {
    let env = (".env", "DB_PASSWORD='invalid service'\nOTHER=value\n");
    let output = "Invalid hostPort: service\ninvalid value";
    assert_eq!(passed(&[COMPOSE, env], output), "… hostPort: …\n… value");
}

#[test]
fn the_projects_message_for_a_required_variable_is_passed_on() {
    let compose = (
        "compose.yaml",
        "services: {api: {image: '${X:?secret key, see wiki}', command: '${Y:-no?SECRET}'}}\n",
    );
    let output =
        |words: &str| passed(&[compose], &format!("required variable X is missing a value: {words}"));
    assert!(output("secret key, see wiki").ends_with("variable X is missing a value: secret key, see wiki"));
    assert!(output("no?SECRET").ends_with("missing a value: …"), "a default is a value");
}

#[test]
fn of_unparsed_output_only_composes_own_text_is_passed_on() {
    assert_eq!(passed(&[], "SECRET"), "");
    assert_eq!(passed(&[], "\"service SECRET"), "");
    assert_eq!(passed(&[("compose.yaml", "services: {api: [}")], "yaml: line 1: SECRET"), "yaml: line 1: …");
}

proptest::proptest! {
    #[test]
    fn never_panics(output in ".{0,80}") {
        let _ = passed(&[], &output);
    }
}
