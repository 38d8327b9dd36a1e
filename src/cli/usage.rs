//! What clap has to say: help, the version, or why a command line is none.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
};

use super::{args::Cli, context::colour, one_line, recorded::write_json, style::clean};
use crate::documents;
use clap::Parser as _;

/// Prints it. Clap's own printing obeys `CLICOLOR_FORCE`, also without a terminal. Where `args` ask for JSON, a complaint is
/// also the one document of standard output: whoever reads it gets one in every case.
pub(super) fn print(usage: &clap::Error, args: &[OsString]) {
    // What is quoted of the arguments must not begin a line: they are read once more without such characters.
    let plain: Vec<OsString> =
        args.iter().map(|arg| clean(&arg.to_string_lossy()).into_owned().into()).collect();
    let again = if plain == args { None } else { Cli::try_parse_from(&plain).err() };
    let usage = again.as_ref().unwrap_or(usage);
    let terminal = if usage.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = usage.render();
    let shown = if colour(terminal) { text.ansi().to_string() } else { text.to_string() };
    let shown = one_line::in_lines(&shown);
    // Where nobody reads there is nobody to tell.
    if !usage.use_stderr() {
        let _ = io::stdout().write_all(shown.as_bytes());
        return;
    }
    let _ = io::stderr().write_all(shown.as_bytes());
    if want_json(args) {
        let plain = text.to_string();
        let message = plain.trim_start_matches("error: ").trim_end();
        let _ = write_json(&mut io::stdout().lock(), &documents::error("Usage", message));
    }
}

/// Whether `-o json` stands among the arguments, in any of clap's spellings: what clap refuses it has not read to the end.
fn want_json(args: &[OsString]) -> bool {
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let whole = |arg: &str| ["-ojson", "-o=json", "--output=json"].contains(&arg);
    args.iter().any(|arg| whole(arg))
        || args.windows(2).any(|two| ["-o", "--output"].contains(&two[0]) && two[1] == "json")
}
