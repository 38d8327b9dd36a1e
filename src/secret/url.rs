//! The secret parts of a URL: user and password, query parameters, and the path of a webhook.

use std::ops::Range;

use super::names;

/// Between scheme and authority.
const SEPARATOR: &str = "://";

/// Webhooks whose path is their secret: the host, or its end behind a dot, and the beginning of the path. From the documentation
/// of Slack, Discord, Microsoft Teams and Power Automate, Google Chat, Telegram, Zapier, IFTTT, `PagerDuty`, Feishu and `WeCom`.
const WEBHOOKS: [(&str, &str); 14] = [
    ("hooks.slack.com", "/"),
    ("discord.com", "/api/webhooks/"),
    ("discordapp.com", "/api/webhooks/"),
    ("webhook.office.com", "/"),
    ("outlook.office.com", "/webhook/"),
    ("logic.azure.com", "/workflows/"),
    ("api.powerplatform.com", "/"),
    ("chat.googleapis.com", "/v1/spaces/"),
    ("api.telegram.org", "/bot"),
    ("hooks.zapier.com", "/hooks/"),
    ("maker.ifttt.com", "/trigger/"),
    ("events.pagerduty.com", "/integration/"),
    ("open.feishu.cn", "/open-apis/bot/"),
    ("qyapi.weixin.qq.com", "/cgi-bin/webhook/"),
];

/// Path segments before the secret of a self-hosted webhook: Mattermost, Rocket.Chat, GitLab and the like.
const SEGMENTS: [&str; 4] = ["webhook", "webhooks", "hook", "hooks"];

/// The minimum length of a segment that may be a key and is no name.
const KEY: usize = 16;

/// Where URLs in a text hold secrets: the part before the host, and the path of a webhook. In order, without overlap.
pub(crate) fn secrets_in(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in urls(text) {
        // A password may look like a URL.
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let user_info = user_info(text, start);
        let host = user_info.as_ref().map_or(start, |user_info| user_info.end + 1);
        found.extend(user_info.into_iter().chain(webhook(text, host)));
    }
    found
}

/// The user infos of the URLs in a text, in each possible reading: a password may hold an `@` by mistake.
pub(crate) fn user_infos_in(text: &str) -> Vec<&str> {
    urls(text)
        .flat_map(|start| {
            let whole = user_info(text, start);
            let authority = authority(&text[start..]);
            let least = authority
                .rfind('@')
                .map(|at| start..start + at)
                .filter(|least| Some(least) != whole.as_ref());
            least.into_iter().chain(whole)
        })
        .map(|range| &text[range])
        .collect()
}

/// The secret parts of the webhook URLs in a text.
pub(crate) fn webhooks_in(text: &str) -> Vec<&str> {
    urls(text).filter_map(|start| Some(&text[webhook(text, start)?])).collect()
}

/// For a webhook's URL at any host: everything behind the host, if that is more than a name.
pub(crate) fn behind_the_host(url: &str) -> Option<&str> {
    let start = urls(url).next()?;
    let url = word(&url[start..]);
    let path = url[authority(url).len()..].trim_start_matches('/');
    (path.chars().count() >= KEY / 2).then_some(path)
}

/// The password in a text that is nothing but an address without a scheme: `user:password@host`.
pub(crate) fn bare_password(value: &str) -> Option<&str> {
    let (user_info, host) = value.trim().rsplit_once('@')?;
    let (user, password) = user_info.split_once(':')?;
    // An image has a digest there.
    let is_host =
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !host.starts_with("sha256:");
    let is_one =
        is_host && !user.is_empty() && !user.contains('/') && !value.trim().contains(char::is_whitespace);
    (is_one && !value.contains(SEPARATOR) && !password.is_empty()).then_some(password)
}

/// An address as it may be shown, with or without a scheme: without the part before the host.
pub(crate) fn without_user_info(address: &str) -> String {
    let (scheme, rest) = match address.split_once(SEPARATOR) {
        Some((scheme, rest)) => (format!("{scheme}{SEPARATOR}"), rest),
        None => (String::new(), address),
    };
    match rest.rsplit_once('@') {
        // The path of a socket may have one.
        Some((_, host)) if !rest.starts_with('/') => format!("{scheme}{}@{host}", super::STARS),
        _ => address.to_owned(),
    }
}

/// Where the URLs of a text begin, behind scheme and slashes.
fn urls(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices(SEPARATOR).map(|(at, separator)| at + separator.len())
}

/// A URL is a word, and may be enclosed in quotes or brackets of any kind.
fn word(text: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
    &text[..text.find(ends).unwrap_or(text.len())]
}

fn authority(url: &str) -> &str {
    let url = word(url);
    &url[..url.find(['/', '?', '#']).unwrap_or(url.len())]
}

/// The part before the host of the URL that begins here. A password may hold an `@`, a slash or a space by mistake: if there
/// certainly is a user info, it ends at the last possible `@`. Rather too much is hidden than too little.
fn user_info(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    let (url, authority) = (word(rest), authority(rest));
    // If the part before a slash is no port, the URL has no host yet.
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_torn = authority.rsplit_once(':').is_some_and(|(_, port)| !is_port(port));
    let last = match (authority.contains('@') || is_torn).then(|| url.rfind('@'))? {
        Some(last) => last,
        // Up to the next URL at most.
        None => rest[..rest.find(SEPARATOR).unwrap_or(rest.len())].rfind('@')?,
    };
    Some(start..start + last)
}

/// The secret part of the URL whose host begins here, if it is a webhook's.
fn webhook(text: &str, host: usize) -> Option<Range<usize>> {
    let url = word(&text[host..]).trim_end_matches([',', '.', ';', ':', ')', ']', '}', '\\']);
    let authority = authority(url);
    let (name, path) = (authority.split(':').next().unwrap_or_default(), &url[authority.len()..]);
    let is_at = |known: &str| {
        name.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let known = WEBHOOKS.iter().filter(|(host, _)| is_at(host));
    let prefix = known.filter(|(_, prefix)| path.starts_with(prefix)).map(|(_, prefix)| prefix.len()).max();
    let from = prefix.or_else(|| behind_a_segment(path))?;
    let begin = host + authority.len() + from;
    (from < path.len()).then_some(begin..host + url.len())
}

/// Where in a path a key begins, behind a segment that announces one.
fn behind_a_segment(path: &str) -> Option<usize> {
    let path_end = path.find(['?', '#']).unwrap_or(path.len());
    let mut at = 0;
    for segment in path[..path_end].split('/') {
        at += segment.len() + 1;
        let behind = path.get(at..path_end).unwrap_or_default();
        if SEGMENTS.contains(&segment) && behind.split('/').any(is_key) {
            return Some(at);
        }
    }
    None
}

fn is_key(segment: &str) -> bool {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '~' | '.');
    segment.len() >= KEY && segment.chars().all(is_of_key) && segment.contains(|c: char| c.is_ascii_digit())
}

/// The query parameters in a text that have a secret's name and a value: each name, decoded, with the position of its value.
pub(crate) fn in_query(text: &[char]) -> Vec<(String, Range<usize>)> {
    let starts = text.iter().enumerate().filter(|(_, c)| matches!(c, '?' | '&' | ';')).map(|(at, _)| at + 1);
    let parameter = |start: usize| {
        let length = text[start..].iter().position(|c| matches!(c, '=' | '?' | '&' | ';' | '#'))?;
        let equals = start + length;
        let value = equals + 1;
        if text[equals] != '=' || length > 100 {
            return None;
        }
        let ends = |c: &char| c.is_whitespace() || matches!(c, '&' | ';' | '#' | '"' | '\'');
        let end = text[value..].iter().position(ends).map_or(text.len(), |at| value + at);
        let name = decoded(&text[start..equals].iter().collect::<String>());
        (end > value && names::is_certain(&name)).then_some((name, value..end))
    };
    starts.filter_map(parameter).collect()
}

/// Percent-encoded ASCII, decoded: it is enough for the words of names.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        match byte {
            Some(byte) => decoded.extend([char::from(byte)].into_iter().chain(part[2..].chars())),
            None => decoded.extend(["%", part]),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::{super::STARS, *};

    fn masked(text: &str) -> String {
        let mut text = text.to_owned();
        for range in secrets_in(&text).into_iter().rev() {
            text.replace_range(range, STARS);
        }
        text
    }

    #[test]
    fn all_that_stands_before_a_host_is_hidden() {
        for (text, shown) in [
            ("http://ops:hunter2@host/x", "http://********@host/x"),
            ("at http://ops:p@ss@host/x y", "at http://********@host/x y"),
            ("a://u:p@@@h", "a://********@h"),
            ("a://u:p@s/s?w#d@h/x", "a://********@h/x"),
            ("a://u:hun/ter2@h b://u:p@w@h", "a://********@h b://********@h"),
            ("a://ops:hun ter2@h", "a://********@h"),
            ("a://token@h:80", "a://********@h:80"),
            ("\"a://u:p@h\" and 'b://v:q@h'", "\"a://********@h\" and 'b://********@h'"),
        ] {
            assert_eq!(masked(text), shown);
        }
        for text in [
            "http://h:80/x of ops@example.org",
            "https://registry.example.org:5000/team/app@sha256",
            "http://host/a@b",
            "a@b c://d",
            "://",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn the_path_of_a_webhook_is_hidden_and_its_host_stays() {
        for (text, shown) in [
            ("POST https://hooks.slack.com/services/T0/B0/xyz.", "POST https://hooks.slack.com/********."),
            ("https://discord.com/api/webhooks/123/ab-c", "https://discord.com/api/webhooks/********"),
            ("\"https://x.webhook.office.com/webhookb2/a@b/c\"", "\"https://x.webhook.office.com/********\""),
            (
                "https://a.b.logic.azure.com:443/workflows/f0?sig=x",
                "https://a.b.logic.azure.com:443/workflows/********",
            ),
            ("https://api.telegram.org/bot123:AAx/send", "https://api.telegram.org/bot********"),
            ("https://chat.example.org/hooks/9xk3bw8j3fyq5ghx", "https://chat.example.org/hooks/********"),
            ("http://u:p@hooks.slack.com/services/x", "http://********@hooks.slack.com/********"),
        ] {
            assert_eq!(masked(text), shown);
        }
        for text in [
            "https://hooks.slack.com/",
            "https://discord.com/channels/1",
            "https://myhooks.slack.community/services/x",
            "https://git.example.org/team/app/hooks/post-receive",
            "https://h/webhooks/stripe",
        ] {
            assert_eq!(masked(text), text);
        }
        assert_eq!(webhooks_in("x https://hooks.slack.com/services/T0/B0/k y"), ["services/T0/B0/k"]);
        assert_eq!(behind_the_host("https://n8n.example.org/"), None);
        assert_eq!(behind_the_host("https://ci.example.org/in/0123456789?x=1"), Some("in/0123456789?x=1"));
    }

    #[test]
    fn an_address_without_a_scheme_may_have_a_password_too() {
        for (address, shown) in [
            ("ops:hunter2@h", "********@h"),
            ("ops:hun@ter/2@h:2375", "********@h:2375"),
            ("ssh://ops:hunter2@h", "ssh://********@h"),
            ("tcp://h:1", "tcp://h:1"),
            ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ] {
            assert_eq!(without_user_info(address), shown);
        }
        assert_eq!(bare_password("ops:hunter2@mail.example.org:587"), Some("hunter2"));
        assert_eq!(bare_password("ops:hun@ter2@h"), Some("hun@ter2"));
        for none in ["ops@h", "a b:c@d", "app:1.2@sha256:0123", "registry/app:1@h", "http://a:b@c", "", "@"] {
            assert_eq!(bare_password(none), None, "{none}");
        }
    }

    #[test]
    fn secrets_in_a_query_are_found_with_their_places() {
        let found = |text: &str| {
            let chars: Vec<char> = text.chars().collect();
            let one = |(name, range): (String, Range<usize>)| (name, chars[range].iter().collect());
            in_query(&chars).into_iter().map(one).collect::<Vec<(String, String)>>()
        };
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(found("/a?token=hunter2"), one("token", "hunter2"));
        assert_eq!(found("/a?page=2&api_key=hun=ter2&x=1"), one("api_key", "hun=ter2"));
        assert_eq!(found("url: \"http://h/a?p%61ss=hunter2\" # old"), one("pass", "hunter2"));
        assert_eq!(found("/a?x=1;password=hunter2"), one("password", "hunter2"));
        for text in ["/a", "/a?token", "/a?token=", "/a?page=2", "/token=1", "/a?next=%zz", "/a?é=%"] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|://|@|/hooks/){0,20}") {
            let found = secrets_in(&format!("a://{text}"));
            proptest::prop_assert!(found.windows(2).all(|two| two[0].end <= two[1].start), "{found:?}");
            let _ = (user_infos_in(&text), webhooks_in(&text), behind_the_host(&text), bare_password(&text));
        }
    }
}
