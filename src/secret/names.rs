//! Which names denote secrets: of fields, headers, parameters, environment variables, labels, build arguments.
//!
//! A name is checked word by word; a word ends at anything but a letter or digit, and before a capital.
//!
//! | table | a name in it denotes | such as |
//! | --- | --- | --- |
//! | [`WORDS`] | a secret | `DB_PASSWORD`, `X-Auth-Token`, `pgpassword`, `passwords` |
//! | [`PAIRS`] | a secret | `api_key`, `sessionId`, `apikey` |
//! | [`PASS`] with [`BEFORE_PASS`] | a secret | `dbpass`, `ROOTPWD` |
//! | [`HARMLESS`] | no secret, though it contains one of these words | `tokenizer` |
//! | [`LAST_WORDS`] | a secret, as the last word of a variable | `APP_KEY`, `DB_PW` |
//! | [`DIRECTORIES`], [`OF_PATHS`] | no secret | `PWD`, `DB_PASSWORD_FILE` |
//! | [`ERRORS`] | no secret, as the last word | `TokenExpiredError` |
//! | [`WEBHOOKS`] | a secret if the value is a URL with a path | `SLACK_WEBHOOK_URL` |
//! | [`OPEN_ARGUMENTS`] | a build argument that names its content, which is no secret | `GIT_SHA` |
//! | [`USERS`] | no secret, but a word of the project | `POSTGRES_USER` |

/// Words for a secret.
const WORDS: [&str; 15] = [
    "pass",
    "pwd",
    "jwt",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passkey",
    "secret",
    "token",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "bearer",
];

/// Words that a manifest is not refused for, although they denote secrets: they were added after that rule.
const NOT_REFUSED: [&str; 2] = ["passcode", "passkey"];

/// Pairs that form one word.
pub(crate) const PAIRS: [(&str, &str); 5] =
    [("api", "key"), ("access", "key"), ("auth", "key"), ("private", "key"), ("session", "id")];

/// A shorter word counts only if it stands alone: `bypass` and `compass` hold no secret.
const LONG: usize = 5;

/// Words that denote a secret behind one of [`BEFORE_PASS`].
const PASS: [&str; 3] = ["pass", "pwd", "passw"];

/// Prefixes of `pass` in one word. Not every word with that ending denotes a secret: `bypass`, `compass`.
const BEFORE_PASS: [&str; 46] = [
    "admin",
    "api",
    "app",
    "auth",
    "bind",
    "cert",
    "client",
    "data",
    "database",
    "db",
    "default",
    "email",
    "ftp",
    "git",
    "http",
    "imap",
    "key",
    "keystore",
    "ldap",
    "login",
    "mail",
    "master",
    "mongo",
    "my",
    "mysql",
    "new",
    "old",
    "pg",
    "postgres",
    "proxy",
    "rabbit",
    "redis",
    "registry",
    "require",
    "root",
    "server",
    "sftp",
    "smtp",
    "sql",
    "ssh",
    "store",
    "sudo",
    "truststore",
    "user",
    "vault",
    "web",
];

/// A word with this prefix denotes no secret, though it contains one that does.
const HARMLESS: [&str; 6] = ["tokeniz", "tokenis", "secretar", "secretion", "cookiecutter", "passwordless"];

/// The words whose misspellings are detected: no other word is one letter from these.
const OFTEN_MISSPELT: [&str; 5] = ["password", "passphrase", "credential", "credentials", "authorization"];

/// Last words of a variable's name that denote a secret, besides those that do anywhere.
const LAST_WORDS: [&str; 6] = ["key", "pw", "cred", "creds", "salt", "dsn"];

/// Shells keep the working directory in these: no password, even if the name looks like one.
const DIRECTORIES: [&str; 2] = ["PWD", "OLDPWD"];

/// By Docker's convention a variable with this suffix holds the path of a secret.
const OF_PATHS: &str = "_FILE";

/// The secret of such a URL is its path.
const WEBHOOKS: [&str; 2] = ["webhook", "webhooks"];

/// Names of build arguments whose value is no secret, though it may look like one.
const OPEN_ARGUMENTS: [&str; 22] = [
    "sha", "commit", "revision", "version", "tag", "branch", "ref", "date", "time", "image", "base", "name",
    "user", "uid", "gid", "host", "port", "path", "dir", "url", "arch", "platform",
];

/// The last word of an error's name.
const ERRORS: [&str; 4] = ["error", "err", "exception", "warning"];

/// Variables whose values are words of the project: users, databases.
const USERS: [&str; 7] = ["user", "username", "login", "db", "database", "owner", "role"];

/// The words that also count at the end of another, as in `authtoken`.
pub(crate) fn long_words() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().filter(|word| word.len() >= LONG && !NOT_REFUSED.contains(word))
}

/// Whether the name of a header, or of a query parameter, denotes a secret. A refusal must be right, so the words of the
/// name are checked: `X-Api-Key`, `accessToken` and `user[password]` are; `max-tokens` and `tokenizer` are not.
pub(crate) fn is_certain(name: &str) -> bool {
    let words = words(name);
    let is_word = |word: &String| {
        WORDS.iter().any(|known| known == word && !NOT_REFUSED.contains(known))
            || long_words().any(|long| word.ends_with(long))
            || PAIRS.iter().any(|(one, other)| word.ends_with(&format!("{one}{other}")))
    };
    words.iter().any(is_word) || words.windows(2).any(is_pair)
}

/// Whether a value with this name may be a secret. Output is masked rather too often than too seldom.
pub(crate) fn may_be_secret(name: &str) -> bool {
    let words = words(name);
    words == ["basic"] || words.iter().any(|word| is_secret(word)) || words.windows(2).any(is_pair)
}

/// The words of a name in lower case: separated by other characters, or starting with a capital.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if before.is_lowercase() && c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
        before = c;
    }
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

/// Whether a word denotes a secret, or contains one that does.
fn is_secret(word: &str) -> bool {
    if HARMLESS.iter().any(|harmless| word.starts_with(harmless)) {
        return false;
    }
    let is_compound = |pass: &&str| word.strip_suffix(*pass).is_some_and(|head| BEFORE_PASS.contains(&head));
    WORDS.iter().any(|known| word == *known || known.len() >= LONG && word.contains(known))
        || PASS.iter().any(is_compound)
        || PAIRS.iter().any(|(one, other)| word.contains(&format!("{one}{other}")))
        || OFTEN_MISSPELT.iter().any(|known| strsim::damerau_levenshtein(word, known) == 1)
}

fn is_pair(two: &[String]) -> bool {
    PAIRS.iter().any(|(one, other)| two[0].ends_with(one) && two[1] == *other)
}

/// All words for a secret, to detect misspelt ones.
pub(crate) fn all_words() -> impl Iterator<Item = &'static str> + Clone {
    WORDS.iter().copied()
}

/// Whether this name counts secrets, and is none itself: `max_tokens`.
pub(crate) fn is_of_several(name: &str) -> bool {
    let singular = |word: &String| word.strip_suffix('s').is_some_and(is_secret);
    words(name).iter().any(singular)
}

/// Whether a variable or label of this name holds a secret.
pub(crate) fn of_variable(name: &str) -> bool {
    !is_open(name) && (may_be_secret(name) || ends_like_one(name))
}

/// Whether its name looks like a secret's, and is not.
pub(crate) fn is_open(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    DIRECTORIES.contains(&name.as_str()) || name.ends_with(OF_PATHS)
}

fn ends_like_one(name: &str) -> bool {
    // Variables have no capitals within a word.
    let words = words(&name.to_lowercase());
    let is_public = words.iter().any(|word| word == "public");
    !is_public && words.len() > 1 && words.last().is_some_and(|last| LAST_WORDS.contains(&last.as_str()))
}

/// Whether a name is that of an error, whatever its subject: `TokenExpiredError`.
pub(crate) fn of_error(name: &str) -> bool {
    words(name).last().is_some_and(|last| ERRORS.contains(&last.as_str()))
}

/// Whether the name of a build argument shows what it holds, and that it is no secret.
pub(crate) fn is_open_argument(name: &str) -> bool {
    has_one_of(&name.to_lowercase(), &OPEN_ARGUMENTS)
}

/// Whether a variable of this name holds the URL of a webhook.
pub(crate) fn of_webhook(name: &str) -> bool {
    has_one_of(name, &WEBHOOKS)
}

/// Whether a variable of this name holds a user or a database.
pub(crate) fn of_user(name: &str) -> bool {
    !of_variable(name) && has_one_of(name, &USERS)
}

fn has_one_of(name: &str, known: &[&str]) -> bool {
    words(name).iter().any(|word| known.contains(&word.as_str()))
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
