//! Two networks of one name.
//!
//! Two `up` at once on a fresh project both create its network: the engine looks for the name and then creates, and two
//! concurrent requests both pass that check (20.10: 10 of 10 tries). From then on nothing starts any more: `up`, and `restart`
//! too, end with "network NAME is ambiguous (2 matches found on name)".
//!
//! A container that ever ran refers to its network by ID. Without that very network it never starts again ("network ID not
//! found"), even if another one has the name: so a network of a stopped container is in use.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::Network,
    query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder},
};

use super::{
    Engine, EngineError,
    containers::{PROJECT, time},
    request::EngineRequest,
};
use crate::api::Time;

/// Compose's label for the key of a network in the Compose files.
pub(super) const NETWORK: &str = "com.docker.compose.network";

/// A network of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NetworkRow {
    id: String,
    name: String,
    created: Option<Time>,
    /// Whether any container, stopped ones too, refers to it.
    in_use: bool,
}

impl Engine {
    /// Leaves a project one network of each name, so that `up` finds exactly one: removes by ID those of several that no
    /// container uses. Returns its actions, in words for the trail.
    ///
    /// Never touches a network of another project, one without Compose's labels, or one that a container uses.
    ///
    /// # Errors
    /// If the engine does not answer, or refuses. Earlier removals remain.
    pub async fn remove_doubled_networks(&self, project: &str) -> Result<Vec<String>, EngineError> {
        let mut rows = doubled(self.networks(project).await?);
        for row in &mut rows {
            row.in_use = self.is_in_use(&row.id).await?;
        }
        let mut notes = Vec::new();
        for row in superfluous(&rows) {
            if self.remove_unused_network(&row.id).await? {
                let digits = row.id.get(..12).unwrap_or(&row.id);
                notes.push(format!("removed network {digits}, one of several named {}, unused", row.name));
            }
        }
        Ok(notes)
    }

    async fn networks(&self, project: &str) -> Result<Vec<NetworkRow>, EngineError> {
        let labels = vec![format!("{PROJECT}={project}"), NETWORK.to_owned()];
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let request = EngineRequest::networks();
        let list = self.ask(&request, async |docker| docker.list_networks(Some(options)).await).await?;
        list.into_iter().map(|network| row(&request, network)).collect()
    }

    /// The engine's own list of a network's containers has only running ones.
    async fn is_in_use(&self, network: &str) -> Result<bool, EngineError> {
        let filters = HashMap::from([("network".to_owned(), vec![network.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let request = EngineRequest::containers();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        Ok(!list.is_empty())
    }

    /// The engine refuses to remove a network that a container has joined in between.
    async fn remove_unused_network(&self, id: &str) -> Result<bool, EngineError> {
        match self.call(async |docker| docker.remove_network(id).await).await {
            Ok(()) => Ok(true),
            Err(EngineError::NotFound(_) | EngineError::Refused { status: 403 | 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn row(request: &EngineRequest, network: Network) -> Result<NetworkRow, EngineError> {
    let created = request.required("Created", network.created)?;
    Ok(NetworkRow {
        id: request.required_text("Id", network.id)?,
        name: request.required_text("Name", network.name)?,
        created: time(&created),
        in_use: false,
    })
}

/// The networks that share their name with another one.
fn doubled(rows: Vec<NetworkRow>) -> Vec<NetworkRow> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *count.entry(row.name.clone()).or_default() += 1;
    }
    rows.into_iter().filter(|row| count.get(&row.name).is_some_and(|count| *count > 1)).collect()
}

/// The removable ones of several with one name: all that are not in use; if none is in use, all but the oldest.
fn superfluous(rows: &[NetworkRow]) -> Vec<&NetworkRow> {
    let kept = |row: &&NetworkRow| {
        let same = || rows.iter().filter(|other| other.name == row.name);
        let oldest = same().min_by_key(|other| (other.created, &other.id));
        row.in_use || (!same().any(|other| other.in_use) && oldest == Some(row))
    };
    rows.iter().filter(|row| !kept(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, name: &str, created: i64, in_use: bool) -> NetworkRow {
        let created = chrono::DateTime::from_timestamp(created, 0);
        NetworkRow { id: id.into(), name: name.into(), created, in_use }
    }

    fn goes(rows: &[NetworkRow]) -> Vec<&str> {
        superfluous(rows).into_iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn a_name_that_one_network_has_is_nobodys_business() {
        let rows = vec![row("1", "p_default", 1, false), row("2", "p_back", 2, false)];
        assert_eq!(doubled(rows), []);
    }

    #[test]
    fn the_one_in_use_stays_and_else_the_oldest() {
        assert_eq!(goes(&[row("1", "n", 2, false), row("2", "n", 1, false)]), ["1"]);
        assert_eq!(
            goes(&[row("1", "n", 1, false), row("2", "n", 2, true), row("3", "n", 3, false)]),
            ["1", "3"]
        );
        assert_eq!(goes(&[row("1", "n", 1, true), row("2", "n", 2, true)]), [""; 0], "both are someone's");
        assert_eq!(goes(&[row("2", "n", 1, false), row("1", "n", 1, false)]), ["2"], "the same each time");
    }

    #[test]
    fn each_network_name_is_judged_on_its_own() {
        let rows = [
            row("1", "a", 1, true),
            row("2", "a", 2, false),
            row("3", "b", 1, false),
            row("4", "b", 2, false),
        ];
        assert_eq!(goes(&rows), ["2", "4"]);
    }
}
