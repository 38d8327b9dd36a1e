//! How a container is stopped: the signal, and the grace period after it.

use bollard::query_parameters::InspectContainerOptions;

use super::{Engine, EngineError, request::EngineRequest};
use crate::interference::compose_down::Stop;

/// The stop signal for a container that sets none, or one that the engine does not know.
const TERM: u8 = 15;

/// The engine's names of the signals from 1 on, as Linux counts them on all but a few architectures.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The number of a signal that is written as a number, `SIGTERM`, `TERM`, `SIGRTMIN+3` or `RTMAX-1`.
fn number(signal: &str) -> Option<u8> {
    let upper = signal.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let beside = |name: &str, first: i16| {
        let away: i16 = if name.is_empty() { 0 } else { name.parse().ok()? };
        u8::try_from(first.checked_add(away)?).ok()
    };
    if let Some(above) = name.strip_prefix("RTMIN") {
        return beside(above, 34);
    }
    if let Some(below) = name.strip_prefix("RTMAX") {
        return beside(below, 64);
    }
    let named = || NAMES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at + 1).ok());
    name.parse().ok().or_else(named).filter(|number| *number > 0)
}

impl Engine {
    /// How a container is stopped, with its ID; `None` if it is gone.
    pub(super) async fn stop_of(&self, id: &str) -> Result<Option<(String, Stop)>, EngineError> {
        const USUAL: i64 = 10;
        let request = EngineRequest::container(id);
        let details = self
            .ask(&request, async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await)
            .await;
        let config = match details {
            Ok(details) => request.required("Config", details.config)?,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let signal = config.stop_signal.as_deref().and_then(number).unwrap_or(TERM);
        Ok(Some((id.to_owned(), Stop { signal, grace: config.stop_timeout.unwrap_or(USUAL) })))
    }

    /// A container's grace period for stopping, in seconds; 0 if it is gone.
    pub(super) async fn stop_grace(&self, id: &str) -> Result<i64, EngineError> {
        Ok(self.stop_of(id).await?.map_or(0, |(_, stop)| stop.grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interference::compose_down::KILL;

    #[test]
    fn a_signal_is_read_in_each_of_its_spellings() {
        for (spellings, expected) in [
            (&["SIGTERM", "TERM", "sigterm", "15"][..], Some(TERM)),
            (&["SIGKILL", "9"], Some(KILL)),
            (&["SIGUSR1", "10"], Some(10)),
            (&["SIGWINCH", "WINCH"], Some(28)),
            (&["SYS"], Some(31)),
            (&["SIGRTMIN+3", "RTMIN+3", "37"], Some(37)),
            (&["RTMIN"], Some(34)),
            (&["SIGRTMAX-14"], Some(50)),
            (&["", "0", "SIG", "SIGNONE", "RTMIN+x", "RTMAX-99", "-1"], None),
        ] {
            for signal in spellings {
                assert_eq!(number(signal), expected, "{signal}");
            }
        }
    }
}
