use super::*;

fn event(json: &str) -> Option<Change> {
    named(&serde_json::from_str(json).unwrap())
}

fn container(action: &str, labels: &str) -> Option<Change> {
    event(&format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"1","Attributes":{{"name":"x"{labels}}}}}}}"#
    ))
}

const OF_P: &str = r#","com.docker.compose.project":"p""#;

#[test]
fn what_a_look_can_see_names_the_project() {
    for action in CONTAINER_ACTIONS.into_iter().chain(["health_status: healthy", "health_status: unhealthy"])
    {
        assert_eq!(container(action, OF_P), Some(Change::Project("p".into())), "{action}");
    }
}

#[test]
fn events_of_reads_and_of_undrifts_own_containers_name_no_project() {
    let read = [
        "exec_create: true",
        "exec_start: true",
        "exec_die",
        "exec_detach",
        "attach",
        "detach",
        "top",
        "archive-path",
        "extract-to-dir",
        "copy",
        "export",
        "resize",
        "commit",
        "kill",
        "unheard-of",
    ];
    for action in read {
        assert_eq!(container(action, OF_P), None, "{action}");
    }
    assert_eq!(container("create", ""), None, "of no project");
    assert_eq!(container("create", r#","com.docker.compose.project":"""#), None);
    assert_eq!(container("create", &format!(r#"{OF_P},"{LOOKUP_LABEL}":"host 1 2""#)), None);
    assert_eq!(container("create", &format!(r#"{OF_P},"{ONE_OFF}":"True""#)), None);
    assert_eq!(
        container("create", &format!(r#"{OF_P},"{ONE_OFF}":"False""#)),
        Some(Change::Project("p".into()))
    );
    for other in ["volume", "network", "daemon", "plugin", "builder"] {
        let json =
            format!(r#"{{"Type":"{other}","Action":"create","Actor":{{"ID":"1","Attributes":{{}}}}}}"#);
        assert_eq!(event(&json), None, "{other}");
    }
    for empty in ["{}", r#"{"Type":"container"}"#, r#"{"Type":"image","Action":"tag"}"#] {
        assert_eq!(event(empty), None, "{empty}");
    }
}

#[test]
fn images_are_named_by_their_reference_where_the_event_has_it() {
    let image = |action: &str, id: &str, name: &str| {
        event(&format!(
            r#"{{"Type":"image","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"name":"{name}"}}}}}}"#
        ))
    };
    let named = |image: &str| Some(Change::Image(image.into()));
    assert_eq!(image("tag", "sha256:1", "a/b:1"), named("a/b:1"));
    assert_eq!(image("tag", "sha256:1", "host:5000/a:1"), named("host:5000/a:1"));
    assert_eq!(image("pull", "host:5000/a:1", "host:5000/a"), named("host:5000/a:1"));
    for action in ["untag", "delete", "load", "import"] {
        assert_eq!(image(action, "sha256:1", "sha256:1"), named("sha256:1"), "{action}");
    }
    assert_eq!(image("tag", "sha256:1", "undrift-keep/p/s:previous"), None, "undrift's own");
    assert_eq!(image("save", "sha256:1", "sha256:1"), None);
    assert_eq!(image("push", "a:1", "a"), None);
}

#[test]
fn pauses_grow_to_their_cap_and_never_end() {
    let pauses: Vec<Duration> = pauses().take(1_000).collect();
    assert_eq!(pauses[0], SHORTEST_PAUSE);
    assert!(pauses.is_sorted() && pauses[10..].iter().all(|pause| *pause == LONGEST_PAUSE), "{pauses:?}");
}

#[test]
fn events_are_asked_for_from_a_moment_on() {
    let options = options(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
    assert_eq!(options.since.as_deref(), Some("1.500000000"));
}
