//! What is hidden, and what must stay as it is.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

/// A value with a character of each kind that some encoding writes otherwise.
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
    ] {
        assert_eq!(unknown.line(line), shown);
    }
}

#[test]
fn what_is_no_secret_stays() {
    for line in ["FATAL: cannot bind db", "a=b", "=", "listening on 0.0.0.0:3000", "PORT=", "PASSWORD=", "…"]
    {
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
            let line = format!("{} {}…", "x".repeat(200), &encoded[..torn]);
            let shown = redactor.line(&line);
            assert!(shown.ends_with("x…") && shown.chars().all(|c| c == 'x' || c == '…'), "{torn}: {shown}");
        }
    }
}

#[test]
fn a_secret_is_hidden_wherever_the_chunks_of_an_output_end() {
    let text = b"login with correct horse battery failed\n";
    for cut in 0..text.len() {
        let mut lines = Vec::new();
        let mut cutter = crate::host::compose::lines::Lines::default();
        for chunk in [&text[..cut], &text[cut..]] {
            cutter.push(chunk, |line| lines.push(redactor().line(line)));
        }
        assert_eq!(lines, ["login with ******** failed"], "cut at {cut}");
    }
}

#[test]
fn passwords_of_urls_are_found_as_they_are_and_decoded() {
    assert_eq!(passwords_in("x postgres://shop:a%20b@db/shop y"), ["a%20b", "a b"]);
    assert_eq!(passwords_in("https://ghp_0123456789abcdef@github.com/x.git").len(), 2);
    for none in ["https://git@github.com/x.git", "https://example.org/a@b", "a@b:c", ""] {
        assert_eq!(passwords_in(none), [""; 0], "{none}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(line in ".{0,60}") {
        let _ = redactor().line(&format!("TOKEN={line}"));
        let _ = redactor().line(&line);
        let _ = redactor().line(&format!("--password {line}…"));
        let _ = passwords_in(&format!("a://{line}"));
    }

    /// Whatever the value, and whatever stands around it.
    #[test]
    fn no_long_value_passes(secret in "[!-~]{8,30}", before in "[ -~]{0,12}", after in "[ -~]{0,12}") {
        let redactor = Redactor::default().with_secrets([secret.clone()]);
        let shown = redactor.line(&format!("{before}{secret}{after}"));
        proptest::prop_assert!(!shown.contains(&secret) || STARS.contains(&secret), "{shown}");
    }
}

#[test]
fn a_password_of_a_url_is_known_also_where_it_holds_a_slash_and_a_path_is_none() {
    for (url, expected) in [
        ("postgres://shop:hun/ter2hun@db/shop", Some("hun/ter2hun")),
        ("postgres://shop:hunter2hun@db:5432/a@b", Some("hunter2hun")),
        ("https://registry.example.org:5000/team/app@sha256", None),
        ("https://registry.example.org/team/app@sha256", None),
        ("http://h/x", None),
    ] {
        assert_eq!(passwords_in(url).first().map(String::as_str), expected, "{url}");
    }
}
