//! The command line as it is typed.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use super::files::Manifests;

/// Reconciles Docker Compose hosts: finds the first layer that drifted, repairs just that, proves the repair.
#[derive(Debug, Parser)]
#[command(name = "undrift", version, max_term_width = 100, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Args)]
pub(super) struct Global {
    /// The folder of the trail, the incidents and the status [default: /var/lib/undrift for root, else
    /// `$XDG_STATE_HOME/undrift`]
    #[arg(long, global = true, value_name = "DIR", env = "UNDRIFT_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// What to log to standard error, for example `undrift=debug` [default: warn; with run also what undrift does]
    #[arg(long, global = true, value_name = "FILTER", env = "UNDRIFT_LOG")]
    pub(super) log: Option<String>,
    /// How to log
    #[arg(long, global = true, value_name = "FORMAT", env = "UNDRIFT_LOG_FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// How to print the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON document, and nothing else on standard output
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// How to print the answer
    #[arg(short, long, value_name = "FORMAT", env = "UNDRIFT_OUTPUT", default_value = "text")]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub(super) struct Objects {
    #[command(flatten)]
    pub(super) manifests: Manifests,
    /// Only these objects
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) manifests: Manifests,
    /// How many objects are worked on at once
    #[arg(long, value_name = "N", env = "UNDRIFT_CONCURRENCY", default_value = "16")]
    pub(super) concurrency: NonZeroUsize,
    /// How many objects are built at once; a build of more than 5 min no longer counts
    #[arg(long, value_name = "N", env = "UNDRIFT_BUILDS", default_value = "1")]
    pub(super) builds: NonZeroUsize,
    /// How often to ask the engine for its images: a build may emit no event
    #[arg(long, value_name = "DURATION", env = "UNDRIFT_IMAGE_PERIOD", default_value = "5s")]
    pub(super) image_period: crate::api::Duration,
    /// How long a running command may go on after undrift was asked to end
    #[arg(long, value_name = "DURATION", env = "UNDRIFT_GRACE_PERIOD", default_value = "60s")]
    pub(super) grace_period: crate::api::Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Reads manifests, without an engine [exit 0 valid, 2 not]
    Validate(Manifests),
    /// Prints the JSON Schema of the manifest
    Schema,
    /// Shows the ladder of layers; changes nothing [exit 0 as declared, 1 drift or unknown, 2 error]
    Check(Objects),
    /// Check, and the steps that apply would take [exit 0 none, 1 steps or a drift without one, 2 error]
    Plan(Objects),
    /// Reconciles once, until reconciled or given up [exit 0 reconciled, 1 not, 2 error]
    Apply(Objects),
    /// Watches manifests, engine and clock until SIGTERM or SIGINT [exit 0 ended by signal, 2 error]
    Run(Run),
    /// Takes no step for an object until it is resumed, or for a while
    Suspend {
        /// The object
        name: String,
        /// For how long, such as 2h [default: until it is resumed]
        #[arg(long = "for", value_name = "DURATION", env = "UNDRIFT_FOR")]
        duration: Option<crate::api::Duration>,
        /// Why: it is in the trail and in the status
        #[arg(long, env = "UNDRIFT_REASON")]
        reason: String,
    },
    /// Ends the suspension of an object
    Resume {
        /// The object
        name: String,
    },
    /// Tries a stalled object again, with a new budget
    Retry {
        /// The object
        name: String,
    },
    /// Shows the last recorded status, a row per service
    Get {
        /// Only these objects
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Shows one object whole: evidence, conditions, recent incidents and steps
    Describe {
        /// The object
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// The audit trail
    Audit {
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Incidents: from the first sight of a drift to reconciled or given up
    Incident {
        #[command(subcommand)]
        verb: IncidentVerb,
    },
    /// Examines engine, Compose, state folder and clock, and says what to do [exit 0, 1 something failed]
    Doctor {
        #[command(flatten)]
        manifests: Manifests<false>,
        #[command(flatten)]
        output: Output,
    },
    /// Prints the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditVerb {
    /// Lists the trail, oldest first
    List {
        /// Only records about this object
        #[arg(long, env = "UNDRIFT_OBJECT")]
        object: Option<String>,
        /// Only records about this service
        #[arg(long, env = "UNDRIFT_SERVICE")]
        service: Option<String>,
        /// Only records of this incident
        #[arg(long, env = "UNDRIFT_INCIDENT")]
        incident: Option<String>,
        /// Only records since then: a duration back from now (2h) or an RFC 3339 time
        #[arg(long, env = "UNDRIFT_SINCE")]
        since: Option<String>,
        /// Only records until then
        #[arg(long, env = "UNDRIFT_UNTIL")]
        until: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Proves that the trail is whole [exit 0 whole, 1 not, 2 error]
    Verify(Output),
}

#[derive(Debug, Subcommand)]
pub(super) enum IncidentVerb {
    /// Lists incidents, newest first
    List(Output),
    /// Shows one incident as a timeline with its evidence
    Show {
        /// Its ID, or as much of it as is unique
        incident: String,
        #[command(flatten)]
        output: Output,
    },
}
