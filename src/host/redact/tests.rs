//! Texts that must be hidden, and texts that must stay.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

use super::*;

/// A value with a character of each kind that some encoding changes.
const ODD: &str = "Zw?5 \"q\\a&$b/c<é+";

fn redactor() -> Redactor {
    let variables = [
        ("DB_PASSWORD", "correct horse battery"),
        ("SHORT_TOKEN", "abc"),
        ("PIN_SECRET", "demo"),
        ("PRIVATE_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n"),
        ("DATABASE_URL", "postgres://shop:in-the-url-1@db/shop"),
        ("GREETING", "good morning to you"),
        ("ODD_PASSWORD", ODD),
        ("PASSWORD_LOGIN", "disabled"),
    ];
    Redactor::default().with_secrets(["hunter2".to_owned(), "abc".to_owned()]).with_variables(variables)
}

#[test]
fn what_is_known_to_be_secret_is_hidden_wherever_it_stands() {
    for (line, shown) in [
        ("login with correct horse battery failed", "login with ******** failed"),
        ("xcorrect horse batteryx", "x********x"),
        ("key MIIEvQIBADANBg", "key ********"),
        ("connect in-the-url-1", "connect ********"),
        ("good morning to you, abc", "good morning to you, abc"),
        ("the login is disabled", "the login is disabled"),
    ] {
        assert_eq!(redactor().line(line), shown);
    }
}

#[test]
fn a_short_value_is_hidden_as_a_whole_value_and_never_inside_a_word() {
    for (line, shown) in [
        ("BACKOFFICE=demo", "BACKOFFICE=********"),
        ("  demo", "  ********"),
        ("back: demo, next", "back: ********, next"),
        ("user:demo@host", "user:********@host"),
        ("said \"demo\" and 'demo' and `demo`", "said \"********\" and '********' and `********`"),
        (r#"{"back\":\"demo\"}"#, r#"{"back\":\"********\"}"#),
        ("x=hunter2&y=1", "x=********&y=1"),
    ] {
        assert_eq!(redactor().line(line), shown);
    }
    for line in [
        "Container undrift-demo-api-1  Started",
        "=> naming to undrift-demo-api",
        "demo: examples/ai-backoffice",
        "x=demonstration",
        "a demo of it",
        "\"a demo\"",
    ] {
        assert_eq!(redactor().line(line), line);
    }
}

#[test]
fn what_is_encoded_is_hidden_too() {
    let json = serde_json::to_string(ODD).unwrap();
    let twice = serde_json::to_string(&json).unwrap();
    let all_percent = ODD.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let some_percent = "Zw%3f5%20%22q%5Ca%26%24b%2Fc%3C%C3%A9%2B";
    let query = some_percent.replace("%20", "+");
    let go = r"Zw?5 \x22q\\a\u0026$b/c\u003cé+";
    let compose = ODD.replace('$', "$$");
    for encoded in [&json, &twice, &all_percent, some_percent, &query, go, &compose] {
        let shown = redactor().line(&format!("a {encoded} z"));
        assert!(
            shown.contains(STARS) && !shown.contains("q\\") && !shown.contains("%C3"),
            "{encoded}: {shown}"
        );
        assert!(shown.starts_with("a ") && shown.ends_with(" z"), "{encoded}: {shown}");
    }
    for before in ["", "a", "ab", "ops:"] {
        for after in ["", "x", "xy"] {
            let text = format!("{before}correct horse battery{after}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let shown = redactor().line(&format!("sent ({encoded}) once"));
                assert_eq!(shown, "sent (********) once", "{text}");
            }
        }
    }
}

#[test]
fn what_stands_beside_a_secrets_name_is_hidden_whatever_it_is() {
    let unknown = Redactor::default();
    for (line, shown) in [
        ("start with API_TOKEN=x1 PORT=80", "start with API_TOKEN=******** PORT=80"),
        ("PGPASSWORD=\"a b\" psql", "PGPASSWORD=\"********\" psql"),
        ("DB_PASSWORD='a=b'", "DB_PASSWORD='********'"),
        ("password=a=b&x=1", "password=********&x=1"),
        ("password: opensesame", "password: ********"),
        ("GET http://ops:opensesame@db/", "GET http://********@db/"),
        ("é TOKEN=x", "é TOKEN=********"),
        ("mysql --password opensesame -h db", "mysql --password ******** -h db"),
        ("[\"--api-token\" x", "[\"--api-token\" x"),
        ("redis --requirepass 'open sesame'", "redis --requirepass '********'"),
        ("login --password --stdin", "login --password --stdin"),
        ("PWD=/srv/shop OLDPWD=/srv", "PWD=/srv/shop OLDPWD=/srv"),
        ("DB_PASSWORD_FILE=/run/secrets/db", "DB_PASSWORD_FILE=/run/secrets/db"),
        ("passed=12 failed=3 max_tokens=4096", "passed=12 failed=3 max_tokens=4096"),
        ("invalid password: opensesame", "invalid password: ********"),
        (
            "failed to fetch anonymous token: unexpected status from GET request",
            "failed to fetch anonymous token: unexpected status from GET request",
        ),
        (
            "Error: cannot read the secret: no such file or directory",
            "Error: cannot read the secret: no such file or directory",
        ),
        ("password: correct horse battery", "password: ********"),
        ("S7_PASSWORD => opensesame", "S7_PASSWORD => ********"),
        ("'password' => 'open sesame', 'x' => 1", "'password' => '********', 'x' => 1"),
        ("token := x1; y := 2", "token := ********; y := 2"),
        ("DB_PASSWORD = x1", "DB_PASSWORD = ********"),
        ("assert password == \"x1\" and a == b", "assert password == \"********\" and a == b"),
        ("env[\"API_TOKEN\"] = 'x1'", "env[\"API_TOKEN\"] = '********'"),
        ("PASSWORD=\"a\\\"b\" z", "PASSWORD=\"********\" z"),
        (
            "[\"run\",\"--api-token\",\"x1\",\"--port\",\"80\"]",
            "[\"run\",\"--api-token\",\"********\",\"--port\",\"80\"]",
        ),
        ("java -password x1 -jar y", "java -password ******** -jar y"),
        ("HOOK_WEBHOOK_URL=https://h/in/0123456789", "HOOK_WEBHOOK_URL=********"),
        ("posted to https://hooks.slack.com/services/T0/B0/k", "posted to https://hooks.slack.com/********"),
        ("at postgres://u:p@ss/w@db/x and back", "at postgres://********@db/x and back"),
        ("dbpass=x1 ROOTPWD=x2", "dbpass=******** ROOTPWD=********"),
        // An assignment within a value.
        ("Cookie=\"csrftoken=abc; sid=s3cr3t99\" z", "Cookie=\"********\" z"),
        ("SECRETS=\"token=abc pin=4711xyz\"", "SECRETS=\"********\""),
        (
            r#"{"level":"error","token":"a\"bc","msg":"no answer of db:5432"}"#,
            r#"{"level":"error","token":********,"msg":"no answer of db:5432"}"#,
        ),
        ("password: missing-4711", "password: ********"),
        ("POSTGRES_PASSWORD=Forbidden!2024", "POSTGRES_PASSWORD=********"),
        ("password: 'it''s-4711'", "password: ********"),
        ("PASSWORD='it''s-4711' z", "PASSWORD='********' z"),
        ("prod/db/password: hunter2", "prod/db/password: ********"),
        ("{'password': '', 'user': 'x'}", "{'password': ********, 'user': 'x'}"),
    ] {
        assert_eq!(unknown.line(line), shown);
    }
}

#[test]
fn what_only_looks_like_a_secrets_name_hides_nothing() {
    for line in [
        "cat: /run/secrets/db_password: Permission denied",
        "grep: /run/secrets/db_password: odd words",
        "open /run/secrets/api_token: no such file or directory",
        "ERROR: failed to solve: secret npm_token: not found",
        "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
        "JsonWebTokenError: signature does not match",
        "line 12: POSTGRES_PASSWORD: unbound variable",
        "failed to fetch oauth token: unauthorized",
        "error: --password is required",
        "TOKEN=\"not set\"",
        "PASSENGER_APP_ENV=production",
        "PASSENGER_MIN_INSTANCES => 4",
        "passenger: started",
        "TOKENIZERS_PARALLELISM=false",
        "pid=4711 header=x secure=true",
        "BYPASS_CACHE=1 compass=north",
        "if token == null",
        "PASSWORD= next",
        "WEBHOOK_PORT=9000",
        "ops@example.org wrote to https://h:80/x about me@example.org",
    ] {
        assert_eq!(Redactor::default().line(line), line);
    }
}

#[test]
fn a_value_that_is_a_word_of_the_project_is_hidden_as_a_short_one_is() {
    let words = Words::of(["shop-backend".to_owned()].into(), ["storekeeper".to_owned()].into());
    let secrets = ["postgres", "backend", "storekeeper", "changeme", "keepthisaway"].map(str::to_owned);
    let redactor = Redactor::default().with_secrets(secrets).with_words(words);
    for line in [
        "Container shop-backend-1  Started",
        "pulling docker.io/library/postgres:16",
        "/var/lib/postgres is there",
        "the role storekeeper does not exist",
        "changeme if you can",
    ] {
        assert_eq!(redactor.line(line), line);
    }
    for (line, shown) in [
        ("X=postgres", "X=********"),
        ("user 'storekeeper'", "user '********'"),
        ("  changeme", "  ********"),
        ("it was keepthisaway of course", "it was ******** of course"),
    ] {
        assert_eq!(redactor.line(line), shown);
    }
}

#[test]
fn with_an_unreadable_secret_all_output_is_withheld() {
    let redactor = Redactor::default().withholding("/srv/key cannot be read: it has more than 16 MiB");
    let shown = redactor.text("a\nb");
    assert!(shown.ends_with("/srv/key cannot be read: it has more than 16 MiB"), "{shown}");
    assert_eq!((shown.lines().count(), redactor.line("a")), (1, shown.clone()));
    assert_eq!(redactor.message("own words"), "own words");
    let many = (0..300_000).map(|n| format!("secret-{n}"));
    assert!(
        Redactor::default().with_secrets(many).withheld().is_some_and(|why| why.ends_with("2 MiB together"))
    );
}

#[test]
fn what_it_costs_does_not_grow_with_the_secrets() {
    let lines: Vec<String> =
        (0..200).map(|n| format!("#7 0.{n} step {n} of the build: /usr/lib/x{n}")).collect();
    let cost = |redactor: &Redactor| {
        known::counted::so_far();
        for line in &lines {
            assert_eq!(redactor.line(line), *line);
        }
        known::counted::so_far()
    };
    let key = |lines: usize| (0..lines).map(|n| format!("{n:064}")).collect::<Vec<_>>().join("\n");
    let small = Redactor::default().with_secrets(["one-line-of-it".to_owned()]);
    let large = Redactor::default().with_secrets([key(16_000)]);
    let ((few, _), (many, made)) = (cost(&small), cost(&large));
    assert!(few > 0 && few == many, "{few} bytes are read for one value, {many} for a MiB of them");
    assert_eq!(made, 0, "nothing is made for a line");
    let with_more = large.with_variables([("A_TOKEN", "of-a-container")]);
    assert_eq!(known::counted::so_far().1, 1, "what is made is shared");
    assert_eq!(with_more.line(&format!("{:064} of-a-container", 15_999)), "******** ********");
}

#[test]
fn what_is_torn_in_the_middle_of_base64_or_bytes_is_hidden_on_both_sides() {
    let secret = "correct-horse-battery-staple-and-more-0123456789";
    let redactor = Redactor::default().with_secrets([secret.to_owned()]);
    for before in 0..30 {
        let text = format!("{}{secret}\nx=1", "#".repeat(before));
        let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
        for (encoded, width) in
            [(STANDARD.encode(&text), 76), (STANDARD.encode(&text), 64), (STANDARD.encode(&text), 20)]
        {
            let lines: Vec<&str> = (0..encoded.len())
                .step_by(width)
                .map(|at| &encoded[at..encoded.len().min(at + width)])
                .collect();
            let shown: String = lines.iter().map(|line| redactor.line(line)).collect();
            let left = lines.iter().filter(|line| shown.contains(**line));
            for line in left {
                let shown = STANDARD.decode(line).unwrap();
                let part =
                    secret.as_bytes().windows(4).find(|part| shown.windows(4).any(|shown| shown == *part));
                assert_eq!(part, None, "{before} {width}: {line}");
            }
        }
        for line in bytes.chunks(12) {
            let line = line.join(", ");
            let shown = redactor.line(&format!("  {line},"));
            let bytes: Vec<u8> = line.split(", ").map(|byte| byte.parse().unwrap()).collect();
            let holds = secret.as_bytes().windows(4).any(|part| bytes.windows(4).any(|shown| shown == part));
            assert_eq!(shown.contains(STARS), holds, "{before}: {line}");
        }
    }
}

#[test]
fn what_is_no_secret_stays() {
    for line in [
        "FATAL: cannot bind db",
        "a=b",
        "=",
        "listening on 0.0.0.0:3000",
        "PORT=",
        "PASSWORD=",
        "…",
        "waiting for the correct…",
    ] {
        assert_eq!(redactor().line(line), line);
    }
}

#[test]
fn of_a_line_that_was_cut_in_the_middle_of_a_secret_nothing_of_it_is_left() {
    let secret = "0123456789abcdef0123456789";
    let redactor = Redactor::default().with_secrets([secret.to_owned()]);
    let percent = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    for encoded in [secret.to_owned(), percent] {
        for torn in 1..encoded.len() {
            let line = format!("{} {}… (cut)", "x".repeat(200), &encoded[..torn]);
            assert_eq!(redactor.line(&line), format!("{} {STARS}… (cut)", "x".repeat(200)), "{torn}");
        }
    }
}

/// As long as a line that is kept, and far longer than the text before it there.
#[test]
fn of_a_long_secret_that_was_cut_nothing_is_left() {
    let long = |len: usize| {
        (0..len).map(|at| char::from(b'a' + u8::try_from(at * at % 23).unwrap())).collect::<String>()
    };
    for (before, len) in [(5, 6_000), (1_500, 2_800), (4_000, 2_800)] {
        let secret = long(len);
        let (mut shown, mut cutter) = (Vec::new(), crate::host::process::lines::Lines::default());
        let redactor = Redactor::default().with_secrets([secret.clone()]);
        let line = format!("{} {secret} instead\n", "=".repeat(before));
        cutter.push(line.as_bytes(), |line| shown.push(redactor.line(line)));
        let end = if before + len > 4_096 { "… (cut)" } else { " instead" };
        assert_eq!(shown, [format!("{} {STARS}{end}", "=".repeat(before))]);
    }
}

/// Nested encodings with many readings each: time is bounded, and text that is not searched is not shown.
#[test]
fn a_line_that_is_made_to_cost_time_is_hidden_whole() {
    let marks = "\\x41%41&amp;'\\''$$''\"\"%%+";
    let encoded = |text: String| STANDARD.encode(text).replace('A', "\\x41").replace('Q', "%51");
    let line: String =
        [marks.repeat(8), encoded([marks.repeat(8), encoded(marks.repeat(30))].concat())].concat().repeat(4);
    known::counted::so_far();
    let shown = redactor().line(&line);
    let (read, _) = known::counted::so_far();
    assert!(shown == STARS, "{read} bytes read");
    assert!(read <= MOST_READ * redactor().sets.len(), "{read}");
}

#[test]
fn a_secret_is_hidden_wherever_the_chunks_of_an_output_end() {
    let text = b"login with correct horse battery failed\n";
    for cut in 0..text.len() {
        let mut lines = Vec::new();
        let mut cutter = crate::host::process::lines::Lines::default();
        for chunk in [&text[..cut], &text[cut..]] {
            cutter.push(chunk, |line| lines.push(redactor().line(line)));
        }
        assert_eq!(lines, ["login with ******** failed"], "cut at {cut}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(line in ".{0,60}") {
        let _ = redactor().line(&format!("TOKEN={line}"));
        let _ = redactor().line(&line);
        let _ = redactor().line(&format!("--password {line}…"));
        let _ = redactor().own(&line);
    }

    /// For any value, and any text around it.
    #[test]
    fn no_long_value_passes(secret in "[!-~]{8,30}", before in "[ -~]{0,12}", after in "[ -~]{0,12}") {
        let redactor = Redactor::default().with_secrets([secret.clone()]);
        let shown = redactor.line(&format!("{before}{secret}{after}"));
        proptest::prop_assert!(!shown.contains(&secret) || STARS.contains(&secret), "{shown}");
    }
}
