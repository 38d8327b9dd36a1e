//! What the writer of a valid manifest should know.

use super::{
    object::CredentialsAt,
    report::{Excerpted, Fault, ManifestError, Warning},
};
use crate::api::{Auth, Desired, RouteSpec};

/// Objects without a fault.
pub struct Valid {
    /// In order of file name and document; those of standard input last.
    pub objects: Vec<Desired>,
    pub(super) credentials: Vec<CredentialsAt>,
}

impl Valid {
    /// What is to be said of the declared credentials, in order. `is_short` says whether those of an object are too short to be
    /// hidden wherever they are printed; it reads them.
    pub fn warnings(&self, mut is_short: impl FnMut(&Desired, &Auth) -> bool) -> Vec<Warning> {
        let mut found = Vec::new();
        for CredentialsAt { object, service, route, place } in &self.credentials {
            let desired = self.objects.get(*object);
            let route = desired.and_then(|desired| desired.services().get(*service)?.routes.get(*route));
            let Some((desired, auth)) = desired.zip(route.and_then(|route| route.auth.as_ref())) else {
                continue;
            };
            if route.is_some_and(RouteSpec::exposes_credentials) {
                found.push(exposed(place));
            }
            if is_short(desired, auth) {
                found.push(short(place));
            }
        }
        found
    }
}

/// That nothing can be known of an object while a file of its project is as it is.
pub(crate) fn unreadable(desired: &Desired, why: &str) -> Warning {
    let help = "put a file there that Compose can read: until then nothing is known of the object, and no step is taken";
    Warning(ManifestError::of_file(&desired.manifest, format!("{}: {why}", desired.name()), Some(help)))
}

fn exposed(place: &Excerpted) -> Warning {
    let message = "this password or token crosses the network in plain HTTP, for whoever listens there";
    let help =
        "write `https://` in `url`, or add `allowPlainHttp: true` to `auth` where that network is trusted";
    Warning(place.error(Fault::new(message).help(help)))
}

fn short(place: &Excerpted) -> Warning {
    let message = "this password or token has fewer than 8 characters: where a build or a container prints it, it is hidden only \
                   where it stands as a whole value";
    Warning(place.error(Fault::new(message).help("take a longer one")))
}

#[cfg(test)]
mod tests {
    use crate::manifest::{ManifestSource, load_for_validation};

    #[test]
    fn short_credentials_are_a_warning_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.yaml");
        let text = "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: shop }\nspec:\n  project: { directory: . }\n  \
                    services:\n    - name: api\n      routes:\n        - { path: /, port: 1, expect: 401 }\n        - path: /a\n          port: 1\n          \
                    expect: 401\n          auth: { basic: { username: ops, passwordFrom: { env: SHORT } }, expect: 200 }\n    - name: web\n      \
                    routes:\n        - { path: /, port: 1, expect: 401, auth: { bearerFrom: { file: long }, expect: 200 } }\n";
        std::fs::write(&path, format!("{text}---\n{}", text.replace("name: shop", "name: bank"))).unwrap();
        let valid = load_for_validation(&[ManifestSource::from(path.as_os_str())]).unwrap();
        let warnings = valid.warnings(|_, auth| auth.basic.is_some());
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 2, "{warnings:#?}");
        assert!(
            warnings[0].starts_with("warning: this password or token has fewer than 8"),
            "{}",
            warnings[0]
        );
        assert!(warnings[0].contains(":13:43\n") && warnings[0].contains("^^^^^^^^^^^^"), "{}", warnings[0]);
        assert!(warnings[1].contains(":30:43\n"), "{}", warnings[1]);
    }
}
