//! Every form that a value is written in, against arbitrary values: no line that is shown holds the secret.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
};
use proptest::prelude::*;

use super::{reading::percent_decoded, *};

/// How other programs write a value, by name.
type WrittenForm = (&'static str, fn(&str) -> String);

fn each_byte(value: &str, separator: &str, one: impl Fn(u8) -> String) -> String {
    value.bytes().map(one).collect::<Vec<_>>().join(separator)
}

fn each_char(value: &str, one: impl Fn(char) -> String) -> String {
    value.chars().map(one).collect()
}

fn utf16(value: &str) -> String {
    value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
}

fn json(value: &str) -> String {
    serde_json::to_string(value).unwrap()
}

fn entity(c: char) -> String {
    match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        c => c.into(),
    }
}

const FORMS: [WrittenForm; 36] = [
    ("as it is", str::to_owned),
    ("JSON", json),
    ("JSON in JSON", |value| json(&json(value))),
    ("JSON of PHP", |value| json(value).replace('/', "\\/")),
    ("JSON in ASCII", |value| {
        each_char(value, |c| {
            if c.is_ascii() {
                json(&c.to_string()).trim_matches('"').to_owned() + if c == '"' { "\"" } else { "" }
            } else {
                utf16(&c.to_string())
            }
        })
    }),
    ("all of it escaped by JSON", |value| utf16(value).to_uppercase().replace("\\U", "\\u")),
    ("Rust", |value| format!("{value:?}")),
    ("bytes of Rust and Python", |value| format!("b\"{}\"", value.as_bytes().escape_ascii())),
    ("hexadecimal escapes", |value| each_byte(value, "", |byte| format!("\\x{byte:02x}"))),
    ("octal escapes", |value| each_byte(value, "", |byte| format!("\\{byte:03o}"))),
    ("printf %q", |value| {
        each_char(value, |c| {
            if c.is_alphanumeric() || c == '_' || !c.is_ascii() { c.into() } else { format!("\\{c}") }
        })
    }),
    ("quotes of a shell", |value| format!("'{}'", value.replace('\'', "'\\''"))),
    ("quotes in quotes of a shell", |value| format!("'{}'", value.replace('\'', "'\"'\"'"))),
    ("double quotes of a shell", |value| {
        each_char(value, |c| if "\"\\$`".contains(c) { format!("\\{c}") } else { c.into() })
    }),
    ("percent", |value| each_byte(value, "", |byte| format!("%{byte:02X}"))),
    ("percent of what needs it", |value| {
        each_byte(value, "", |byte| {
            if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02x}") }
        })
    }),
    ("a query", |value| {
        each_byte(value, "", |byte| match byte {
            b' ' => "+".into(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).into(),
            byte => format!("%{byte:02X}"),
        })
    }),
    ("percent twice", |value| each_byte(value, "", |byte| format!("%25{byte:02X}"))),
    ("HTML", |value| each_char(value, entity)),
    ("HTML twice", |value| each_char(&each_char(value, entity), entity)),
    ("JSON in HTML", |value| each_char(&json(value), entity)),
    ("numbers of HTML", |value| each_char(value, |c| format!("&#{};", u32::from(c)))),
    ("hexadecimal numbers of HTML", |value| each_char(value, |c| format!("&#x{:X};", u32::from(c)))),
    ("Compose", |value| value.replace('$', "$$")),
    ("YAML of Compose", |value| format!("'{}'", value.replace('$', "$$").replace('\'', "''"))),
    ("CSV", |value| format!("\"{}\"", value.replace('"', "\"\""))),
    ("bytes of Go", |value| format!("[{}]", each_byte(value, " ", |byte| byte.to_string()))),
    ("a list of numbers", |value| format!("[ {} ]", each_byte(value, ", ", |byte| byte.to_string()))),
    ("an array of C", |value| format!("{{{}}}", each_byte(value, ", ", |byte| format!("0x{byte:02x}")))),
    ("a buffer of Node", |value| format!("<Buffer {}>", each_byte(value, " ", |byte| format!("{byte:02x}")))),
    ("hexadecimal", |value| format!("\\x{}", hex::encode(value))),
    ("base64", |value| STANDARD.encode(value)),
    ("base64 of URLs, without padding", |value| URL_SAFE.encode(value).replace('=', "")),
    ("base64 of a user", |value| format!("Basic {}", STANDARD_NO_PAD.encode(format!("ops:{value}")))),
    ("base64 in base64", |value| {
        STANDARD.encode(format!("{{\"auth\":\"{}\"}}", STANDARD.encode(format!("u:{value}"))))
    }),
    ("base64 in a query", |value| {
        STANDARD.encode(value).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    }),
];

/// Whether enough of the written text is still shown to read the value from it.
fn is_shown(shown: &str, written: &str, secret: &str) -> bool {
    shown.contains(written) || shown.contains(secret) || percent_decoded(shown).contains(secret)
}

proptest! {
    /// For any value, any text around it, and any writer.
    #[test]
    fn no_form_of_a_value_passes(secret in "[!-~é漢😀]([ -~é漢😀]{6,24})[!-~]", before in "[ -~]{0,8}", after in "[ -~]{0,8}") {
        let redactor = Redactor::default().with_secrets([secret.clone()]);
        for (form, write) in FORMS {
            let written = write(&secret);
            for line in [format!("a {written} z"), format!("{before} {written} {after}")] {
                let shown = redactor.line(&line);
                prop_assert!(!is_shown(&shown, &written, &secret), "{}: {} -> {}", form, line, shown);
            }
        }
    }

    /// Base64 of a whole file, in lines of any length.
    #[test]
    fn no_line_of_wrapped_base64_holds_half_a_value(
        secret in "[!-~]{8,60}", before in "[ -~]{0,40}", after in "[ -~]{0,40}", groups in 5..20_usize,
    ) {
        let redactor = Redactor::default().with_secrets([secret.clone()]);
        let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
        for line in encoded.as_bytes().chunks(4 * groups).map(|line| std::str::from_utf8(line).unwrap()) {
            let decoded = STANDARD.decode(line).unwrap();
            let half = secret.len().div_ceil(2).min(LONG);
            let holds = secret.as_bytes().windows(half).any(|part| {
                let at_the_edge = decoded.starts_with(part) && secret.as_bytes().ends_with(part)
                    || decoded.ends_with(part) && secret.as_bytes().starts_with(part);
                at_the_edge || half == LONG && decoded.windows(half).any(|window| window == part)
            });
            prop_assert!(!holds || !redactor.line(line).contains(line), "{} in {}", secret, line);
        }
    }

    /// The numbers of a short value are its own, and any other word stays.
    #[test]
    fn what_is_no_secret_stays_in_every_form(text in "[a-z]{4,12}( [a-z0-9]{2,9}){0,4}") {
        let redactor = Redactor::default().with_secrets(["Zw?5 \"q\\a&$b/c<é+".to_owned(), "Ab1!".into()]);
        for (form, write) in FORMS {
            let line = format!("a {} z", write(&text));
            prop_assert_eq!(redactor.line(&line), line.clone(), "{}", form);
        }
    }
}

#[test]
fn a_short_value_is_hidden_in_every_form_where_it_is_all_of_it() {
    let redactor = Redactor::default().with_secrets(["Ab1!".to_owned()]);
    for (form, write) in FORMS {
        let written = write("Ab1!");
        let shown = redactor.line(&format!("PIN={written}"));
        assert!(!is_shown(&shown, &written, "Ab1!"), "{form}: {shown}");
    }
}
