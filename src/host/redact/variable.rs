//! Which environment variables hold secrets, by their names.

use crate::manifest::may_name_a_secret;

/// Shells keep the working directory in these: no password, whatever the name has of one.
const DIRECTORIES: [&str; 2] = ["PWD", "OLDPWD"];

/// What the last word of a variable's name says of its value, besides what names a secret anywhere: `APP_KEY`, `DB_PW`.
const LAST_WORDS: [&str; 6] = ["KEY", "PW", "CRED", "CREDS", "SALT", "DSN"];

/// Whether a variable of this name holds a secret. By Docker's convention one that ends with `_FILE` holds the path of it.
pub(in crate::host) fn holds_a_secret(name: &str) -> bool {
    !is_open(name) && (may_name_a_secret(name) || ends_like_one(name))
}

/// Whether its name looks like that of a secret, and is none.
pub(super) fn is_open(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    DIRECTORIES.contains(&name.as_str()) || name.ends_with("_FILE")
}

fn ends_like_one(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is_public = words.contains(&"PUBLIC");
    !is_public && words.len() > 1 && words.last().is_some_and(|last| LAST_WORDS.contains(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_hold_secrets_are_told_by_their_names() {
        for name in [
            "DB_PASSWORD",
            "pgpassword",
            "ENCRYPTION_KEY",
            "app_key",
            "DB_PW",
            "SMTP_CREDS",
            "MYSQL_DSN",
            "HASH_SALT",
        ] {
            assert!(holds_a_secret(name), "{name}");
        }
        for name in
            ["PWD", "OLDPWD", "POSTGRES_PASSWORD_FILE", "SSH_PUBLIC_KEY", "KEY", "MODE", "KEYCLOAK_URL"]
        {
            assert!(!holds_a_secret(name), "{name}");
        }
    }
}
