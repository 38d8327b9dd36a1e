//! The ports that an image exposes.

use std::collections::BTreeSet;

use bollard::models::{ImageConfig, ImageInspect};

use super::{Engine, EngineError, request::EngineRequest};
use crate::host::Cache;

/// The cache's space. An image's ID determines its configuration, so entries stay valid.
const SPACE: &str = "exposed";

impl Engine {
    /// The TCP ports that an image exposes (`EXPOSE`), by its ID.
    ///
    /// # Errors
    /// If the engine does not answer, or has no such image.
    pub async fn exposed_ports(&self, image: &str, cache: &dyn Cache) -> Result<BTreeSet<u16>, EngineError> {
        if let Some(known) = cache.get(SPACE, image) {
            return Ok(tcp_ports(known.split_whitespace()));
        }
        let request = EngineRequest::image(image);
        let found = self.ask(&request, async |docker| docker.inspect_image(image).await).await?;
        let ports = config(&request, found)?.exposed_ports.unwrap_or_default();
        cache.put(SPACE, image, &ports.join(" "));
        Ok(tcp_ports(ports.iter().map(String::as_str)))
    }
}

/// The configuration of an image. One that was not built from a Dockerfile may have none (null, up to engine 27), which counts
/// as empty.
pub(super) fn config(request: &EngineRequest, found: ImageInspect) -> Result<ImageConfig, EngineError> {
    request.required_text("Id", found.id)?;
    Ok(found.config.unwrap_or_default())
}

/// The TCP ports of a list such as `80/tcp`, `53/udp`, `3000`, `8000-8010`.
pub(in crate::host) fn tcp_ports<'a>(ports: impl IntoIterator<Item = &'a str>) -> BTreeSet<u16> {
    let ports = ports.into_iter().filter_map(|port| {
        let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        protocol.eq_ignore_ascii_case("tcp").then_some(bounds)
    });
    ports.flat_map(|(first, last)| first..=last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_configuration_has_an_empty_one_and_an_answer_without_an_image_has_none() {
        let read = |json| config(&EngineRequest::image("i"), serde_json::from_value(json).unwrap());
        let whole = read(serde_json::json!({"Id": "sha256:1", "Config": {"Env": ["A=b"]}})).unwrap();
        assert_eq!(whole.env, Some(vec!["A=b".to_owned()]));
        assert_eq!(
            read(serde_json::json!({"Id": "sha256:1", "Config": null})).unwrap(),
            ImageConfig::default()
        );
        assert!(matches!(read(serde_json::json!({})), Err(EngineError::Incomplete { .. })));
    }

    #[test]
    fn ports_are_read_in_every_form_and_only_those_of_tcp() {
        let ports = tcp_ports(["80/tcp", "53/udp", "3000", "8000-8002", "9000-9001/TCP", "x", "", "70000"]);
        assert_eq!(ports, BTreeSet::from([80, 3000, 8000, 8001, 8002, 9000, 9001]));
    }
}
