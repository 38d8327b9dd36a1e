//! What the texts of `each`, `content` and `revision` must look like, each by itself.

use super::{
    formats::{INNER_PATH, TextCheck, fail_if, no_control, not_empty},
    shape::TextFormat,
};
use crate::{api::EachPattern, manifest::report::Fault, pattern::Pattern};

/// A folder of the project directory and a pattern with one `*`.
pub(super) static EACH: TextFormat = TextFormat { check: each, pattern: r"^([^/~*][^*]*)?\*[^*/]*$" };

fn each(text: &str) -> TextCheck {
    (INNER_PATH.check)(text)?;
    fail_if(
        EachPattern::parse(text).is_none(),
        "`each` has one `*`, in its last segment",
        "write a folder and a pattern for the entries in it, such as `api/src/modules/*`",
    )
}

/// The name of an entry of a folder.
pub(super) static ENTRY_NAME: TextFormat = TextFormat { check: entry_name, pattern: "^[^/]+$" };

fn entry_name(name: &str) -> TextCheck {
    not_empty(name, "the name")?;
    no_control(name, "the name")?;
    fail_if(name.contains('/'), "this is a path, not a name", "write the name of the entry in the folder")
}

/// A pattern of what is not compared.
pub(super) static IGNORED: TextFormat = TextFormat { check: ignored, pattern: "^[^!/]" };

fn ignored(pattern: &str) -> TextCheck {
    not_empty(pattern, "the pattern")?;
    no_control(pattern, "the pattern")?;
    fail_if(
        pattern.starts_with('!'),
        "a pattern cannot take back another one",
        "remove the `!`, and name what is not compared",
    )?;
    fail_if(pattern.starts_with('/'), "the pattern is absolute", "write it relative to the module")?;
    fail_if(
        Pattern::parse(pattern).is_err(),
        "the pattern is not valid",
        "close each `[`, as in `*.[ab]`, and write `\\[` for the character itself",
    )
}

/// The name of a label of an image: what Docker accepts in a `LABEL`.
pub(super) static LABEL_NAME: TextFormat = TextFormat { check: label_name, pattern: r"^[^\s=]+$" };

fn label_name(name: &str) -> TextCheck {
    not_empty(name, "the name of the label")?;
    let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '=';
    fail_if(
        name.chars().any(wrong),
        "the name of a label holds no space and no `=`",
        "write it as `org.opencontainers.image.revision`",
    )
}

/// A JSON pointer (RFC 6901).
pub(super) static JSON_POINTER: TextFormat =
    TextFormat { check: json_pointer, pattern: "^(/([^~]|~[01])*)?$" };

fn json_pointer(pointer: &str) -> TextCheck {
    no_control(pointer, "the pointer")?;
    if !pointer.is_empty() && !pointer.starts_with('/') {
        let plain = pointer.trim_start_matches(['$', '.']).replace('.', "/");
        let fault = Fault::new("a JSON pointer starts with `/`");
        return Err(fault.help(format!("did you mean `/{plain}`?")));
    }
    let is_escaped = pointer.split('~').skip(1).all(|part| part.starts_with(['0', '1']));
    fail_if(
        !is_escaped,
        "in a JSON pointer `~` is written `~0`",
        "write `~0` for `~`, and `~1` for `/` in a name",
    )
}

/// The name of a header (RFC 9110).
pub(super) static HEADER_NAME: TextFormat =
    TextFormat { check: header_name, pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" };

fn header_name(name: &str) -> TextCheck {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    fail_if(
        name.is_empty() || !name.chars().all(is_token),
        "this is not the name of a header",
        "write it as `X-Revision`",
    )
}

/// A revision: what git, releases and build numbers look like. Nothing else is kept or shown of what a service says.
pub(super) static REVISION: TextFormat =
    TextFormat { check: revision, pattern: r"^[0-9A-Za-z][0-9A-Za-z._+/-]{0,127}$" };

fn revision(text: &str) -> TextCheck {
    fail_if(
        !crate::api::is_revision(text),
        "this is not a revision: at most 128 letters, digits and `._+/-`",
        "write it as `1.4.2` or `4f6d1c0`",
    )
}

/// The signals that a process can take as a message: those of Linux, without the two that no process gets.
const SIGNALS: [&str; 29] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO", "PWR", "SYS",
];

/// The name of a signal, without `SIG`.
pub(super) static SIGNAL: TextFormat = TextFormat { check: signal, pattern: "^[A-Z][A-Z0-9]*$" };

fn signal(name: &str) -> TextCheck {
    if SIGNALS.contains(&name) {
        return Ok(());
    }
    if matches!(name, "KILL" | "STOP" | "SIGKILL" | "SIGSTOP") {
        let fault = Fault::new("no process can take this signal as a message");
        return Err(
            fault.help("write the one that the service's documentation names for a reload, such as `HUP`")
        );
    }
    let plain = name.to_uppercase();
    let plain = plain.strip_prefix("SIG").unwrap_or(&plain);
    Err(Fault::new("this is not the name of a signal").meant(
        plain,
        SIGNALS,
        "write it without `SIG`, such as `HUP` or `USR1`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_gets_wrong_is_refused_with_what_would_be_right() {
        let help = |format: &TextFormat, text: &str| format!("{:?}", (format.check)(text).unwrap_err());
        for (format, text, expected) in [
            (&EACH, "api/*/src", "last segment"),
            (&EACH, "api/src", "last segment"),
            (&EACH, "api/**", "last segment"),
            (&EACH, "../other/*", "leaves the project directory"),
            (&EACH, "/srv/*", "absolute"),
            (&ENTRY_NAME, "a/b", "a path, not a name"),
            (&IGNORED, "!keep", "remove the `!`"),
            (&LABEL_NAME, "a b", "no space"),
            (&JSON_POINTER, "$.build.commit", "did you mean `/build/commit`?"),
            (&JSON_POINTER, "/a~b", "`~0`"),
            (&HEADER_NAME, "X Revision", "not the name of a header"),
            (&REVISION, "v1 beta", "not a revision"),
            (&SIGNAL, "SIGHUP", "HUP"),
            (&SIGNAL, "hup", "HUP"),
            (&IGNORED, "a[", "close each"),
            (&SIGNAL, "KILL", "no process"),
        ] {
            assert!(help(format, text).contains(expected), "{text}: {}", help(format, text));
        }
    }

    #[test]
    fn what_is_right_is_accepted() {
        for (format, text) in [
            (&EACH, "api/src/modules/*"),
            (&EACH, "*"),
            (&EACH, "src/*.service.ts"),
            (&IGNORED, "*.bak"),
            (&LABEL_NAME, "org.opencontainers.image.revision"),
            (&JSON_POINTER, ""),
            (&JSON_POINTER, "/build/commit"),
            (&JSON_POINTER, "/a~1b"),
            (&REVISION, "feature/x-1.2+dirty"),
            (&SIGNAL, "HUP"),
            (&SIGNAL, "USR1"),
        ] {
            assert!((format.check)(text).is_ok(), "{text}");
        }
    }
}
