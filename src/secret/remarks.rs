//! Messages that programs print in the place of a secret's value: `open /run/secrets/token: permission denied`.
//!
//! A reader needs these words most of all, because they are the reason of the failure. A password that reads like one of them is
//! shown if it stands alone beside its name; if it is known by its value it is hidden all the same.

/// How such a remark begins, in lower case.
const BEGINNINGS: [&str; 65] = [
    // strerror(3).
    "bad file descriptor",
    "connection refused",
    "connection reset",
    "device or resource busy",
    "file exists",
    "input/output error",
    "is a directory",
    "network is unreachable",
    "no route to host",
    "no space left",
    "no such device",
    "no such file",
    "not a directory",
    "operation not permitted",
    "permission denied",
    "read-only file system",
    "stale file handle",
    "text file busy",
    "too many levels of symbolic links",
    "too many open files",
    // Shells.
    "bad substitution",
    "command not found",
    "parameter not set",
    "parameter null or not set",
    "unbound variable",
    // Builders, servers, authentication libraries.
    "access denied",
    "authentication failed",
    "bad credentials",
    "can not",
    "cannot",
    "could not",
    "denied",
    "does not",
    "expired",
    "failed to",
    "failed with",
    "forbidden",
    "has expired",
    "has been",
    "has no",
    "invalid",
    "is empty",
    "is expired",
    "is invalid",
    "is missing",
    "is not",
    "is required",
    "jwt expired",
    "jwt malformed",
    "malformed",
    "missing",
    "must be",
    "must have",
    "must not",
    "no such",
    "not allowed",
    "not defined",
    "not found",
    "not provided",
    "not set",
    "not valid",
    "revoked",
    "unable to",
    "unauthenticated",
    "unauthorized",
];

/// Whether this is such a message: it begins like one, the rest is not part of a word, and nothing in it may be a value.
pub(crate) fn is_remark(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', ' ']).to_lowercase();
    BEGINNINGS.iter().any(|known| value.strip_prefix(known).is_some_and(is_rest))
}

/// Whether this may follow: its punctuation ends a word, and no word of it is quoted or has both letters and digits, except for
/// paths.
fn is_rest(rest: &str) -> bool {
    let ended = rest.trim_start_matches(['.', ',', ';', ':', '!', ')']);
    let is_apart = ended.is_empty() || ended.starts_with(char::is_whitespace);
    let is_value = |word: &str| {
        let is_mixed = word.contains(char::is_alphabetic) && word.contains(|c: char| c.is_ascii_digit());
        is_mixed && !word.contains('/') || word.contains(['"', '\'', '`', '='])
    };
    is_apart && !ended.split_whitespace().any(is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_and_a_password_that_begins_alike_is_none() {
        for remark in [
            "Permission denied",
            "no such file or directory",
            "is required",
            "unauthorized",
            "\"expired\"",
            "invalid: too short",
            "not found.",
            "Unable to locate credentials",
            "no such file or directory (os error 2)",
            "not found: /run/secrets/api2",
        ] {
            assert!(is_remark(remark), "{remark}");
        }
        for value in [
            "hunter2",
            "denied-4711",
            "invalid_horse",
            "expired2024",
            "missingno",
            "correct horse",
            "",
            "Forbidden!2024",
            "missing.link7",
            "expired:eyjhbgci",
            "invalid value hunter2",
            "invalid value 'hunter'",
        ] {
            assert!(!is_remark(value), "{value}");
        }
    }
}
