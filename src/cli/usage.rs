//! clap's output: help, the version, or why a command line is invalid.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
};

use super::{args::Cli, context::colour, one_line, recorded::write_json, style::clean};
use crate::{api::ErrorReason, documents};
use clap::Parser as _;

/// Prints it. Clap's own printing obeys `CLICOLOR_FORCE`, even without a terminal. If `args` request JSON, an error is also
/// the one document of standard output: its reader gets one in every case.
pub(super) fn print(usage: &clap::Error, args: &[OsString]) {
    // A quoted argument must not begin a line: the arguments are parsed again without such characters.
    let plain: Vec<OsString> =
        args.iter().map(|arg| clean(&arg.to_string_lossy()).into_owned().into()).collect();
    let again = if plain == args { None } else { Cli::try_parse_from(&plain).err() };
    let usage = again.as_ref().unwrap_or(usage);
    let terminal = if usage.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = usage.render();
    let shown = if colour(terminal) { text.ansi().to_string() } else { text.to_string() };
    let shown = one_line::in_lines(&shown);
    // If nobody reads, there is nobody to notify.
    if !usage.use_stderr() {
        let _ = io::stdout().write_all(shown.as_bytes());
        return;
    }
    let _ = io::stderr().write_all(shown.as_bytes());
    if want_json(args) {
        let plain = text.to_string();
        let message = plain.trim_start_matches("error: ").trim_end();
        let _ = write_json(&mut io::stdout().lock(), &documents::error(&ErrorReason::Usage.into(), message));
    }
}

/// Whether `-o json` is among the arguments, in any of clap's spellings: clap does not parse a rejected command line to the end.
fn want_json(args: &[OsString]) -> bool {
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let whole = |arg: &str| ["-ojson", "-o=json", "--output=json"].contains(&arg);
    args.iter().any(|arg| whole(arg))
        || args.windows(2).any(|two| ["-o", "--output"].contains(&two[0]) && two[1] == "json")
}
