//! The secrets in an environment variable, a label or another text from a project.

use super::reading::percent_decoded;
use crate::secret::{names, url};

/// The least characters of a lone user name that may be a token.
const TOKEN: usize = 16;

/// The secrets in a variable: its whole value if it is named like a secret, the URL of a webhook, passwords of URLs.
pub(in crate::host) fn secrets_of_variable(name: &str, value: &str) -> Vec<String> {
    let whole = names::of_variable(name).then_some(value);
    let hook = names::of_webhook(name).then(|| url::behind_the_host(value)).flatten();
    let bare = url::bare_password(value);
    let direct = whole.into_iter().chain(hook).chain(bare).map(str::to_owned);
    direct.chain(secrets_in_text(value)).collect()
}

/// The secrets in the URLs of a text: passwords, or tokens in their place, as they are written and decoded, and the paths of
/// webhooks.
pub(in crate::host) fn secrets_in_text(text: &str) -> Vec<String> {
    let passwords =
        url::user_infos_in(text).into_iter().filter_map(|user_info| match user_info.split_once(':') {
            Some((_, password)) => Some(password),
            // A lone name may be a token if it is as long as one.
            None => (user_info.chars().count() >= TOKEN).then_some(user_info),
        });
    let mut all = Vec::new();
    for secret in passwords.chain(url::webhooks_in(text)) {
        let decoded = percent_decoded(secret);
        all.extend((decoded != secret).then_some(decoded));
        all.push(secret.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_found_as_they_are_and_decoded() {
        for (text, secrets) in [
            ("x postgres://shop:a%20b@db/shop y", &["a b", "a%20b"][..]),
            ("https://ghp_0123456789abcdef@github.com/x.git", &["ghp_0123456789abcdef"]),
            ("postgres://shop:hun/ter2hun@db/shop", &["hun/ter2hun"]),
            ("postgres://shop:hun@ter2@db/shop", &["hun@ter2"]),
            ("postgres://shop:hunter2hun@db:5432/a@b", &["hunter2hun", "hunter2hun@db:5432/a"]),
            ("https://hooks.slack.com/services/T0/B0/k", &["services/T0/B0/k"]),
        ] {
            assert_eq!(secrets_in_text(text), secrets, "{text}");
        }
        for none in [
            "https://git@github.com/x.git",
            "https://example.org/a@b",
            "a@b:c",
            "",
            "https://registry.example.org:5000/team/app@sha256",
            "https://registry.example.org/team/app@sha256",
            "http://h/x",
        ] {
            assert_eq!(secrets_in_text(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn variables_have_secrets_by_their_names_and_by_their_values() {
        for (name, value, secrets) in [
            ("DB_PASSWORD", "x y", &["x y"][..]),
            ("ALERT_WEBHOOK_URL", "https://ci.example.org/in/0123456789", &["in/0123456789"]),
            ("WEBHOOK_URL", "https://n8n.example.org/", &[]),
            ("WEBHOOK_PORT", "9000", &[]),
            ("DOCKER_HOST", "ops:hunter22@far", &["hunter22"]),
            ("IMAGE", "app:1.2@sha256:0123", &[]),
            ("MODE", "production", &[]),
        ] {
            assert_eq!(secrets_of_variable(name, value), secrets, "{name}");
        }
    }
}
