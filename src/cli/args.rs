//! The command line as it is typed.

use std::{fmt, num::NonZeroUsize, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{FalseyValueParser, StringValueParser, TypedValueParser},
};

pub(super) use super::files::Manifests;
use super::{get::Columns, trail_export::LineFormat};
use crate::{incident_report::ExportFormat, reconcile::EnvironmentTrust};

/// Reconciles Docker Compose hosts: finds the first layer that drifted, repairs just that layer, verifies the repair.
#[derive(Debug, Parser)]
#[command(name = "undrift", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What `undrift --help` ends with.
const EXAMPLES: &str = "\
To begin with:
  undrift doctor                          is everything there that undrift needs?
  undrift plan -f manifests/              what drifted, and what would undrift do about it?
  undrift apply -f manifests/             repair it, once
  undrift run -f manifests/               keep repairing it
  undrift get                             what is the status?";

/// What `undrift run --help` ends with.
const RUN_EXAMPLES: &str = "\
Examples:
  undrift run -f /etc/undrift/manifests
  undrift --log info --log-format json run -f site.yaml -f team/ --builds 2
  undrift run -f /etc/undrift/manifests --anchor file:/mnt/vault/node1.checkpoints --anchor journal";

/// What `undrift suspend --help` ends with.
const SUSPEND_EXAMPLES: &str = "\
Example:
  undrift suspend ai-backoffice --for 2h --reason \"moving the database\"";

/// What `undrift wait --help` ends with.
const WAIT_EXAMPLES: &str = "\
Examples:
  undrift wait ai-backoffice
  undrift wait shop bank --for stalled --timeout 1h -o json";

/// What `undrift completions --help` ends with.
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  undrift completions bash > ~/.local/share/bash-completion/completions/undrift
  undrift completions fish > ~/.config/fish/completions/undrift.fish
  undrift completions zsh  > ~/.zfunc/_undrift      (with ~/.zfunc in fpath)";

/// What `undrift audit list --help` ends with.
const AUDIT_EXAMPLES: &str = "\
Examples:
  undrift audit list --object ai-backoffice --since 2h
  undrift audit list --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z -o json";

const CHECKPOINT_EXAMPLES: &str = "\
Examples:
  undrift audit checkpoint | ssh vault 'cat > node1.checkpoint'
  undrift audit verify --checkpoint node1.checkpoint";

const COLLECT_EXAMPLES: &str = "\
Examples:
  undrift audit export > trail.jsonl
  undrift audit export --after 41200 --format cloudevents";

const BACKUP_EXAMPLES: &str = "\
Examples:
  undrift backup /mnt/backup/undrift-$(date +%F).db";

const EXPORT_EXAMPLES: &str = "\
Examples:
  undrift incident export 01KJM0K6G0 --output-file incident.html
  undrift incident export 01KJM0K6G0 --format md | less";

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub(super) struct Global {
    /// The folder of the trail, the incidents and the status [default: /var/lib/undrift for root, else
    /// `$XDG_STATE_HOME/undrift` or ~/.local/state/undrift]
    #[arg(long, global = true, value_name = "DIR", env = "UNDRIFT_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// What to log to standard error: error, warn, info, debug, or a filter such as undrift=debug [default:
    /// undrift=warn, for run undrift=info; apply leaves out what its progress shows]
    #[arg(long, global = true, value_name = "FILTER", env = "UNDRIFT_LOG")]
    pub(super) log: Option<String>,
    /// The format of the log
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

/// The format of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON document, and nothing else on standard output
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// The format of the result
    #[arg(short, long, value_name = "FORMAT", env = "UNDRIFT_OUTPUT", default_value = "text")]
    pub(super) output: Format,
}

/// The format of the result of `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum GetFormat {
    /// For people
    Text,
    /// The same with more columns
    Wide,
    /// One JSON document, and nothing else on standard output; with --watch one a line
    Json,
}

impl GetFormat {
    /// Without regard to the columns.
    pub(super) const fn format(self) -> Format {
        match self {
            Self::Text | Self::Wide => Format::Text,
            Self::Json => Format::Json,
        }
    }

    /// Which columns the table has.
    pub(super) const fn columns(self) -> Columns {
        match self {
            Self::Wide => Columns::Wide,
            Self::Text | Self::Json => Columns::Usual,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// The objects
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// What to wait for, of all of them at once
    #[arg(long = "for", value_name = "STATE", env = "UNDRIFT_FOR", default_value = "reconciled")]
    pub(super) awaited: Awaited,
    /// For how long at most
    #[arg(long, value_name = "DURATION", env = "UNDRIFT_TIMEOUT", default_value = "5m")]
    pub(super) timeout: crate::api::Duration,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What a person waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Awaited {
    /// Every service is as declared and verified
    Reconciled,
    /// A service is not as declared
    Drifted,
    /// undrift has given up
    Stalled,
}

#[derive(Debug, Args)]
pub(super) struct ObjectArgs {
    #[command(flatten)]
    pub(super) manifests: Manifests,
    /// Only these objects
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) objects: ObjectArgs,
    /// Also builds each service under a name of undrift's own, compares that image with the one behind the service's reference,
    /// and removes it. Containers and tags stay as they are, also of a suspended object. The answer is remembered in the state
    /// folder
    #[arg(long, env = "UNDRIFT_BUILD", value_parser = FalseyValueParser::new())]
    pub(super) build: bool,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub(super) objects: ObjectArgs,
    /// Take steps even where no file has changed and only this environment makes the Compose project differ from the last
    /// verified state
    #[arg(long, env = "UNDRIFT_ACCEPT_ENVIRONMENT", value_parser = FalseyValueParser::new())]
    pub(super) accept_environment: bool,
}

impl ApplyArgs {
    /// How far to trust the environment of this process.
    pub(super) const fn environment(&self) -> EnvironmentTrust {
        if self.accept_environment { EnvironmentTrust::Declared } else { EnvironmentTrust::Callers }
    }
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) manifests: Manifests,
    /// How many objects undrift works on at once, 256 at most: each has a thread
    #[arg(long, value_name = "N", env = "UNDRIFT_CONCURRENCY", default_value = "16", value_parser = at_once())]
    pub(super) concurrency: NonZeroUsize,
    /// How many objects undrift builds at once, 256 at most; a build that takes more than 5 min no longer counts
    #[arg(long, value_name = "N", env = "UNDRIFT_BUILDS", default_value = "1", value_parser = at_once())]
    pub(super) builds: NonZeroUsize,
    /// How often to ask the engine for its images, because not every build emits an event; at least 1s
    #[arg(long, value_name = "DURATION", env = "UNDRIFT_IMAGE_PERIOD", default_value = "5s")]
    pub(super) image_period: crate::api::Duration,
    /// How long undrift may take to end after SIGTERM or SIGINT. A running Compose command has all of that but 16s, or a
    /// quarter where that is more; then it gets SIGTERM, and SIGKILL 10s later. With less than 14s undrift may take longer
    #[arg(long, value_name = "DURATION", env = "UNDRIFT_GRACE_PERIOD", default_value = "60s")]
    pub(super) grace_period: crate::api::Duration,
    #[arg(
        long, value_name = "TARGET", env = "UNDRIFT_ANCHOR", hide_env_values = true, value_delimiter = ' ',
        value_parser = StringValueParser::new().map(AnchorText), help = ANCHOR
    )]
    pub(super) anchor: Vec<AnchorText>,
}

const ANCHOR: &str = "Where to deliver each signed checkpoint of the audit trail: file:PATH, journal, or a URL for a POST over https; \
                      may be repeated (in the variable: separated by spaces)";

/// An anchor as it was typed. It may be a URL with a token, so that nothing prints it, clap included: it is parsed elsewhere.
#[derive(Clone)]
pub(super) struct AnchorText(pub(super) String);

impl fmt::Debug for AnchorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How many may be at work at once.
fn at_once() -> impl TypedValueParser<Value = NonZeroUsize> {
    let number = clap::value_parser!(u64).range(1..=256);
    number.map(|n| n.try_into().ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN))
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Reads manifests, without an engine [exit 0 valid, 2 not]
    Validate(Manifests),
    /// Prints the JSON Schema of the manifest
    Schema,
    /// Shows the ladder of layers; changes nothing [exit 0 as declared, 1 drift or unknown, 2 error]
    Check(CheckArgs),
    /// Shows what check shows, and the steps that apply would take [exit 0 none, 1 steps or a drift
    /// without one, 2 error]
    Plan(ObjectArgs),
    /// Reconciles once, until reconciled or given up [exit 0 reconciled, 1 not, 2 error]
    Apply(ApplyArgs),
    /// Watches manifests, engine and clock until SIGTERM or SIGINT [exit 0 ended by signal, 2 error]
    ///
    /// The daemon. It does what apply does, whenever a manifest, a container or an image of a project may have changed,
    /// and after each `reconcile.interval`. On a host that is as declared it takes no step.
    ///
    /// If an edit makes a manifest invalid, the last valid version stays in effect. The daemon waits for an engine that is
    /// away. SIGHUP makes it read the manifests again. After SIGTERM or SIGINT it begins no step, and gives a running
    /// Compose command most of the grace period. However undrift ends, the next start observes anew and decides anew.
    ///
    /// The daemon holds the state folder. `undrift apply` then asks the daemon to reconcile at once, and `undrift
    /// suspend`, `resume` and `retry` take effect at once.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Suspends an object: undrift takes no step on it until resume, or for a time, and keeps observing it [exit 0, 2 error
    /// or no such object]
    #[command(after_help = SUSPEND_EXAMPLES)]
    Suspend {
        /// The object
        name: String,
        /// The reason, for whoever reads the status or the trail
        #[arg(long, value_name = "TEXT", env = "UNDRIFT_REASON")]
        reason: String,
        /// For how long, such as 2h [default: until resume]
        #[arg(long = "for", value_name = "DURATION", env = "UNDRIFT_FOR")]
        duration: Option<crate::api::Duration>,
    },
    /// Ends the suspension of an object [exit 0, 2 error or no such object]
    Resume {
        /// The object
        name: String,
    },
    /// Tries a stalled object again, with a new budget [exit 0, 2 error or no such object]
    Retry {
        /// The object
        name: String,
    },
    /// Shows the last recorded status, a row per service [exit 0, 2 error or no such object]
    Get {
        /// Only these objects
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Go on showing what changes, until Ctrl-C
        #[arg(short, long, env = "UNDRIFT_WATCH", value_parser = FalseyValueParser::new())]
        watch: bool,
        /// The format of the result
        #[arg(short, long, value_name = "FORMAT", env = "UNDRIFT_OUTPUT", default_value = "text")]
        output: GetFormat,
    },
    /// Waits until all these objects are reconciled, or in another state [exit 0 they are, 1 not in time, 2 error or no such
    /// object]
    ///
    /// Only a status that a running daemon has recorded counts: one of the present spec that is no older than twice
    /// `reconcile.interval`. It may be from before now. On the timeout undrift says on standard error why each object is not
    /// in the state.
    #[command(after_help = WAIT_EXAMPLES)]
    Wait(WaitArgs),
    /// Shows one object in full: evidence, conditions, recent incidents and steps [exit 0, 2 error or no
    /// such object]
    Describe {
        /// The object
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// The audit trail: every drift, intent, outcome and verification
    Audit {
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Incidents: each from the first observation of a drift until it is reconciled or given up
    Incident {
        #[command(subcommand)]
        verb: IncidentVerb,
    },
    /// Copies the state with its trail into a new file, also while a daemon runs [exit 0, 2 error, no state, or the file exists]
    ///
    /// The copy is one SQLite database as of one moment, checked and synced. To go back to it: stop undrift, and put it into an
    /// empty state folder as `state.db`, beside the `digest.key` of the old one. Keep that key apart from the copies, as a secret.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Examines engine, Compose, state folder, clock and manifests, and gives a fix for each fault [exit 0, 1
    /// something failed]
    Doctor {
        #[command(flatten)]
        manifests: Manifests<false>,
        #[command(flatten)]
        output: Output,
    },
    /// Prints the completions of a shell; save them where the shell looks for them
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditVerb {
    /// Lists the trail, oldest first [exit 0, 2 error]
    #[command(after_help = AUDIT_EXAMPLES)]
    List {
        /// Only records about this object
        #[arg(long, value_name = "NAME", env = "UNDRIFT_OBJECT")]
        object: Option<String>,
        /// Only records about this service
        #[arg(long, value_name = "NAME", env = "UNDRIFT_SERVICE")]
        service: Option<String>,
        /// Only records of this incident
        #[arg(long, value_name = "ID", env = "UNDRIFT_INCIDENT")]
        incident: Option<String>,
        /// Only records since this time: a duration back from now (2h) or an RFC 3339 time
        #[arg(long, value_name = "TIME", env = "UNDRIFT_SINCE")]
        since: Option<String>,
        /// Only records up to this time, in the same form
        #[arg(long, value_name = "TIME", env = "UNDRIFT_UNTIL", conflicts_with = "follow")]
        until: Option<String>,
        /// At most this many, the newest; without it all in JSON, and the newest 200 as text
        #[arg(long, value_name = "N", env = "UNDRIFT_LIMIT", conflicts_with = "follow")]
        limit: Option<NonZeroUsize>,
        /// Go on with each further record as it is written, until Ctrl-C; with -o json one a line
        #[arg(long, env = "UNDRIFT_FOLLOW", value_parser = FalseyValueParser::new())]
        follow: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Checks that the trail is whole [exit 0 whole, 1 not, 2 error]
    Verify {
        /// Also checks that no record breaks a rule of undrift's own, such as a step while the object is suspended
        #[arg(long, env = "UNDRIFT_DEEP")]
        deep: bool,
        /// Also checks that the trail still has what this checkpoint was signed over, or each one of an anchor's file; may be
        /// repeated
        #[arg(long, value_name = "FILE", env = "UNDRIFT_CHECKPOINT", value_delimiter = ':')]
        checkpoint: Vec<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Prints the records as lines of JSON, for a program that collects them [exit 0, 2 error or no such trail]
    #[command(after_help = COLLECT_EXAMPLES)]
    Export {
        /// Only records after the one with this number: the last one that the program has
        #[arg(long, value_name = "SEQ", env = "UNDRIFT_AFTER", default_value = "0")]
        after: u64,
        /// The form of a line
        #[arg(long, value_enum, value_name = "FORMAT", env = "UNDRIFT_FORMAT", default_value = "jsonl")]
        format: LineFormat,
    },
    /// Prints the newest signed checkpoint; keep it where this host cannot reach it [exit 0, 2 error or none yet]
    #[command(after_help = CHECKPOINT_EXAMPLES)]
    Checkpoint,
    /// Prints the public key of the checkpoints [exit 0, 2 error or none yet]
    Key {
        /// The form of the key
        #[arg(long, value_enum, value_name = "FORMAT", env = "UNDRIFT_FORMAT", default_value = "note")]
        format: KeyFormat,
    },
}

/// The form of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyFormat {
    /// A verifier key of signed notes: NAME+ID+KEY
    Note,
    /// PEM, as OpenSSL and cosign read it
    Pem,
}

#[derive(Debug, Subcommand)]
pub(super) enum IncidentVerb {
    /// Lists incidents, newest first [exit 0, 2 error]
    List {
        /// At most this many; without it all in JSON, and the newest 50 as text
        #[arg(long, value_name = "N", env = "UNDRIFT_LIMIT")]
        limit: Option<NonZeroUsize>,
        #[command(flatten)]
        output: Output,
    },
    /// Shows one incident as a timeline with its evidence [exit 0, 2 error or no such incident]
    Show {
        /// Its ID, or a beginning of it that is unique
        incident: String,
        #[command(flatten)]
        output: Output,
    },
    /// Writes one incident as a document for a review: a page, Markdown, or JSON [exit 0, 2 error or no such incident]
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportOptions),
}

#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    /// Its ID, or a beginning of it that is unique
    pub(super) incident: String,
    /// The format of the document
    #[arg(long, value_enum, value_name = "FORMAT", env = "UNDRIFT_FORMAT", default_value = "html")]
    pub(super) format: ExportFormat,
    /// The file to write it to, which must not exist [default: standard output]
    #[arg(long, value_name = "FILE", env = "UNDRIFT_OUTPUT_FILE")]
    pub(super) output_file: Option<PathBuf>,
    /// Instead of one document, the folder for all of them, with the records, their proofs and a signed statement of what was
    /// verified
    #[arg(long, value_name = "DIR", env = "UNDRIFT_BUNDLE", conflicts_with_all = ["format", "output_file"])]
    pub(super) bundle: Option<PathBuf>,
    /// Replace what exists
    #[arg(long, env = "UNDRIFT_FORCE", value_parser = FalseyValueParser::new())]
    pub(super) force: bool,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;

    /// The options without a variable, of a command and of all below it.
    fn without_variable(command: &Command) -> Vec<String> {
        let options = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg.get_env())));
        let has = |name: &str, env: Option<&std::ffi::OsStr>| {
            let expected = format!("UNDRIFT_{}", name.to_uppercase().replace('-', "_"));
            env.is_some_and(|env| env == expected.as_str())
        };
        let missing = options.filter(|(name, env)| !["help", "version"].contains(name) && !has(name, *env));
        let missing = missing.map(|(name, _)| format!("{} --{name}", command.get_name()));
        missing.chain(command.get_subcommands().flat_map(without_variable)).collect()
    }

    #[test]
    fn every_option_has_a_variable_that_is_named_as_it_is() {
        let mut command = Cli::command();
        command.build();
        assert_eq!(without_variable(&command), [""; 0]);
    }

    #[test]
    fn no_more_is_done_at_once_than_there_can_be_threads() {
        for option in ["--concurrency", "--builds"] {
            let run = |n: &str| Cli::try_parse_from(["undrift", "run", "-f", "x", option, n]);
            assert!(run("1").is_ok() && run("256").is_ok(), "{option}");
            for n in ["0", "257", "5000", "18446744073709551615"] {
                let error = run(n).unwrap_err().to_string();
                assert!(error.contains(option) && error.contains("is not in 1..=256"), "{n}: {error}");
            }
        }
    }
}
