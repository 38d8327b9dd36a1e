//! Hides secrets in what other programs print, before it is kept.
//!
//! Three ways together, because each misses what the others find: values that are known to be secret, wherever they stand
//! and however they are encoded; values beside a name that is a secret's ([`beside`]); and what a manifest's excerpt hides:
//! `password: …`, `user:password@` in a URL, parameters of a query.
//!
//! | file | says |
//! | --- | --- |
//! | `mod` | the values that are known, and a line without them |
//! | `view` | what a line reads as once an encoding is undone |
//! | `beside` | values that stand beside the name of a secret |
//! | `variable` | which environment variables hold secrets |

mod beside;
mod variable;
mod view;

use std::{ops::Range, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use crate::{manifest::masked_output, plain::turns};
pub(super) use beside::assigned_secrets;
pub(super) use variable::holds_a_secret;
use view::View;
pub(super) use view::percent_decoded;

/// What stands in for a secret; as long for each, so that it does not tell the length.
const STARS: &str = "********";

/// The least characters of a value that is looked for within words. A shorter one is a word that stands in any line.
pub(super) const LONG: usize = 8;

/// The least characters of a value that is looked for at all.
const SHORT: usize = 4;

/// What a variable of a secret's name says that is no secret.
const SETTINGS: [&str; 12] = [
    "true", "false", "none", "null", "auto", "always", "never", "default", "disabled", "enabled", "optional",
    "required",
];

/// How a line ends that was cut (see [`Lines`](super::compose::lines::Lines)).
const CUT: char = '…';

/// The most bytes that an encoding makes of one byte of a value: `%0A`, or `\u0026` less often.
const WIDEST: usize = 3;

/// The most bytes that a cut line loses for a value that was cut.
const LOST: usize = 2 * 1024;

/// Secrets that are known by their values. No `Debug`.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// Hidden wherever they stand.
    long: Vec<String>,
    /// Hidden where they are a whole value.
    short: Vec<String>,
    /// What stands in the middle of base64 of a long one, whatever was encoded before and after it.
    encoded: Vec<String>,
}

impl Redactor {
    /// The secrets among the variables of this process: it hands them to every command.
    pub(super) fn of_this_process() -> &'static Self {
        static OWN: OnceLock<Redactor> = OnceLock::new();
        OWN.get_or_init(|| {
            let own = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
            let own: Vec<(String, String)> =
                own.filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect();
            Self::default().with_variables(own.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        })
    }

    /// The same, and for values of which it is known that they are secret.
    pub(super) fn with_secrets(mut self, secrets: impl IntoIterator<Item = String>) -> Self {
        for secret in secrets {
            self.add(&secret);
        }
        self.in_order()
    }

    /// The same, and for the variables that are named like secrets, or hold a URL with a password.
    pub(super) fn with_variables<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.with_secrets(variables.into_iter().flat_map(|(name, value)| {
            let whole = holds_a_secret(name).then(|| value.to_owned());
            whole.into_iter().chain(passwords_in(value))
        }))
    }

    /// A secret of several lines, such as a key, is printed in several lines.
    fn add(&mut self, secret: &str) {
        for line in secret.lines().map(as_printed).filter(|line| !SETTINGS.contains(&line.as_str())) {
            match line.chars().count() {
                LONG.. => {
                    self.encoded.extend(within_base64(line.as_bytes()));
                    self.long.push(line);
                }
                SHORT.. => self.short.push(line),
                _ => {}
            }
        }
    }

    /// The longest first: one may be the beginning of another.
    fn in_order(mut self) -> Self {
        for values in [&mut self.long, &mut self.short, &mut self.encoded] {
            values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            values.dedup();
        }
        self
    }

    /// A line without what is secret in it.
    pub(super) fn line(&self, line: &str) -> String {
        let (whole, is_cut) = match line.strip_suffix(CUT) {
            Some(whole) => (whole, true),
            None => (line, false),
        };
        let known = replaced(whole, self.known_in(whole));
        let shown = masked_output(&beside::without(&known));
        if is_cut { format!("{}{CUT}", self.without_torn_end(&shown)) } else { shown }
    }

    /// The same for each line of a text.
    pub(super) fn text(&self, text: &str) -> String {
        text.lines().map(|line| self.line(line)).collect::<Vec<_>>().join("\n")
    }

    /// Where what is known stands in a line.
    fn known_in(&self, line: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for view in View::all(line) {
            found.extend(self.long.iter().flat_map(|value| view.places_of(value)));
            let short = self.short.iter().flat_map(|value| view.places_of(value).map(move |at| (value, at)));
            found.extend(short.filter(|(_, at)| is_whole_value(line, at)).map(|(_, at)| at));
        }
        let runs = self.encoded.iter().flat_map(|core| line.match_indices(core.as_str()));
        found.extend(runs.map(|(at, core)| base64_around(line, at..at + core.len())));
        found
    }

    /// A line that was cut without as much of its end as the beginning of a value may be.
    fn without_torn_end<'l>(&self, line: &'l str) -> &'l str {
        let longest = self.long.first().map_or(0, String::len);
        let mut end = line.len().saturating_sub((longest * WIDEST).min(LOST));
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        &line[..end]
    }
}

/// A line of a value as a cleaned output has it.
fn as_printed(line: &str) -> String {
    let shown = line.chars().filter_map(|c| match c {
        '\t' => Some(' '),
        c if c.is_control() || turns(c) => None,
        c => Some(c),
    });
    shown.collect::<String>().trim().to_owned()
}

/// The line with stars in these places.
fn replaced(line: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| (place.start, place.end));
    let (mut out, mut from) = (String::with_capacity(line.len()), 0);
    for place in places {
        if place.start >= from {
            out.push_str(&line[from..place.start]);
            out.push_str(STARS);
        }
        from = from.max(place.end);
    }
    out.push_str(&line[from..]);
    out
}

/// Whether what stands there is a whole value: behind `=` or `:`, between quotes, or all of the line.
fn is_whole_value(line: &str, at: &Range<usize>) -> bool {
    let (before, after) = (&line[..at.start], &line[at.end..]);
    if before.trim().is_empty() && after.trim().is_empty() {
        return true;
    }
    let is_quoted =
        |quote: char| before.ends_with(quote) && after.trim_start_matches('\\').starts_with(quote);
    let is_behind = before.ends_with('=') || before.trim_end_matches(' ').ends_with(':');
    let ends = |c: char| c.is_whitespace() || "\"'`,;&@)]}\\".contains(c);
    ['"', '\'', '`'].into_iter().any(is_quoted) || is_behind && after.chars().next().is_none_or(ends)
}

/// What base64 makes of a value that stands anywhere in what is encoded: for each of the three places that it can begin at
/// in a group of three bytes the characters that it alone decides. Both alphabets.
fn within_base64(value: &[u8]) -> Vec<String> {
    let mut cores = Vec::new();
    for before in 0..3 {
        let whole = STANDARD_NO_PAD.encode([&vec![0; before], value].concat());
        // A character has six bits of the eight of a byte.
        let (start, end) = ((before * 8).div_ceil(6), (before + value.len()) * 8 / 6);
        let core = &whole[start..end];
        if core.len() >= LONG {
            cores.push(core.to_owned());
            cores.push(core.replace('+', "-").replace('/', "_"));
        }
    }
    cores
}

/// The whole run of base64 that a part of it stands in.
fn base64_around(line: &str, part: Range<usize>) -> Range<usize> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let start = line[..part.start]
        .rfind(|c| !is_base64(c) || c == '=')
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    let end = line[part.end..].find(|c| !is_base64(c)).map_or(line.len(), |at| part.end + at);
    start..end
}

/// What stands before the host in a URL without its scheme. A password may hold a slash by mistake: what stands before the first
/// one is no host then, for a port has digits only.
fn user_info_of(url: &str) -> Option<&str> {
    let whole = &url[..url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(url.len())];
    let authority = &whole[..whole.find(['/', '?', '#']).unwrap_or(whole.len())];
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_torn =
        authority.rsplit_once(':').is_some_and(|(_, port)| !is_port(port)) && !authority.contains('@');
    (if is_torn { whole } else { authority }).rsplit_once('@').map(|(user_info, _)| user_info)
}

/// The passwords, or tokens in their place, of the URLs in a text: as they stand there, and decoded.
pub(super) fn passwords_in(text: &str) -> Vec<String> {
    let user_infos =
        text.match_indices("://").filter_map(|(at, separator)| user_info_of(&text[at + separator.len()..]));
    let passwords = user_infos.filter_map(|user_info| match user_info.split_once(':') {
        Some((_, password)) => Some(password),
        // A name alone may be a token, where it is as long as one.
        None => (user_info.chars().count() >= 2 * LONG).then_some(user_info),
    });
    passwords.flat_map(|password| [password.to_owned(), percent_decoded(password)]).collect()
}

#[cfg(test)]
mod tests;
