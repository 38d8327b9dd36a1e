//! Credentials: read at each use, and kept out of all output.

use std::{ffi::OsString, fmt, path::Path};

use reqwest::header::HeaderValue;

use crate::{
    api::{Auth, SecretSource},
    files,
};

/// The longest password or token; a longer file is the wrong file.
const LONGEST: u64 = 64 * 1024;

/// How environment variables are read; tests put their own here.
pub(super) type Env = fn(&str) -> Option<OsString>;

/// The content of the `Authorization` header.
#[derive(Debug)]
pub(super) enum Credentials {
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

impl Credentials {
    /// Why no request can carry them. Usually a line break within a token; a password is sent in base64.
    pub(super) fn unsendable(&self) -> Option<String> {
        let Self::Bearer(token) = self else { return None };
        let is_sendable = HeaderValue::try_from(token.expose()).is_ok();
        (!is_sendable).then(|| {
            "the token has a line break or another character that no HTTP header may have".to_owned()
        })
    }
}

/// Text that is never printed.
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The declared credentials, or why they are not available: the source's name, never its content.
pub(super) async fn read(auth: &Auth, from: &Path, env: Env) -> Result<Credentials, String> {
    match (&auth.basic, &auth.bearer_from) {
        (Some(basic), _) => Ok(Credentials::Basic {
            username: basic.username.clone(),
            password: secret(&basic.password_from, from, env).await?,
        }),
        (None, Some(bearer)) => Ok(Credentials::Bearer(secret(bearer, from, env).await?)),
        (None, None) => Err("neither a password nor a token is declared".into()),
    }
}

async fn secret(source: &SecretSource, from: &Path, env: Env) -> Result<Secret, String> {
    match source {
        SecretSource::Env(name) => {
            let value = env(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
            let value = value.into_string();
            value.map(Secret).map_err(|_| format!("the environment variable {name} is not UTF-8"))
        }
        SecretSource::File(name) => {
            let path = from.join(name);
            let read = files::looked(move || files::read_to_string(&path, LONGEST)).await;
            let text = read.unwrap_or_else(|hangs| Err(hangs.into()));
            let text = text.map_err(|error| format!("cannot read the secret in {name}: {error}"))?;
            let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
            Ok(Secret(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<OsString> {
        (name == "TOKEN").then(|| "hunter2".into())
    }

    async fn bearer(source: SecretSource, from: &Path) -> Result<String, String> {
        let auth = Auth {
            basic: None,
            bearer_from: Some(source),
            expect: vec![200],
            absent: None,
            allow_plain_http: None,
        };
        match read(&auth, from, env).await? {
            Credentials::Bearer(token) => Ok(token.expose().to_owned()),
            Credentials::Basic { .. } => panic!("a token was declared"),
        }
    }

    #[tokio::test]
    async fn secrets_come_from_the_environment_or_a_file_next_to_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        for (content, secret) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
            std::fs::write(folder.path().join("token"), content).unwrap();
            let read = bearer(SecretSource::File("token".into()), folder.path()).await;
            assert_eq!(read.as_deref(), Ok(secret), "{content:?}");
        }
        assert_eq!(bearer(SecretSource::Env("TOKEN".into()), folder.path()).await.as_deref(), Ok("hunter2"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let env = bearer(SecretSource::Env("PASSWORD".into()), folder.path()).await.unwrap_err();
        assert_eq!(env, "the environment variable PASSWORD is not set");
        let file = bearer(SecretSource::File("no".into()), folder.path()).await.unwrap_err();
        assert!(file.starts_with("cannot read the secret in no: "), "{file}");
        std::fs::write(folder.path().join("big"), "x".repeat(70_000)).unwrap();
        let big = bearer(SecretSource::File("big".into()), folder.path()).await.unwrap_err();
        assert!(big.ends_with("and 64 KiB at most are read"), "{big}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials::Basic { username: "ops".into(), password: Secret("hunter2".into()) };
        assert!(!format!("{credentials:?} {credentials:#?}").contains("hunter2"));
    }
}
