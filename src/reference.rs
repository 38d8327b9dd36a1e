//! Image references; one image has several.

/// A reference as the engine lists it: without the public registry's name, with its tag. Two references to the same image are
/// equal in this form.
pub(crate) fn full(reference: &str) -> String {
    let registries = ["docker.io/", "index.docker.io/"];
    let short = registries.iter().find_map(|registry| reference.strip_prefix(registry)).unwrap_or(reference);
    let short = short.strip_prefix("library/").unwrap_or(short);
    // A colon before the last slash belongs to a registry's port.
    let last = short.rsplit_once('/').map_or(short, |(_, last)| last);
    if last.contains([':', '@']) { short.to_owned() } else { format!("{short}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_mean_the_same_are_equal() {
        for (full_one, same) in [
            ("nginx:latest", &["nginx", "nginx:latest", "library/nginx", "docker.io/nginx"][..]),
            ("nginx:1", &["docker.io/library/nginx:1", "index.docker.io/library/nginx:1", "library/nginx:1"]),
            ("me/app:latest", &["me/app", "docker.io/me/app:latest"]),
            ("host:5000/app:latest", &["host:5000/app"]),
            ("host:5000/library/app:1", &["host:5000/library/app:1"]),
            ("app@sha256:00", &["app@sha256:00", "docker.io/library/app@sha256:00"]),
        ] {
            for one in same {
                assert_eq!(full(one), full_one, "{one}");
            }
        }
    }
}
