//! What the writer of a valid manifest should know: said, and no error.

use std::fs;

use crate::home::{Home, Run, run};

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: shop }
spec:
  project: { directory: . }
  services:
    - name: web
      routes:
        - url: URL
          expect: 401
          auth:
            bearerFrom: { env: WARNED_TOKEN }
            expect: 200
";

/// What `validate` says of a route at this URL, with this in its `auth` and this token.
fn validated(url: &str, more: &str, token: Option<&str>) -> Run {
    let home = Home::new();
    fs::write(home.0.path().join("shop.yaml"), format!("{}{more}", MANIFEST.replace("URL", url))).unwrap();
    let mut command = home.command(&["validate", "-f", "shop.yaml"]);
    match token {
        Some(token) => command.env("WARNED_TOKEN", token),
        None => command.env_remove("WARNED_TOKEN"),
    };
    let validated = run(&mut command).expect(0);
    assert_eq!(validated.stdout, "ok  shop  shop.yaml  1 service, 0 modules, 1 route\n");
    validated
}

#[test]
fn credentials_in_plain_http_to_another_host_are_a_warning_unless_allowed() {
    let long = Some("long-enough-a-token");
    let warned = validated("http://shop.example/x", "", long).stderr;
    let shown = "warning: this password or token crosses the network in plain HTTP, for whoever listens there\n  --> \
                 shop.yaml:12:13\n";
    assert!(warned.starts_with(shown), "{warned}");
    assert!(
        warned.contains("12 |             bearerFrom: { env: WARNED_TOKEN }\n   |             ^^^^^^^^^^\n"),
        "{warned}"
    );
    assert!(warned.contains("allowPlainHttp: true"), "and what silences it: {warned}");
    for (url, more) in [
        ("http://shop.example/x", "            allowPlainHttp: true\n"),
        ("http://shop.example/x", "            allowPlainHttp: false\n"),
        ("https://shop.example/x", ""),
        ("http://localhost:8080/x", ""),
        ("http://127.0.0.1:8080/x", ""),
        ("'http://[::1]:8080/x'", ""),
    ] {
        assert_eq!(validated(url, more, long).stderr, "", "{url} {more}");
    }
}

#[test]
fn a_declared_token_that_is_too_short_to_be_hidden_everywhere_is_a_warning() {
    let warned = validated("https://shop.example/x", "", Some("demo123")).stderr;
    assert!(warned.starts_with("warning: this password or token has fewer than 8 characters: "), "{warned}");
    assert!(warned.contains("shop.yaml:12:13") && !warned.contains("demo123"), "{warned}");
    for token in [Some("8-chars!"), None] {
        assert_eq!(validated("https://shop.example/x", "", token).stderr, "", "{token:?}");
    }
}

#[test]
fn doctor_warns_of_plain_http_too() {
    let home = Home::new();
    fs::write(home.0.path().join("shop.yaml"), MANIFEST.replace("URL", "http://shop.example/x")).unwrap();
    let check = |run: &Run| {
        let checks = run.json::<serde_json::Value>()["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "CredentialsProtected").unwrap()
    };
    let found = check(&home.undrift(&["doctor", "-f", "shop.yaml", "-o", "json"]));
    assert_eq!(found["status"], "warning", "{found}");
    assert!(
        found["found"].as_str().unwrap().ends_with("shop, service web: route http://shop.example/x"),
        "{found}"
    );
    fs::write(home.0.path().join("shop.yaml"), MANIFEST.replace("URL", "https://shop.example/x")).unwrap();
    let found = check(&home.undrift(&["doctor", "-f", "shop.yaml", "-o", "json"]));
    assert_eq!(found["status"], "ok", "{found}");
}
