use super::*;
use crate::doctor::Status;

fn words(text: &str) -> ToolOutput {
    ToolOutput::Words(text.into())
}

fn refused() -> ToolOutput {
    ToolOutput::Refused("docker: unknown command".into())
}

fn of(compose: ToolOutput, standalone: Option<ToolOutput>, buildx: ToolOutput) -> (Check, Check) {
    let [compose, buildx]: [Check; 2] = judge(&Tools { compose, standalone, buildx }).try_into().unwrap();
    (compose, buildx)
}

#[test]
fn compose_is_there_is_missing_or_is_of_yesterday() {
    let (compose, _) = of(words("2.26.1-4"), None, words("buildx 0.13.1"));
    assert_eq!((compose.status, compose.found.as_str()), (Status::Ok, "Compose 2.26.1-4"));
    for (output, standalone, part) in [
        (refused(), Some(ToolOutput::NoProgram), "not a command here"),
        (refused(), Some(words("1.29.2")), "only docker-compose 1.29.2"),
        (ToolOutput::NoProgram, Some(ToolOutput::NoProgram), "no docker CLI"),
        (words("1.29.2"), None, "version 2 or later"),
    ] {
        let (compose, _) = of(output, standalone, ToolOutput::NoProgram);
        assert_eq!(compose.status, Status::Failed, "{compose:?}");
        assert!(compose.found.contains(part), "{compose:?}");
        assert!(compose.help.is_some_and(|help| help.contains("apt-get install")));
    }
    let not_run =
        ToolOutput::NotRun { why: "/x/config.json is a named pipe".into(), next: Some("remove it".into()) };
    let (compose, buildx) = of(not_run.clone(), Some(ToolOutput::NoProgram), not_run);
    for check in [compose, buildx] {
        assert_eq!((check.status, check.help.as_deref()), (Status::Failed, Some("remove it")), "{check:?}");
        assert!(check.found.contains("/x/config.json is a named pipe"), "{check:?}");
    }
    for output in [ToolOutput::Silent("it hangs".into()), words("dev")] {
        assert_eq!(of(output, None, words("0.13.1")).0.status, Status::Unknown);
    }
}

#[test]
fn how_much_of_buildx_is_needed_depends_on_compose() {
    for (compose, buildx, status) in [
        ("2.26.1", words("github.com/docker/buildx 0.13.1+ds1"), Status::Ok),
        ("2.40.1", words("github.com/docker/buildx v0.16.2 x"), Status::Ok),
        ("2.40.2", words("github.com/docker/buildx v0.16.2 x"), Status::Failed),
        ("2.40.2", words("github.com/docker/buildx v0.17.0 x"), Status::Ok),
        ("5.0.0", words("github.com/docker/buildx v0.30.0 x"), Status::Ok),
        ("2.26.1", refused(), Status::Warning),
        ("2.37.0", refused(), Status::Warning),
        ("5.0.0", refused(), Status::Failed),
        ("5.0.0", words("built by hand"), Status::Unknown),
        ("5.0.0", ToolOutput::Silent("it hangs".into()), Status::Unknown),
    ] {
        let (_, check) = of(words(compose), None, buildx);
        assert_eq!(check.status, status, "Compose {compose}: {check:?}");
        assert_eq!(check.help.is_some(), matches!(status, Status::Warning | Status::Failed), "{check:?}");
    }
    let (_, check) = of(ToolOutput::NoProgram, Some(ToolOutput::NoProgram), ToolOutput::NoProgram);
    assert_eq!(check.status, Status::Unknown, "{check:?}");
    let (_, check) = of(words("2.37.0"), None, refused());
    assert!(check.found.contains("by default"), "{check:?}");
}
