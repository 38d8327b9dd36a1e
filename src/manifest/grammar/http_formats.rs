//! What the texts of a route must look like, each by itself.

use reqwest::Url;
use serde_json::{Value, json};

use super::{
    formats::{TextCheck, fail_if, no_control, not_empty},
    shape::{PairFormat, TextFormat},
};
use crate::{
    manifest::report::{Fault, short},
    nearest::nearest,
    secret::{names, url::in_query},
};

/// HTTP's own methods (RFC 9110 and RFC 5789).
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A route's path, with its query: what may stand in a request line (RFC 9112).
pub(super) static ROUTE_PATH: TextFormat = TextFormat { check: route_path, pattern: r#"^/[!"$-~]*$"# };

fn route_path(path: &str) -> TextCheck {
    fail_if(
        !path.starts_with('/'),
        "the path of a route starts with `/`",
        &format!("did you mean `/{path}`?"),
    )?;
    no_control(path, "the path")?;
    no_secret_in_query(path)?;
    fail_if(path.contains(' '), "the path contains a space", "write `%20` for a space")?;
    fail_if(path.contains('#'), "a `#` is never sent to a server", "remove it, or write `%23`")?;
    fail_if(!path.is_ascii(), "the path contains other than ASCII characters", "percent-encode them")
}

fn no_secret_in_query(text: &str) -> TextCheck {
    let chars: Vec<char> = text.chars().collect();
    let Some((name, _)) = in_query(&chars).into_iter().next() else { return Ok(()) };
    let name = short(&name);
    let message =
        format!("a secret has no place in a manifest, and `{name}` in this query is named like one");
    // It may stand in the line in another spelling than in the text, in which nothing would find it.
    let fault = Fault::new(message).secret();
    Err(fault.help("remove it, and declare `auth` with `basic` or `bearerFrom`"))
}

/// `auto`, `off` or a path.
pub(super) static CONTROL: TextFormat = TextFormat { check: control, pattern: r#"^(auto|off|/[!"$-~]*)$"# };

fn control(text: &str) -> TextCheck {
    if matches!(text, "auto" | "off") {
        return Ok(());
    }
    if text.starts_with('/') {
        return route_path(text);
    }
    let fault = Fault::new("`control` must be `auto` or `off`, or a path that starts with `/`");
    let otherwise = "write the path of something that must not exist, or leave it out";
    Err(fault.meant(text, ["auto", "off"], otherwise))
}

/// A whole URL, without user and password.
pub(super) static URL: TextFormat = TextFormat { check: url, pattern: r"^https?://[^@/?# ]+([/?][^# ]*)?$" };

fn url(text: &str) -> TextCheck {
    let authority =
        text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let parsed = Url::parse(text).ok();
    let user = parsed.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some());
    if user || authority.contains('@') {
        let fault = Fault::new("a URL with a user or a password has no place in a manifest").help(
            "remove it, and write `auth: { basic: { username: …, passwordFrom: { env: NAME } }, expect: … }`",
        );
        // With `://` it is seen, and masked, in every line that is shown.
        return Err(if text.contains("://") { fault } else { fault.secret() });
    }
    no_control(text, "the URL")?;
    no_secret_in_query(text)?;
    fail_if(text.contains(' '), "the URL contains a space", "write `%20` for a space")?;
    let http = text.starts_with("http://") || text.starts_with("https://");
    fail_if(!http, "a URL starts with `http://` or `https://`", "write it as http://127.0.0.1:8080/api")?;
    fail_if(text.contains('#'), "a `#` is never sent to a server", "remove it, or write `%23`")?;
    let host = parsed.as_ref().and_then(Url::host_str).is_some_and(|host| !host.is_empty());
    fail_if(!host || authority.is_empty(), "this is not a URL", "write it as http://127.0.0.1:8080/api")
}

/// The name of a server, as a certificate has it: no address, which no server can be asked for by name (RFC 6066).
pub(super) static SERVER_NAME: TextFormat = TextFormat {
    check: server_name,
    pattern: r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$",
};

fn server_name(name: &str) -> TextCheck {
    let label = |label: &str| {
        let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(right) && !label.starts_with('-')
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    fail_if(
        is_address || name.len() > 253 || !name.split('.').all(label),
        "this is not the name of a server",
        "write the name that the certificate is for, such as shop.example",
    )
}

/// A token as of RFC 9110.
fn is_token(text: &str) -> bool {
    let right = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(right)
}

/// A method; they are case-sensitive.
pub(super) static METHOD: TextFormat = TextFormat { check: method, pattern: "^[A-Z0-9!#$%&'*+.^_`|~-]+$" };

fn method(text: &str) -> TextCheck {
    if METHODS.contains(&text) {
        return Ok(());
    }
    let upper = text.to_uppercase();
    fail_if(
        METHODS.contains(&upper.as_str()),
        "methods are written in capitals",
        &format!("write `{upper}`"),
    )?;
    if is_token(text) && text.chars().all(|c| !c.is_ascii_lowercase()) && nearest(text, METHODS).is_none() {
        return Ok(());
    }
    let otherwise = "write one in capitals, such as `HEAD`";
    Err(Fault::new("this is not an HTTP method").meant(text, METHODS, otherwise))
}

/// A header with its value.
pub(super) static HEADER: PairFormat = PairFormat { check: header, schema: headers };

fn header(name: &str, value: &str) -> TextCheck {
    fail_if(!is_token(name), "this is not the name of a header", "write it as `Accept: application/json`")?;
    if names::is_certain(name) {
        let fault =
            Fault::new(format!("a secret has no place in a manifest, and `{name}` is named like one"));
        return Err(fault.help("remove it, and declare `auth` with `basic` or `bearerFrom`"));
    }
    let right = |c: char| c == '\t' || (!c.is_control() && c.is_ascii());
    if !value.chars().all(right) || value.trim() != value {
        let fault = Fault::new(format!(
            "the value of `{name}` must be printable ASCII without line breaks and without spaces around it"
        ));
        return Err(fault.help("write it in one line, without what HTTP cannot send"));
    }
    Ok(())
}

/// Names are tokens, and none of those that carry secrets, in any case of letters. (A short word such as `pass`, and one
/// that ends before a capital, are left to the parser.)
fn headers() -> Value {
    let any_case =
        |name: &str| -> String { name.chars().flat_map(|c| ['[', c.to_ascii_uppercase(), c, ']']).collect() };
    let pairs = names::PAIRS.iter().map(|(one, other)| format!("{}[-_.]?{}", any_case(one), any_case(other)));
    let secret: Vec<_> = names::long_words().map(any_case).chain(pairs).collect();
    json!({
        "propertyNames": {
            "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
            "not": { "pattern": format!("({})([^A-Za-z0-9]|$)", secret.join("|")) }
        },
        "additionalProperties": { "pattern": r"^([!-~]([\t -~]*[!-~])?)?$" }
    })
}

/// A user name for HTTP Basic (RFC 7617).
pub(super) static USERNAME: TextFormat = TextFormat { check: username, pattern: "^[^:]+$" };

fn username(text: &str) -> TextCheck {
    not_empty(text, "the user name")?;
    no_control(text, "the user name")?;
    if text.contains(':') {
        let fault = Fault::new("a user name cannot contain `:`").secret();
        return Err(fault.help("write the user name only; the password comes from `passwordFrom`"));
    }
    Ok(())
}

/// The name of an environment variable (POSIX). What is not one may be the secret itself, and is not shown.
pub(super) static ENV_NAME: TextFormat = TextFormat { check: env_name, pattern: "^[A-Za-z_][A-Za-z0-9_]*$" };

fn env_name(name: &str) -> TextCheck {
    let right = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(right) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    Err(Fault::new("this is not the name of an environment variable")
        .help("write the name of the variable that holds the secret, such as BACKOFFICE_PASSWORD")
        .secret())
}
