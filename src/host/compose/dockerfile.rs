//! The base images of a Dockerfile: those of `FROM`, `COPY --from` and `RUN --mount=from=`.

use std::collections::{BTreeMap, BTreeSet};

use parse_dockerfile::{ArgInstruction, Dockerfile, Flag, Instruction};

/// The names of images and additional contexts that a Dockerfile takes files from, without its own stages. `args` are the given
/// build arguments, by name; they win over the defaults in the file.
///
/// Empty if the file cannot be parsed as a Dockerfile: its build reports that. A name with a variable that neither the file nor
/// `args` defines is left out, too: BuildKit's own, such as `TARGETARCH`.
pub(super) fn images(text: &str, args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let Ok(file) = parse_dockerfile::parse(text) else { return BTreeSet::new() };
    let variables = variables(&file, args);
    let mut stages = BTreeSet::new();
    let mut images = BTreeSet::new();
    for instruction in &file.instructions {
        let names: Vec<String> = match instruction {
            Instruction::From(from) => expand(&from.image.value, &variables).into_iter().collect(),
            Instruction::Copy(copy) => values(&copy.options, "from").map(str::to_owned).collect(),
            Instruction::Run(run) => mount_sources(&run.options).collect(),
            _ => Vec::new(),
        };
        // A number refers to a stage by its position.
        let is_stage = |name: &String| {
            stages.contains(&name.to_ascii_lowercase()) || name.bytes().all(|byte| byte.is_ascii_digit())
        };
        images.extend(names.into_iter().filter(|name| !is_stage(name)));
        if let Instruction::From(from) = instruction {
            stages.extend(from.as_.iter().map(|(_, name)| name.value.to_ascii_lowercase()));
        }
    }
    images
}

/// The ports that a Dockerfile exposes, as it writes them. `None` if the file is not a Dockerfile, or a variable names a port.
pub(super) fn exposed(text: &str) -> Option<Vec<String>> {
    let file = parse_dockerfile::parse(text).ok()?;
    let exposes = file.instructions.iter().filter_map(|instruction| match instruction {
        Instruction::Expose(expose) => Some(&expose.arguments),
        _ => None,
    });
    let ports: Vec<String> = exposes.flatten().map(|port| port.value.to_string()).collect();
    ports.iter().all(|port| !port.contains('$')).then_some(ports)
}

/// The variables that `FROM` may use: the arguments before the first one.
fn variables(file: &Dockerfile<'_>, args: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, default) in file.global_args().filter_map(default) {
        let value = args.get(&name).cloned().or_else(|| expand(&default?, &variables));
        variables.extend(value.map(|value| (name, value)));
    }
    variables
}

/// `NAME` or `NAME=default`, without quotes around the default.
fn default(arg: &ArgInstruction<'_>) -> Option<(String, Option<String>)> {
    let text = arg.arguments.value.trim();
    let (name, default) = text.split_once('=').map_or((text, None), |(name, default)| (name, Some(default)));
    let unquoted = default.map(|default| default.trim_matches(['"', '\'']).to_owned());
    (!name.is_empty()).then(|| (name.to_owned(), unquoted))
}

/// The values of every option of this name: an instruction may have several `--mount`.
fn values<'a>(options: &'a [Flag<'_>], name: &str) -> impl Iterator<Item = &'a str> {
    let named = options.iter().filter(move |option| option.name.value == name);
    named.filter_map(|option| option.value.as_ref().map(|value| &*value.value))
}

/// Reads each `--mount=type=bind,from=NAME,…`. BuildKit reads the value as a line of CSV, in which a field may be quoted.
fn mount_sources(options: &[Flag<'_>]) -> impl Iterator<Item = String> {
    let parts = values(options, "mount").flat_map(|mount| mount.split(','));
    let unquoted = parts.map(|part| part.trim_matches(['"', '\'']));
    unquoted.filter_map(|part| {
        let (key, from) = part.split_once('=')?;
        key.eq_ignore_ascii_case("from").then(|| from.to_owned())
    })
}

/// `$NAME`, `${NAME}`, and with `-`, `+` and `?`, alone or after a colon, as the Dockerfile reference defines them. `None` if a
/// variable is not known and has no default.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let Some((before, rest)) = text.split_once('$') else { return Some(text.to_owned()) };
    let (value, after) = if let Some(braced) = rest.strip_prefix('{') {
        let (inner, after) = braced.split_at(closing_brace(braced)?);
        (braced_value(inner, variables)?, &after[1..])
    } else {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (variables.get(&rest[..end])?.clone(), &rest[end..])
    };
    Some(format!("{before}{value}{}", expand(after, variables)?))
}

/// The position of the closing brace: a default may contain variables in braces itself.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_u32;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(at)
    })
}

fn braced_value(inner: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    // With a colon, a variable that is set but empty counts as not set.
    let (rest, empty_counts) = rest.strip_prefix(':').map_or((rest, true), |rest| (rest, false));
    let set = variables.get(name).filter(|value| empty_counts || !value.is_empty()).cloned();
    match rest.split_at_checked(1) {
        Some(("-", default)) => set.or_else(|| expand(default, variables)),
        Some(("+", other)) => {
            if set.is_some() {
                expand(other, variables)
            } else {
                Some(String::new())
            }
        }
        // If a required variable is missing, the build reports it.
        None | Some(("?", _)) => set,
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, args: &[(&str, &str)]) -> Vec<String> {
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        images(text, &args).into_iter().collect()
    }

    #[test]
    fn every_image_is_named_and_no_stage() {
        let text = "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 golang:1 AS Build\nRUN \\\n  make\n\
                    from shop-base\nCOPY --from=build /a /a\nCOPY --from=0 /b /b\nCOPY --from=tools:2 /c /c\n\
                    RUN --mount=type=bind,from=assets,target=/x true\n";
        assert_eq!(named(text, &[]), ["assets", "golang:1", "shop-base", "tools:2"]);
    }

    #[test]
    fn every_mount_of_an_instruction_is_read_however_it_is_written() {
        let text = "FROM scratch\nRUN --network=none --mount=type=cache,target=/c --mount=type=bind,from=one,target=/a \\\n  \
                    --mount=type=bind,\"from=two\",target=/b --mount=From=three,target=/d true\n";
        assert_eq!(named(text, &[]), ["one", "scratch", "three", "two"]);
    }

    #[test]
    fn variables_have_every_form_that_the_reference_names() {
        let of = |from: &str, args: &[(&str, &str)]| named(&format!("ARG A\nARG B=b\nFROM {from}\n"), args);
        for (from, unset, empty, set) in [
            ("x-${A:-d}", Some("x-d"), Some("x-d"), Some("x-a")),
            ("x-${A-d}", Some("x-d"), Some("x-"), Some("x-a")),
            ("x-${A:+d}", Some("x-"), Some("x-"), Some("x-d")),
            ("x-${A+d}", Some("x-"), Some("x-d"), Some("x-d")),
            ("x-${A:?missing}", None, None, Some("x-a")),
            ("x-${A?missing}", None, Some("x-"), Some("x-a")),
            ("x-${A:-${B}}-y", Some("x-b-y"), Some("x-b-y"), Some("x-a-y")),
        ] {
            let expected = |name: Option<&str>| name.map(str::to_owned).into_iter().collect::<Vec<_>>();
            assert_eq!(of(from, &[]), expected(unset), "{from}, not set");
            assert_eq!(of(from, &[("A", "")]), expected(empty), "{from}, empty");
            assert_eq!(of(from, &[("A", "a")]), expected(set), "{from}, set");
        }
    }

    #[test]
    fn what_looks_like_an_instruction_in_a_text_is_none() {
        let text =
            "FROM debian:12\nCOPY <<NOTES /notes\nFROM here on\nNOTES\nRUN a \\\n# FROM comment\n  b\n";
        assert_eq!(named(text, &[]), ["debian:12"]);
        assert!(named("no Dockerfile at all", &[]).is_empty());
    }

    #[test]
    fn exposed_ports_are_read_and_not_guessed_from_variables() {
        let ports = |text| exposed(text).map(|ports| ports.join(" "));
        assert_eq!(
            ports("FROM scratch\nEXPOSE 80/tcp 443\nexpose 53/udp\n").as_deref(),
            Some("80/tcp 443 53/udp")
        );
        assert_eq!(ports("FROM scratch\n").as_deref(), Some(""));
        assert_eq!(ports("FROM scratch\nEXPOSE $PORT\n"), None);
        assert_eq!(ports("no Dockerfile at all"), None);
    }

    #[test]
    fn variables_are_those_before_the_first_from_and_what_is_given() {
        let text = "ARG NAME=base\nARG TAG=\"1\"\nARG BOTH=shop-$NAME:${TAG}\nFROM ${BOTH}\nFROM ${NONE:-other}\n\
                    FROM a${NAME:+b}\nFROM x-${TARGETARCH}\nFROM $TAG\n";
        assert_eq!(named(text, &[]), ["ab", "other", "shop-base:1"]);
        assert_eq!(named("ARG BASE\nFROM $BASE\n", &[("BASE", "shop-base")]), ["shop-base"]);
        assert!(named("ARG BASE\nFROM $BASE\n", &[]).is_empty());
        assert!(named("FROM ${BASE\n", &[("BASE", "x")]).is_empty());
    }
}
