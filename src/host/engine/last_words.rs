//! The last output of a container, and how it ended.

use bollard::{
    container::LogOutput,
    models::{ContainerInspectResponse, ContainerState as EngineState},
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder},
};
use futures_util::StreamExt as _;

use super::{Engine, EngineError, containers};
use crate::{
    api::{LastWords, signal_of},
    host::{process::lines::Lines, redact::Redactor},
};

/// The most lines that are kept.
const LINES: usize = 50;

/// The most bytes of them that are kept, from the end.
const BYTES: usize = 8 * 1024;

/// The most bytes that are read for them: a line may be endless.
const READ: usize = 1024 * 1024;

impl Engine {
    /// How a container stands or ended, with its last lines; `None` if it is gone, or the engine does not report it. `known`
    /// yields the known secrets besides those among its own variables, while undrift asks the engine.
    pub(in crate::host) async fn last_words(
        &self,
        service: &str,
        id: &str,
        known: impl Future<Output = Redactor>,
    ) -> Option<LastWords> {
        let details =
            self.call(async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await);
        let (details, lines, known) = tokio::join!(details, self.last_lines(id), known);
        let details = details
            .inspect_err(|error| tracing::debug!(id, %error, "a container's end is not known"))
            .ok()?;
        let variables = details.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
        let variables = variables.iter().filter_map(|entry| entry.split_once('='));
        let redactor = known.with_variables(variables);
        let (output, output_unknown) = match lines {
            Ok(_) if redactor.withheld().is_some() => (Vec::new(), redactor.withheld().map(str::to_owned)),
            // Bounded before, to redact no more than is kept; and after, because stars may be longer than the text that they
            // replace.
            Ok(lines) => (bounded(bounded(lines).iter().map(|line| redactor.line(line)).collect()), None),
            Err(error) => (Vec::new(), Some(redactor.line(&error.to_string()))),
        };
        let end = end(service, details)?;
        let error = end.error.map(|error| redactor.line(&error));
        let container = redactor.own(&end.container);
        Some(LastWords { container, error, output, output_unknown, ..end })
    }

    /// Both streams in their order: they may contain secrets.
    async fn last_lines(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&LINES.to_string()).build();
        let mut lines = Vec::new();
        self.call(async |docker| {
            let mut take = |line: &str| lines.push(line.to_owned());
            let (mut out, mut err, mut read) = (Lines::default(), Lines::default(), 0);
            let mut chunks = std::pin::pin!(docker.logs(id, Some(options)));
            while let Some(chunk) = chunks.next().await {
                let (cutter, bytes) = match chunk? {
                    LogOutput::StdErr { message } => (&mut err, message),
                    LogOutput::StdOut { message }
                    | LogOutput::StdIn { message }
                    | LogOutput::Console { message } => (&mut out, message),
                };
                cutter.push(&bytes, &mut take);
                read += bytes.len();
                if read > READ {
                    out.tear();
                    err.tear();
                    break;
                }
            }
            out.end(&mut take);
            err.end(&mut take);
            Ok(())
        })
        .await?;
        Ok(lines)
    }
}

/// As many of the last lines as fit.
fn bounded(lines: Vec<String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += line.len() + 1;
        bytes <= BYTES
    };
    let kept = lines.iter().rev().take(LINES).take_while(fits).count();
    let mut lines = lines;
    lines.split_off(lines.len() - kept)
}

fn end(service: &str, details: ContainerInspectResponse) -> Option<LastWords> {
    let state: EngineState = details.state?;
    let words = containers::state(&state)?;
    let exit_code = state
        .exit_code
        .filter(|_| containers::has_ended(words) || state.error.as_deref().is_some_and(is_given));
    let time = |text: Option<&String>| text.and_then(|text| containers::time(text));
    Some(LastWords {
        service: service.to_owned(),
        container: containers::bare(&details.name.unwrap_or_default()),
        id: details.id.unwrap_or_default(),
        image_id: details.image.unwrap_or_default(),
        state: words,
        exit_code,
        signal: exit_code.and_then(signal_of),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: details.restart_count.unwrap_or_default(),
        started_at: time(state.started_at.as_ref()),
        finished_at: time(state.finished_at.as_ref()),
        error: state.error.filter(|error| is_given(error)),
        output: Vec::new(),
        output_unknown: None,
    })
}

const fn is_given(error: &str) -> bool {
    !error.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_within_its_limits() {
        let line = |n: usize| format!("line {n} {}", "x".repeat(200));
        let kept = bounded((0..100).map(line).collect());
        assert!(kept.len() < LINES && kept.last() == Some(&line(99)), "{kept:?}");
        assert!(kept.iter().map(|line| line.len() + 1).sum::<usize>() <= BYTES);
        assert_eq!(bounded((0..100).map(|n| n.to_string()).collect()).len(), LINES);
        assert_eq!(bounded(vec!["x".repeat(2 * BYTES)]), Vec::<String>::new());
    }

    #[test]
    fn an_end_is_read_with_code_signal_and_out_of_memory() {
        let details = serde_json::json!({"Id": "0123", "Name": "/shop-api-1", "Image": "sha256:4", "RestartCount": 2,
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "",
                "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:00:05Z"}});
        let end = |details| end("api", serde_json::from_value(details).unwrap());
        assert_eq!(end(serde_json::json!({"Id": "0123"})), None, "nothing is said of it");
        let end = end(details).unwrap();
        assert_eq!(
            (end.exit_code, end.signal, end.oom_killed, end.error.clone()),
            (Some(137), Some(9), true, None)
        );
        assert_eq!((end.container.as_str(), end.restart_count), ("shop-api-1", 2));
        assert!(end.finished_at.unwrap() > end.started_at.unwrap());
    }
}
