//! `undrift completions`: the script with which a shell completes verbs and options.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;

/// Prints the script for this shell.
pub(super) fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&script(shell))?;
    out.flush()
}

/// The generator panics if it cannot write, so it writes into memory.
fn script(shell: Shell) -> Vec<u8> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_verb() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for verb in Cli::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell} does not know {}", verb.get_name());
            }
        }
    }
}
