//! The lines of a dry run of `up` that concern containers.

use std::collections::BTreeSet;

use super::refusal;

/// States of a container that Compose would replace.
const RECREATED: [&str; 2] = ["Recreate", "Recreated"];

/// The state of a container that Compose would create because it sees none. If the container exists, the engine's list was
/// incomplete.
const UNSEEN: &str = "Creating";

/// States of a container that would be removed for good, unless another line replaces it.
const REMOVED: [&str; 2] = ["Removing", "Removed"];

/// States of a container that it would leave alone.
const QUIET: [&str; 3] = ["Running", "Waiting", "Healthy"];

/// States of a container that is kept, but started, stopped, added or removed.
const OTHERS: &str = "Created Creating Starting Started Restart Restarting Restarted Stopping Stopped Removing \
    Removed Killing Killed Exited Skipped Error Warning Pausing Paused Unpausing Unpaused";

/// Containers by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DryRunOutput {
    /// All containers in lines that undrift can parse.
    pub(super) containers: BTreeSet<String>,
    /// Containers that would be replaced.
    pub(super) recreated: BTreeSet<String>,
    /// Containers that would be removed and that nothing replaces under their name.
    removed: BTreeSet<String>,
    /// Containers that Compose does not see.
    unseen: BTreeSet<String>,
    /// Containers that Compose would not leave alone, as far as the lines can be parsed.
    pub(super) touched: BTreeSet<String>,
    /// The first line that cannot be parsed: a provider's, a hook's, a new word.
    pub(super) odd: Option<String>,
}

impl DryRunOutput {
    /// Reads ` DRY-RUN MODE -  Container NAME  STATE`, with any spaces and with or without the mark, which Compose 5 omits. A
    /// line that cannot be parsed proves nothing: a container is as declared only if a line reports it so.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut output = Self::default();
        for line in lines.filter(|line| !refusal::is_warning(line)) {
            let line = line.trim();
            let line = line.strip_prefix("DRY-RUN MODE -").unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            let known = match words[..] {
                // Changes to networks, volumes and images recreate no container.
                [] | ["Network" | "Volume" | "Image" | "[+]", ..] | [_, "Pulling" | "Pulled"] => true,
                ["Container", name, state] => output.container(real_name(name), state),
                _ => false,
            };
            if !known {
                output.odd.get_or_insert_with(|| line.trim().to_owned());
            }
        }
        output
    }

    /// Whether it would be replaced; `None` if no line covers it.
    pub(super) fn recreates(&self, container: &str) -> Option<bool> {
        let name = real_name(container);
        (self.containers.contains(name) && self.sees(name)).then(|| self.recreated.contains(name))
    }

    /// The containers with a known verdict, given how many are declared. If there are more, one that would be removed is only
    /// surplus. Otherwise Compose prefers another one, and its output does not show how the two differ: Compose from 2.40 on
    /// keeps the replacement that an `up` has just created beside the old one (measured with 2.40.3).
    pub(super) fn judged(&self, declared: usize) -> impl Iterator<Item = (&String, bool)> {
        let are_too_many = self.containers.len() > declared;
        let each = self.containers.iter().map(|name| (name, self.recreated.contains(name)));
        let seen = each.filter(|(name, _)| self.sees(name));
        seen.filter(move |(name, recreated)| *recreated || are_too_many || !self.removed.contains(*name))
    }

    /// Whether it sees this container.
    fn sees(&self, name: &str) -> bool {
        self.recreated.contains(name) || !self.unseen.contains(name)
    }

    /// Whether the state is known.
    fn container(&mut self, name: &str, state: &str) -> bool {
        let (recreated, quiet) = (RECREATED.contains(&state), QUIET.contains(&state));
        if !recreated && !quiet && !OTHERS.split_whitespace().any(|other| other == state) {
            return false;
        }
        self.containers.insert(name.to_owned());
        if recreated {
            self.recreated.insert(name.to_owned());
        }
        if REMOVED.contains(&state) {
            self.removed.insert(name.to_owned());
        }
        if state == UNSEEN {
            self.unseen.insert(name.to_owned());
        }
        if !quiet {
            self.touched.insert(name.to_owned());
        }
        true
    }
}

/// A container's name without the `<12 hex>_` prefix that it has during a recreation.
pub(super) fn real_name(name: &str) -> &str {
    match name.split_once('_') {
        Some((id, rest)) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> DryRunOutput {
        DryRunOutput::read(output.lines())
    }

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn reads_the_dry_run_output_of_compose_2_26() {
        let output = read(
            r#"time="2026-11-23T10:29:55Z" level=warning msg="Found orphan containers ([x-n-1])"
 DRY-RUN MODE -  Network x_default  Creating
 DRY-RUN MODE -  Container x-a-1  Recreate
 DRY-RUN MODE -  Container x-a-1  Recreated
 DRY-RUN MODE -  Container x-b-1  Running
 DRY-RUN MODE -  Container x-a-2  Creating
 DRY-RUN MODE -  Container x-a-2  Created
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Starting
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Started
"#,
        );
        assert_eq!(names(&output.recreated), ["x-a-1"]);
        assert_eq!(names(&output.touched), ["x-a-1", "x-a-2"]);
        assert_eq!((output.containers.len(), &output.odd), (3, &None));
        let of = |name| output.recreates(name);
        assert_eq!((of("x-a-1"), of("x-b-1"), of("x-c-1")), (Some(true), Some(false), None));
        assert_eq!(of("59fff5ca76b7_x-a-1"), Some(true), "as it is called in the middle of a recreation");
    }

    #[test]
    fn reads_the_output_of_compose_5_with_a_provider_and_an_end_at_a_hook() {
        let output = read(
            " Container x-hooked-1 Recreate \n Container x-hooked-1 Recreated \n database Creating \n database hello \n              database Created \n Container x-api-1 Running \n Container f010675d60cd_x-hooked-1 Starting \n\
             interactive exec is not supported in dry-run mode",
        );
        assert_eq!((output.recreates("x-hooked-1"), output.recreates("x-api-1")), (Some(true), Some(false)));
        assert_eq!(output.odd.as_deref(), Some("database Creating"));
    }

    #[test]
    fn what_would_go_is_judged_only_where_it_is_one_too_many() {
        let output = read(
            " DRY-RUN MODE -  Container x-a-1  Stopping\n DRY-RUN MODE -  Container x-a-1  Stopped\n DRY-RUN MODE -  Container x-a-1  Removing\n \
             DRY-RUN MODE -  Container x-a-1  Removed\n DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Starting\n",
        );
        assert_eq!(output.judged(1).count(), 0, "beside its replacement");
        let output = read(" Container x-a-1 Running \n Container x-a-2 Removing \n Container x-a-2 Removed ");
        let judged: Vec<(&str, bool)> = output.judged(1).map(|(name, is)| (name.as_str(), is)).collect();
        assert_eq!(judged, [("x-a-1", false), ("x-a-2", false)]);
    }

    #[test]
    fn a_container_that_the_dry_run_creates_is_not_judged() {
        let output = read(" Container x-a-1 Creating \n Container x-a-1 Created \n Container x-a-2 Created ");
        assert_eq!((output.recreates("x-a-1"), output.recreates("x-a-2")), (None, Some(false)), "{output:?}");
        let judged: Vec<&str> = output.judged(2).map(|(name, _)| name.as_str()).collect();
        assert_eq!(judged, ["x-a-2"], "one that is there and has ended is only `Created`");
        let replaced =
            read(" Container x-a-1 Recreate \n Container x-a-1 Creating \n Container x-a-1 Recreated ");
        assert_eq!(replaced.recreates("x-a-1"), Some(true));
    }

    #[test]
    fn no_output_and_unrecognised_output_are_no_evidence() {
        for output in
            [" DRY-RUN MODE -  Container x-a-1  Transmuted", "x-a-1 will be recreated", "", "Container x"]
        {
            assert_eq!(read(output).recreates("x-a-1"), None, "{output}");
        }
        assert_eq!(read(" Executing command [\"x\"] in x-a-1 (detached mode)").recreates("x-a-1"), None);
    }
}
