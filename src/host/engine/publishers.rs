//! Which running containers, of any project, have published which ports of the engine's host.

use std::net::IpAddr;

use bollard::{
    models::{ContainerSummary, PortSummary, PortSummaryTypeEnum},
    query_parameters::ListContainersOptionsBuilder,
};

use super::{
    Engine, EngineError,
    containers::{ONE_OFF, PROJECT, SERVICE, bare},
    request::EngineRequest,
};
use crate::host::probe::Transport;

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Publisher {
    pub(in crate::host) name: String,
    /// The Compose project and the service that it is a replica of; `None` for any other container, one-off ones too.
    pub(in crate::host) of: Option<(String, String)>,
    pub(in crate::host) ports: Vec<PublishedPort>,
}

/// A port of the engine's host that leads into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct PublishedPort {
    pub(in crate::host) transport: Transport,
    /// The host's address; `None` for any.
    pub(in crate::host) host: Option<IpAddr>,
    pub(in crate::host) port: u16,
}

impl Engine {
    /// All running containers, with the ports that they have published.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(in crate::host) async fn publishers(&self) -> Result<Vec<Publisher>, EngineError> {
        let request = EngineRequest::containers();
        let options = ListContainersOptionsBuilder::default().build();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        list.into_iter().map(|summary| publisher(&request, summary)).collect()
    }

    /// Whether the sockets that this process sees are those of the engine's host: not those of another host, nor those of a
    /// container that undrift itself runs in.
    pub(in crate::host) async fn shares_its_network(&self) -> bool {
        if !self.is_on_this_host() {
            return false;
        }
        for id in self.own_container.candidates() {
            match self.container(id).await {
                Ok(None) => {}
                Ok(Some(own)) if own.network.is_the_hosts() => {}
                Ok(Some(_)) | Err(_) => return false,
            }
        }
        true
    }
}

fn publisher(request: &EngineRequest, summary: ContainerSummary) -> Result<Publisher, EngineError> {
    let name = summary.names.unwrap_or_default().first().map(|name| bare(name));
    // A container that was created without labels, from an image without a configuration, has none (null).
    let mut labels = summary.labels.unwrap_or_default();
    let is_one_off = labels.remove(ONE_OFF).is_some_and(|value| value == "True");
    let of = labels.remove(PROJECT).zip(labels.remove(SERVICE)).filter(|_| !is_one_off);
    let ports = request.required("Ports", summary.ports)?;
    Ok(Publisher {
        name: request.required_text("Names", name)?,
        of,
        ports: ports.iter().filter_map(published).collect(),
    })
}

/// `None` for a port that is only exposed.
fn published(port: &PortSummary) -> Option<PublishedPort> {
    let transport = match port.typ? {
        PortSummaryTypeEnum::TCP => Transport::Tcp,
        PortSummaryTypeEnum::UDP => Transport::Udp,
        PortSummaryTypeEnum::SCTP | PortSummaryTypeEnum::EMPTY => return None,
    };
    let host = port.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let host = host.filter(|host| !host.is_unspecified());
    Some(PublishedPort { transport, host, port: port.public_port? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_published_is_read_and_what_is_exposed_is_not() {
        let read =
            |summary| publisher(&EngineRequest::containers(), serde_json::from_value(summary).unwrap());
        let listed = json!({"Names": ["/web"], "Labels": {PROJECT: "shop", SERVICE: "web", ONE_OFF: "False"}, "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ]});
        let web = read(listed.clone()).unwrap();
        let any = PublishedPort { transport: Transport::Tcp, host: None, port: 8080 };
        let local =
            PublishedPort { transport: Transport::Udp, host: Some("127.0.0.1".parse().unwrap()), port: 5353 };
        assert_eq!((web.ports, web.of), (vec![any, any, local], Some(("shop".into(), "web".into()))));
        let mut one_off = listed.clone();
        one_off["Labels"][ONE_OFF] = "True".into();
        assert_eq!(read(one_off).unwrap().of, None);
        let mut bare = listed.clone();
        bare["Labels"] = serde_json::Value::Null;
        assert_eq!(read(bare).unwrap().of, None);
        let mut cut_off = listed;
        cut_off.as_object_mut().unwrap().remove("Ports");
        assert!(read(cut_off).is_err());
    }
}
