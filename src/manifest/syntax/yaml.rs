//! The documents of a file, read by serde-saphyr within a budget, and its errors in words for people.

use serde_saphyr::{
    Error, Options,
    budget::BudgetBreach,
    granit_parser::{ErrorKind as Kind, ScanError},
    localizer::ExternalMessageSource,
    options::DuplicateKeyPolicy,
};

use super::tree::{Node, Value};
use crate::manifest::report::{Fault, LineIndex, Spot};

/// Values in one document, copies by aliases included. The largest honest manifest has some hundreds.
const MOST_NODES: usize = 20_000;

/// Collections inside each other; the manifest's own shape needs eleven.
const DEEPEST: usize = 32;

/// Bytes of text in one document, copies by aliases included.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// Documents in one file that are looked at. A file is at most 1 MiB, but `--- a` costs little.
const MOST_DOCUMENTS: usize = 200;

/// What is in a file: documents, and faults of YAML itself.
pub(crate) struct Documents {
    pub(crate) roots: Vec<Node>,
    pub(crate) faults: Vec<(Spot, Fault)>,
}

/// The options of the reader: unknown tags, wide booleans and merges are not part of a manifest; doubled keys are
/// kept, so that both can be named.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_nodes: MOST_NODES,
            max_events: 4 * MOST_NODES,
            max_anchors: 1_000,
            max_aliases: 1_000,
            max_recorded_anchor_events: MOST_NODES,
            max_recorded_anchor_bytes: MOST_TEXT,
            max_total_scalar_bytes: MOST_TEXT,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_NODES,
            max_replay_stack_depth: DEEPEST,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        emit_comments: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads all documents. Behind a fault of YAML reading goes on at the next `---`: a line that starts so is the
/// start of a document whatever stands before it.
pub(crate) fn documents(lines: &LineIndex<'_>) -> Documents {
    let mut found = Documents { roots: Vec::new(), faults: Vec::new() };
    let mut first = 0;
    let mut count = 0;
    while let Some(error) = read_from(lines, first, &mut count, &mut found) {
        let offset = u32::try_from(first).unwrap_or(u32::MAX);
        let mut spot = error.location().map_or(Spot::START, Spot::from);
        spot.line = spot.line.saturating_add(offset);
        drop_headless_text(&mut found.roots, spot, lines);
        let (spot, fault) = in_words(&error, spot, lines);
        found.faults.push((spot, fault));
        let resume = spot.line as usize;
        let Some(next) = (resume..lines.count()).find(|line| is_marker(lines.get(*line))) else { break };
        first = next;
    }
    if count >= MOST_DOCUMENTS {
        let message = format!("more than {MOST_DOCUMENTS} documents in one file");
        found.faults.push((Spot::START, Fault::new(message).help("spread them over several files")));
    }
    found
}

/// Reads from a line on, up to the end or an error, which is returned.
fn read_from(lines: &LineIndex<'_>, first: usize, count: &mut usize, found: &mut Documents) -> Option<Error> {
    let mut bytes = lines.text_from(first).as_bytes();
    let offset = u32::try_from(first).unwrap_or(u32::MAX);
    for root in serde_saphyr::read_with_options::<_, Node>(&mut bytes, options()) {
        *count += 1;
        if *count >= MOST_DOCUMENTS {
            return None;
        }
        match root {
            Ok(mut root) => {
                root.shift(offset);
                found.roots.push(root);
            }
            Err(error) => return Some(error),
        }
    }
    None
}

/// A first line without its colon is read as a text, and the next line then as an error. Only the latter says
/// something to a person.
fn drop_headless_text(roots: &mut Vec<Node>, error: Spot, lines: &LineIndex<'_>) {
    let Some(last) = roots.last() else { return };
    let text = matches!(last.value, Value::Text(_) | Value::LongText);
    let between = last.spot.line as usize..error.line as usize;
    if text && !between.into_iter().any(|line| is_marker(lines.get(line))) {
        roots.pop();
    }
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// What the reader says, as a person would say it, and the place that they should look at.
fn in_words(error: &Error, spot: Spot, lines: &LineIndex<'_>) -> (Spot, Fault) {
    match error.without_snippet() {
        Error::ExternalMessage { source, msg, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => syntax(error, spot, lines),
            _ => (spot, Fault::new(format!("not valid YAML: {msg}"))),
        },
        Error::AliasError { error, .. } => in_words(error, spot, lines),
        Error::Budget { breach, .. } => (spot, over_budget(breach)),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (spot, too_many_copies()),
        Error::UnknownAnchor { .. } => {
            let help =
                "put a text that starts with `*` in quotes; an alias needs its anchor (`&name`) before it";
            (spot, Fault::new("this alias refers to an anchor that does not exist").help(help))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (spot, Fault::new("this alias stands inside its own anchor").help("write the value out"))
        }
        Error::UnsupportedTag { .. } => {
            let spot = tag_before(spot, lines);
            let help = "remove the tag; put a text that starts with `!` in quotes";
            (spot, Fault::new("a manifest has no YAML tags of its own").help(help))
        }
        other => {
            let text = other.to_string();
            let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
            (spot, Fault::new(format!("not valid YAML: {message}")))
        }
    }
}

/// Faults of syntax. Those that people make often get their own words, the others the parser's.
fn syntax(error: &ScanError, spot: Spot, lines: &LineIndex<'_>) -> (Spot, Fault) {
    let yaml = |message: &str, help: &str| Fault::new(format!("not valid YAML: {message}")).help(help);
    let fault = match error.kind() {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabInPlainScalar => {
            return (first_tab(spot, lines), yaml("a tab in the indentation", "indent with spaces"));
        }
        Kind::UnexpectedCharacter { character } if character.is_control() => {
            let message = format!("the control character U+{:04X}", u32::from(*character));
            yaml(&message, "remove it; is this a text file?")
        }
        Kind::UnexpectedCharacter { character } => {
            yaml(&format!("a value cannot start with `{character}`"), "put the value in quotes")
        }
        Kind::MappingValueNotAllowed => yaml(
            "a `:` where no field can start",
            "align the line with its neighbours, end the name in the line above with `:`, or put a value that contains \
             `: ` in quotes",
        ),
        Kind::InvalidColonPlacement => yaml("a `:` inside a list", "close the `[` that is still open"),
        Kind::UnclosedQuotedScalar => yaml("a quote that is never closed", "close the quote"),
        Kind::UnclosedFlowCollection { open } => {
            yaml(&format!("a `{open}` that is never closed"), "close the bracket")
        }
        Kind::MisplacedFlowCollectionEnd => {
            yaml("a closing bracket without an opening one", "remove it, or put the value in quotes")
        }
        Kind::UnknownQuotedScalarEscape => {
            yaml("an unknown escape in a text", "write `\\\\` for a backslash, or use single quotes")
        }
        Kind::ExpectedBlockMappingKey => {
            yaml("expected a field here", "align the line with its neighbours, and end its name with `:`")
        }
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => {
            yaml("text behind a closing quote", "put the whole value in quotes")
        }
        Kind::RecursionLimitExceeded => too_deep(),
        other => Fault::new(format!("not valid YAML: {other}")),
    };
    (spot, fault)
}

/// The first line from here on that is indented by a tab, at that tab.
fn first_tab(spot: Spot, lines: &LineIndex<'_>) -> Spot {
    let from = (spot.line as usize).saturating_sub(1);
    (from..lines.count().min(from + 1_000))
        .find_map(|line| {
            let text = lines.get(line);
            let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
            let column = text[..indent].find('\t')?;
            Some(Spot::new(line + 1, column + 1, indent - column))
        })
        .unwrap_or(spot)
}

/// The reader points behind a tag; a person wants to see the tag.
fn tag_before(spot: Spot, lines: &LineIndex<'_>) -> Spot {
    let line: Vec<char> = lines.get(spot.line as usize - 1).chars().take(spot.column as usize).collect();
    let Some(start) = line.iter().rposition(|c| *c == '!') else { return spot };
    let end = line[start..].iter().position(|c| c.is_whitespace()).map_or(line.len(), |n| start + n);
    Spot::new(spot.line, start + 1, end - start)
}

fn over_budget(breach: &BudgetBreach) -> Fault {
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => too_many_copies(),
        _ => Fault::new(format!("too much in one document: at most {MOST_NODES} values and 4 MiB of text"))
            .help("split it; aliases count as often as they are used"),
    }
}

fn too_deep() -> Fault {
    Fault::new(format!("nested too deeply: at most {DEEPEST} levels"))
        .help("close the brackets; a manifest needs eleven levels")
}

fn too_many_copies() -> Fault {
    Fault::new("too many anchors and aliases").help("write the values out")
}
