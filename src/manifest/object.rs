//! From the text of one manifest to its objects.

use std::{collections::BTreeMap, path::Path};

use super::{
    check::{self, Slot, disk},
    digest,
    grammar::{PROJECT, Shape, formats},
    read::{LARGEST, Text},
    report::{Excerpted, Fault, LineIndex, ManifestError, Report, Spot, short},
    syntax::{self, Node, Value},
};
use crate::api::{API_VERSION, ComposeProject, Desired, KIND};
use crate::nearest::nearest;

static OBJECT: Shape = Shape::Record(&PROJECT);

/// The name of an object, right or not, with its place.
pub(super) struct NameAt {
    pub(super) name: String,
    pub(super) place: Excerpted,
}

/// Where the credentials of a route are named: `passwordFrom`, `bearerFrom`.
pub(super) struct CredentialsAt {
    /// The object's place in what is loaded.
    pub(super) object: usize,
    /// The service's place in the object.
    pub(super) service: usize,
    /// The route's place in the service.
    pub(super) route: usize,
    pub(super) place: Excerpted,
}

/// What is in one manifest.
pub(super) struct Parsed {
    pub(super) desired: Vec<Desired>,
    pub(super) credentials: Vec<CredentialsAt>,
    pub(super) errors: Vec<ManifestError>,
    pub(super) names: Vec<NameAt>,
}

/// The text of a file that is UTF-8, without a byte order mark.
pub(super) fn decode(text: &Text) -> Result<&str, ManifestError> {
    let utf16 = text.bytes.starts_with(&[0xFF, 0xFE]) || text.bytes.starts_with(&[0xFE, 0xFF]);
    if utf16 {
        let help = "save the file as UTF-8";
        return Err(ManifestError::of_file(&text.origin, "this file is UTF-16, not UTF-8", Some(help)));
    }
    std::str::from_utf8(&text.bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(&text.bytes);
        let before = String::from_utf8_lossy(&text.bytes[..error.valid_up_to()]);
        let lines = LineIndex::new(&before);
        let column = lines.get(lines.count() - 1).chars().count() + 1;
        let spot = Spot::new(lines.count(), column, 1);
        let byte = text.bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let fault =
            Fault::new(format!("the byte 0x{byte:02X} here is not UTF-8")).help("save the file as UTF-8");
        Report::new(&text.origin, &shown).place(spot).error(fault)
    })
}

/// Reads all objects of a manifest.
pub(super) fn parse(text: &str, origin: &str, base: &Path) -> Parsed {
    let mut parsed =
        Parsed { desired: Vec::new(), credentials: Vec::new(), errors: Vec::new(), names: Vec::new() };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.len() as u64 > LARGEST {
        parsed.errors.push(ManifestError::of_file(origin, "a manifest has at most 1 MiB", None));
        return parsed;
    }
    let base = &std::path::absolute(base).unwrap_or_else(|_| base.into());
    let mut report = Report::new(origin, text);
    let documents = syntax::documents(report.lines());
    let nothing = documents.roots.is_empty() && documents.faults.is_empty();
    for (spot, fault) in documents.faults {
        report.add(spot, fault);
    }
    if nothing {
        let fault = Fault::new("this file holds no object");
        report.add(Spot::START, fault.help(format!("start it with `apiVersion: {API_VERSION}`")));
    }
    for root in &documents.roots {
        parsed.names.extend(name(root, &report));
        if let Some(desired) = object(root, origin, base, &mut report) {
            parsed.credentials.extend(credentials(parsed.desired.len(), root, &report));
            parsed.desired.push(desired);
        }
    }
    parsed.errors = report.finish();
    parsed
}

fn name(root: &Node, report: &Report<'_>) -> Option<NameAt> {
    let node = root.get("metadata")?.get("name")?;
    let name = node.text().filter(|name| (formats::OBJECT_NAME.check)(name).is_ok())?;
    Some(NameAt { name: name.to_owned(), place: report.place(node.spot) })
}

/// One document: checked, and where nothing is wrong with it, as a typed object.
fn object(root: &Node, origin: &str, base: &Path, report: &mut Report<'_>) -> Option<Desired> {
    let before = report.len();
    if let Some((spot, fault)) = foreign(root) {
        report.add(spot, fault);
        return None;
    }
    if !matches!(root.value, Value::Map(_)) {
        let fault = Fault::new("this document is not a mapping of fields to values");
        report.add(root.visible(), fault.help(format!("start it with `apiVersion: {API_VERSION}`")));
        return None;
    }
    let slot = Slot { name: "a document", key: root.visible(), optional: false, node: root };
    check::check(&OBJECT, slot, report);
    let directory = disk::check(root, base, report);
    if report.len() > before {
        return None;
    }
    match serde_json::from_value::<ComposeProject>(root.to_json()) {
        Ok(object) => {
            let directory = directory?;
            let spec_digest = digest::of(&object.spec, &directory, base);
            Some(Desired {
                spec_digest,
                superseded_by: None,
                expanded: None,
                variables: BTreeMap::new(),
                directory,
                service_positions: service_positions(root),
                manifest: origin.into(),
                manifest_directory: base.into(),
                object,
            })
        }
        // Not reachable as long as the declaration and the types agree; if they do not, this says so.
        Err(error) => {
            report.add(root.visible(), Fault::new(format!("this object was not understood: {error}")));
            None
        }
    }
}

/// Where an object names credentials.
fn credentials(object: usize, root: &Node, report: &Report<'_>) -> Vec<CredentialsAt> {
    let services = services(root).iter().enumerate();
    let routes = services.flat_map(|(service, node)| {
        node.items_of("routes").iter().enumerate().map(move |(route, node)| (service, route, node))
    });
    let found = routes.filter_map(|(service, route, node)| {
        let auth = node.get("auth")?;
        let of_basic = auth.get("basic").and_then(|basic| basic.entry("passwordFrom"));
        let (key, _) = of_basic.or_else(|| auth.entry("bearerFrom"))?;
        Some(CredentialsAt { object, service, route, place: report.place(key.spot) })
    });
    found.collect()
}

fn services(root: &Node) -> &[Node] {
    root.get("spec").map(|spec| spec.items_of("services")).unwrap_or_default()
}

fn service_positions(root: &Node) -> Vec<(u64, u64)> {
    let spots =
        services(root).iter().map(|service| service.get("name").map_or(service.spot, |name| name.spot));
    spots.map(|spot| (spot.line.into(), spot.column.into())).collect()
}

/// A document that is something else altogether: one error says more than one for each of its fields.
fn foreign(root: &Node) -> Option<(Spot, Fault)> {
    let Value::Map(entries) = &root.value else { return None };
    let write = format!("write `apiVersion: {API_VERSION}` and `kind: {KIND}`");
    let (version, kind) = (root.get("apiVersion"), root.get("kind"));
    if version.is_none() && kind.is_none() && root.get("spec").is_none() && root.get("metadata").is_none() {
        let compose = root.get("services").is_some_and(|node| matches!(node.value, Value::Map(_)));
        let fault = if compose {
            let help = "write a manifest whose `spec.project.directory` is the folder of this file";
            Fault::new("this is a Compose file, not a manifest").help(help)
        } else {
            Fault::new("this is not a manifest").help(write.clone())
        };
        // An empty mapping, and one whose fields may be misspelt, get the errors of each field.
        let misspelt = entries
            .iter()
            .take(20)
            .filter_map(|(key, _)| key.name.as_deref())
            .any(|name| nearest(name, PROJECT.fields.iter().map(|field| field.name)).is_some());
        return (!misspelt && !entries.is_empty()).then(|| (root.visible(), fault));
    }
    let version = version.filter(|node| node.text().is_some_and(|text| !text.contains("undrift")))?;
    let kind = kind?.text().filter(|kind| nearest(kind, [KIND]).is_none())?;
    Some((
        version.spot,
        Fault::new(format!("this is a `{}` of another tool, not a manifest", short(kind))).help(write),
    ))
}
