//! The digest of what a spec means.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::{ComposeProjectSpec, Desired, SecretSource};

/// The rule by which digests are made. A new rule gets a new version, so that an upgrade is not taken for a change
/// of the spec.
const VERSION: &str = "v1";

/// `v1:sha256:…` of the spec's canonical JSON: defaults and derived names filled in, durations in their plain form,
/// statuses sorted, keys sorted, no spaces; `project.directory` and files of secrets as absolute paths.
///
/// Metadata is not part of it: labels are for people.
pub(super) fn of(spec: &ComposeProjectSpec, directory: &Path, manifest_directory: &Path) -> String {
    let mut spec = spec.clone();
    spec.project.directory = directory.to_string_lossy().into_owned();
    for service in &mut spec.services {
        for module in &mut service.modules {
            module.name = Some(module.display_name().to_owned());
        }
        for route in &mut service.routes {
            route.name = Some(route.written_name().to_owned());
            route.expect.sort_unstable();
            route.absent.sort_unstable();
            if let Some(auth) = &mut route.auth {
                auth.expect.sort_unstable();
                let basic = auth.basic.as_mut().map(|basic| &mut basic.password_from);
                for secret in basic.into_iter().chain(&mut auth.bearer_from) {
                    if let SecretSource::File(file) = secret {
                        *file = manifest_directory.join(&*file).to_string_lossy().into_owned();
                    }
                }
            }
        }
    }
    format!("{VERSION}:sha256:{}", hex::encode(Sha256::digest(canonical(&spec))))
}

/// Whether the digest that an object carries is that of its spec, by the rule of today. One that was kept may have been made by
/// an earlier rule, or have been altered.
pub(crate) fn is_of_its_digest(desired: &Desired) -> bool {
    of(&desired.object.spec, &desired.directory, &desired.manifest_directory) == desired.spec_digest
}

/// Compact JSON with sorted keys: `serde_json`'s own map is sorted, as long as its `preserve_order` is off; a test
/// says so.
fn canonical<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_sorted() {
        #[derive(serde::Serialize)]
        struct Unsorted {
            b: u8,
            a: [u8; 2],
        }
        assert_eq!(super::canonical(&Unsorted { b: 1, a: [2, 3] }), r#"{"a":[2,3],"b":1}"#);
    }
}
