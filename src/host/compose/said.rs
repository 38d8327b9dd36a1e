//! What a dry run of `up` says of containers.

use std::collections::BTreeSet;

use super::refusal;

/// Of a container that Compose would replace.
const RECREATED: [&str; 2] = ["Recreate", "Recreated"];

/// Of a container that it would leave alone.
const QUIET: [&str; 3] = ["Running", "Waiting", "Healthy"];

/// Of a container that stays what it is, but is started, stopped, added or removed.
const OTHERS: &str = "Created Creating Starting Started Restart Restarting Restarted Stopping Stopped Removing \
    Removed Killing Killed Exited Skipped Error Warning Pausing Paused Unpausing Unpaused";

/// Containers by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// All that were spoken of.
    pub(super) containers: BTreeSet<String>,
    /// Those that would be replaced.
    pub(super) recreated: BTreeSet<String>,
    /// Those that would not be left alone.
    pub(super) touched: BTreeSet<String>,
}

impl Said {
    /// Reads ` DRY-RUN MODE -  Container NAME  STATE`, with whatever spaces and with or without the mark. Anything
    /// that is not understood is an error.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut said = Self::default();
        for line in lines.filter(|line| !refusal::is_warning(line)) {
            let line = line.trim();
            let line = line.strip_prefix("DRY-RUN MODE -").unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            let known = match words[..] {
                // What happens to networks, volumes and images is no recreation of a container.
                [] | ["Network" | "Volume" | "Image" | "[+]", ..] | [_, "Pulling" | "Pulled"] => true,
                ["Container", name, state] => said.container(real_name(name), state),
                _ => false,
            };
            if !known {
                return Err(format!(
                    "the dry run of `docker compose up` says what is not understood: {line}"
                ));
            }
        }
        if said.containers.is_empty() {
            return Err("the dry run of `docker compose up` says nothing of any container".to_owned());
        }
        Ok(said)
    }

    /// Whether the state is known.
    fn container(&mut self, name: &str, state: &str) -> bool {
        let (recreated, quiet) = (RECREATED.contains(&state), QUIET.contains(&state));
        self.containers.insert(name.to_owned());
        if recreated {
            self.recreated.insert(name.to_owned());
        }
        if !quiet {
            self.touched.insert(name.to_owned());
        }
        recreated || quiet || OTHERS.split_whitespace().any(|other| other == state)
    }
}

/// A container's name without the `<12 hex>_` that it has in the middle of a recreation.
fn real_name(name: &str) -> &str {
    match name.split_once('_') {
        Some((id, rest)) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recreated(output: &str) -> Result<Vec<String>, String> {
        Said::read(output.lines()).map(|said| said.recreated.into_iter().collect())
    }

    #[test]
    fn reads_what_compose_2_26_says() {
        let output = r#"time="2026-11-23T10:29:55Z" level=warning msg="Found orphan containers ([x-n-1])"
 DRY-RUN MODE -  Network x_default  Creating
 DRY-RUN MODE -  Container x-a-1  Recreate
 DRY-RUN MODE -  Container x-a-1  Recreated
 DRY-RUN MODE -  Container x-b-1  Running
 DRY-RUN MODE -  Container x-a-2  Creating
 DRY-RUN MODE -  Container x-a-2  Created
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Starting
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Started
"#;
        assert_eq!(recreated(output).unwrap(), ["x-a-1"]);
        let said = Said::read(output.lines()).unwrap();
        assert_eq!(said.touched.iter().collect::<Vec<_>>(), ["x-a-1", "x-a-2"]);
        assert_eq!(said.containers.len(), 3);
        assert!(recreated(" DRY-RUN MODE -  Container x-b-1  Running\n").unwrap().is_empty());
        assert_eq!(recreated("Container x-a-1 Recreate").unwrap(), ["x-a-1"]);
    }

    #[test]
    fn what_it_does_not_understand_is_unknown() {
        for output in
            [" DRY-RUN MODE -  Container x-a-1  Transmuted", "x-a-1 will be recreated", "", "Container x"]
        {
            assert!(recreated(output).is_err(), "{output}");
        }
    }
}
