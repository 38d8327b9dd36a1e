//! Substitutes the variables in a path as Compose does, for the simple rules only.

use std::collections::BTreeMap;

/// A text with its variables substituted: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`. `None` if it has any other
/// form, a doubled dollar sign, or an unknown variable.
///
/// Source: the Compose specification, "Interpolation".
pub(super) fn filled_in(text: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let Some((head, rest)) = text.split_once('$') else { return Some(text.to_owned()) };
    let (value, rest) = if let Some(braced) = rest.strip_prefix('{') {
        let (inside, rest) = braced.split_once('}')?;
        (braced_value(inside, variables)?, rest)
    } else {
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        (variables.get(&rest[..end])?.clone(), &rest[end..])
    };
    Some(format!("{head}{value}{}", filled_in(rest, variables)?))
}

/// The value of the expression between the braces.
fn braced_value(inside: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let end = inside.find(|c: char| !is_of_name(c)).unwrap_or(inside.len());
    let (name, rule) = inside.split_at(end);
    let value = variables.get(name);
    let default = |default: &str| (!default.contains('$')).then(|| default.to_owned());
    if let Some(text) = rule.strip_prefix(":-") {
        value.filter(|value| !value.is_empty()).cloned().or_else(|| default(text))
    } else if let Some(text) = rule.strip_prefix('-') {
        value.cloned().or_else(|| default(text))
    } else {
        value.filter(|_| rule.is_empty()).cloned()
    }
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_forms_are_filled_in_and_others_are_not() {
        let variables =
            [("WHERE", "prod"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = BTreeMap::from(variables);
        for (text, filled) in [
            ("plain.env", Some("plain.env")),
            ("$WHERE.env", Some("prod.env")),
            ("a/${WHERE}/$WHERE", Some("a/prod/prod")),
            ("${WHERE:-x}${EMPTY:-y}${EMPTY-z}${GONE-z}", Some("prodyz")),
            ("${GONE}", None),
            ("${GONE:-$WHERE}", None),
            ("${WHERE:?no}", None),
            ("${WHERE:+x}", None),
            ("$$WHERE", None),
            ("${WHERE", None),
            ("$", None),
        ] {
            assert_eq!(filled_in(text, &variables).as_deref(), filled, "{text}");
        }
    }
}
