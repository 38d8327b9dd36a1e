//! `-f`: the manifests that a verb reads. As an argument a path is taken whole; in `UNDRIFT_FILE` a colon separates two, as
//! in `PATH`.

use std::{env, ffi::OsString};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error, parser::ValueSource};

/// The name of the argument and of its long option.
const FILE: &str = "file";

/// The manifests of a verb that needs some, or of one (`Manifests<false>`) that works without.
#[derive(Debug)]
pub(super) struct Manifests<const REQUIRED: bool = true> {
    pub(super) files: Vec<OsString>,
}

impl<const REQUIRED: bool> Args for Manifests<REQUIRED> {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(FILE)
                .short('f')
                .long(FILE)
                .value_name("PATH")
                .env("UNDRIFT_FILE")
                .required(REQUIRED)
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(OsString))
                .help("A manifest, a folder of them, or - for standard input; may be repeated (in the variable: separated by colons)"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const REQUIRED: bool> FromArgMatches for Manifests<REQUIRED> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = matches.get_many::<OsString>(FILE).into_iter().flatten();
        let files = match matches.value_source(FILE) {
            Some(ValueSource::EnvVariable) => given.flat_map(separate).collect(),
            _ => given.cloned().collect(),
        };
        Ok(Self { files })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The paths of the variable. An empty one between two colons names nothing; an empty variable is one empty path, which is
/// then reported like any other that does not exist.
fn separate(variable: &OsString) -> Vec<OsString> {
    let paths = env::split_paths(variable).map(OsString::from);
    let paths: Vec<OsString> = paths.filter(|path| !path.is_empty()).collect();
    if paths.is_empty() { vec![variable.clone()] } else { paths }
}
