use std::fs;

use super::*;

fn resolve(vars: &[(&str, &str)]) -> Result<Endpoint, HostError> {
    Endpoint::resolve(&|name| {
        vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    })
}

fn with_context(folder: &Path, name: &str, host: &str) -> PathBuf {
    let id = hex::encode(Sha256::digest(name.as_bytes()));
    let meta = folder.join("contexts/meta").join(&id);
    fs::create_dir_all(&meta).unwrap();
    let json = serde_json::json!({"Name": name, "Endpoints": {"docker": {"Host": host}}});
    fs::write(meta.join("meta.json"), json.to_string()).unwrap();
    folder.join("contexts/tls").join(id).join("docker")
}

#[test]
fn reads_docker_host() {
    for (host, expected) in [
        ("unix:///run/user/1/docker.sock", "unix:///run/user/1/docker.sock"),
        ("tcp://10.0.0.1:99", "tcp://10.0.0.1:99"),
        ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
        ("tcp://[::1]:2375/", "tcp://[::1]:2375"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://:2380", "tcp://127.0.0.1:2380"),
        ("10.0.0.1:99", "tcp://10.0.0.1:99"),
    ] {
        assert_eq!(resolve(&[("DOCKER_HOST", host)]).unwrap().docker_host(), expected, "{host}");
    }
}

#[test]
fn unsupported_endpoints_are_refused_with_help() {
    for (host, help) in [
        ("ssh://me@host", "own host"),
        ("npipe:////./pipe/docker", "Linux"),
        ("unix://relative", "absolute"),
        ("https://x:1", "TLS"),
        ("tcp://x:1/path", "without a path"),
        ("tcp://x:port", "port"),
        ("fd://3", "write it as"),
    ] {
        let error = resolve(&[("DOCKER_HOST", host)]).unwrap_err();
        assert!(matches!(error, HostError::EngineUnsupported { .. }), "{host}");
        assert!(error.to_string().contains(help), "{error}");
    }
    let tls = [("DOCKER_HOST", "tcp://x:2376"), ("DOCKER_TLS_VERIFY", "1")];
    assert!(resolve(&tls).unwrap_err().to_string().contains("TLS"));
}

#[test]
fn the_password_of_an_address_is_in_no_error() {
    for host in [
        "ops:Hunter2x@far",
        "ops:Hun@Hunter2x@far:2375",
        "tcp://ops:Hunter2x/y@far",
        "ssh://ops:Hunter2x@far",
        "https://ops:Hunter2x@far",
        "odd://ops:Hunter2x@far",
        "unix://ops:Hunter2x@far",
    ] {
        let error = resolve(&[("DOCKER_HOST", host)]).unwrap_err().to_string();
        assert!(error.contains("@far") && !error.contains("Hun"), "{error}");
    }
}

/// `docker info` works with each of these.
#[test]
fn a_configuration_that_the_docker_cli_takes_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().to_str().unwrap();
    for text in ["", "\n", "{}", r#"{"currentContext":null}"#, r#"{"auths":{}} trailing"#, "null"] {
        fs::write(folder.path().join("config.json"), text).unwrap();
        let endpoint = resolve(&[("DOCKER_CONFIG", config)]).unwrap();
        assert_eq!(endpoint, Endpoint::Unix(DEFAULT_SOCKET.into()), "{text}");
    }
}

#[test]
fn a_context_that_cannot_be_used_is_named_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    with_context(folder.path(), "odd", "unix:///run/odd.sock");
    let id = hex::encode(Sha256::digest("odd"));
    let meta = folder.path().join("contexts/meta").join(id).join("meta.json");
    let asked = [("DOCKER_CONFIG", folder.path().to_str().unwrap()), ("DOCKER_CONTEXT", "odd")];
    let assert_named = |resolved: Result<Endpoint, HostError>| {
        let error = resolved.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, HostError::DockerConfigUnusable { .. }), "{text}");
        assert_eq!(text.matches("meta.json").count(), 1, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    };
    // A file truncated by a full disk leads to no other engine.
    for text in
        [r#"{"Endpoints":{"docker":"tcp://ops:hunter2@x"}}"#, "", "null", "{}", r#"{"Endpoints":{}} x"#]
    {
        fs::write(&meta, text).unwrap();
        assert_named(resolve(&asked));
    }
    fs::write(&meta, r#"{"Endpoints":{}}"#).unwrap();
    let error = resolve(&asked).unwrap_err().to_string();
    assert!(error.contains("docker context odd") && error.contains("no docker engine"), "{error}");
    fs::File::create(&meta).unwrap().set_len(LARGEST_TEXT + 1).unwrap();
    assert_named(resolve(&asked));
    fs::remove_file(&meta).unwrap();
    fs::create_dir(&meta).unwrap();
    assert_named(resolve(&asked));
}

#[test]
fn follows_contexts_as_the_docker_cli_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().to_str().unwrap().to_owned();
    let default = Endpoint::Unix(DEFAULT_SOCKET.into());
    assert_eq!(resolve(&[("DOCKER_CONFIG", &config)]).unwrap(), default);

    with_context(folder.path(), "here", "unix:///run/here.sock");
    with_context(folder.path(), "there", "unix:///run/there.sock");
    fs::write(folder.path().join("config.json"), r#"{"currentContext":"here","auths":{}}"#).unwrap();
    let here = Endpoint::Unix("/run/here.sock".into());
    let there = Endpoint::Unix("/run/there.sock".into());
    let vars = [("DOCKER_CONFIG", config.as_str())];
    assert_eq!(resolve(&vars).unwrap(), here);
    assert_eq!(resolve(&[vars[0], ("DOCKER_CONTEXT", "")]).unwrap(), here);
    assert_eq!(resolve(&[vars[0], ("DOCKER_CONTEXT", "there")]).unwrap(), there);
    assert_eq!(resolve(&[vars[0], ("DOCKER_CONTEXT", "default")]).unwrap(), default);
    // DOCKER_HOST is above every context.
    let host = resolve(&[vars[0], ("DOCKER_CONTEXT", "there"), ("DOCKER_HOST", "unix:///h")]).unwrap();
    assert_eq!(host, Endpoint::Unix("/h".into()));
}

#[test]
fn the_source_of_the_engine_address_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().to_str().unwrap().to_owned();
    with_context(folder.path(), "here", "unix:///run/here.sock");
    let origin = |vars: &[(&str, &str)]| {
        let of =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Endpoint::locate(&of).0.to_string()
    };
    let vars = [("DOCKER_CONFIG", config.as_str()), ("DOCKER_CONTEXT", "here"), ("DOCKER_HOST", "ssh://x")];
    assert_eq!(origin(&vars), "from DOCKER_HOST");
    assert_eq!(origin(&vars[..2]), "docker context here, from DOCKER_CONTEXT");
    assert_eq!(origin(&vars[..1]), "the default");
    fs::write(folder.path().join("config.json"), r#"{"currentContext":"here"}"#).unwrap();
    assert_eq!(origin(&vars[..1]), "the current docker context, here");
}

#[test]
fn reads_the_configuration_below_home() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".docker");
    with_context(&folder, "mine", "unix:///run/mine.sock");
    fs::write(folder.join("config.json"), r#"{"currentContext":"mine"}"#).unwrap();
    let found = resolve(&[("HOME", home.path().to_str().unwrap())]).unwrap();
    assert_eq!(found, Endpoint::Unix("/run/mine.sock".into()));
}

#[test]
fn refuses_contexts_that_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().to_str().unwrap().to_owned();
    let with = |name: &str| resolve(&[("DOCKER_CONFIG", &config), ("DOCKER_CONTEXT", name)]);
    assert!(with("gone").unwrap_err().to_string().contains("no such context"));
    let tls = with_context(folder.path(), "tls", "tcp://x:2376");
    fs::create_dir_all(tls).unwrap();
    assert!(with("tls").unwrap_err().to_string().contains("TLS"));
    with_context(folder.path(), "far", "ssh://x");
    assert!(with("far").unwrap_err().to_string().contains("ssh"));
    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(resolve(&[("DOCKER_CONFIG", &config)]).unwrap_err().to_string().contains("config.json"));
}
