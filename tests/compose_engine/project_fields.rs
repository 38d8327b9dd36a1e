//! What `spec.project` says is what Compose is run with.

use super::*;

/// Two Compose files beside the one that Compose would find by itself, which has none of their services.
fn project() -> Project {
    let project = Project::with_image("fields", "services: {}\n");
    let image = project.image.clone().unwrap();
    let base = format!(
        "name: {}\nservices:\n  api:\n    image: {image}\n    {SLEEP}\n    \
         environment: {{BOTH: '${{UNDRIFT_BOTH}}', ONE: '${{UNDRIFT_ONE}}'}}\n  \
         debug:\n    image: {image}\n    {SLEEP}\n    profiles: [debug]\n  \
         other:\n    image: {image}\n    {SLEEP}\n    profiles: [other]\n",
        project.name
    );
    project.write("base.yaml", &base);
    project.write("production.yaml", "services: {api: {labels: {from: production}}}\n");
    project.write("one.env", "UNDRIFT_BOTH=one\nUNDRIFT_ONE=one\n");
    project.write("two.env", "UNDRIFT_BOTH=two\n");
    project
}

#[tokio::test]
async fn files_env_files_and_profiles_reach_compose_when_it_is_asked_and_when_it_acts() {
    let project = project();
    let mut desired = project.desired(&["api", "debug"]);
    let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    desired.object.spec.project = ProjectRef {
        files: of(&["base.yaml", "production.yaml"]),
        profiles: of(&["debug"]),
        env_files: of(&["one.env", "two.env"]),
        take_over: false,
        ..desired.object.spec.project
    };
    let resolved = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap();
    assert_eq!(resolved.hashes.keys().collect::<Vec<_>>(), ["api", "debug"], "`other` is in no such profile");

    up(&desired, &["api", "debug"]).await;
    let format = "{{.State.Running}} {{index .Config.Labels \"from\"}} {{json .Config.Env}}";
    let is = |service: &str| docker(&["inspect", "-f", format, &format!("{}-{service}-1", project.name)]);
    let api = is("api");
    assert!(api.starts_with("true production ") && api.contains("\"ONE=one\""), "{api}");
    assert!(api.contains("\"BOTH=two\""), "the later file wins: {api}");
    assert!(is("debug").starts_with("true "), "a service of the profile runs");
    let services = ["api".to_owned(), "debug".to_owned()];
    let would = would_recreate(&desired, &endpoint(), &resolved, &services).await;
    assert_eq!(
        would.recreated(),
        Fact::Known(BTreeSet::new()),
        "looked at with the same fields, nothing differs"
    );

    desired.object.spec.project.profiles.clear();
    let error = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap_err();
    assert!(matches!(error, HostError::NoSuchService { .. }), "{error}");
}
