//! What holds between the fields of `each`, `content` and `revision`.

use std::collections::HashMap;

use super::{cross_field::exactly_one, shape::Record};
use crate::{
    api::has_place_for_a_name,
    manifest::{
        report::{Fault, Report},
        syntax::Node,
    },
};

/// A module: `each` in place of `name` and `source`; what is compared has a source.
pub(super) fn module(_: &Record, module: &Node, report: &mut Report<'_>) {
    if module.entry("each").is_some() {
        for (field, help) in [
            ("name", "remove `name`: each entry has its own"),
            ("source", "remove `source`: each entry is the source of its module"),
        ] {
            exclude(module, field, "an entry with `each`", help, report);
        }
        needs_place(module, "path", "`/app/dist/modules/{name}`", report);
    } else {
        without_each(module, &["except"], report);
    }
    let is_same = module.text_of("content") == Some("same");
    if let (true, None, None, Some((key, _))) =
        (is_same, module.get("source"), module.get("each"), module.entry("content"))
    {
        let fault = Fault::new("`content: same` needs the `source` that the content is compared with");
        report.add(key.spot, fault.help("add `source: …`, relative to the project directory"));
    }
    if let (false, Some((key, _))) = (is_same, module.entry("ignore")) {
        let fault = Fault::new("`ignore` is for `content: same`, and this module's content is not compared");
        report.add(key.spot, fault.help("add `content: same`, or remove `ignore`"));
    }
}

/// A route with `each`: the name has a place behind the host.
pub(super) fn route(route: &Node, report: &mut Report<'_>) {
    let Some(_) = route.entry("each") else { return without_each(route, &["except", "type"], report) };
    exclude(route, "name", "an entry with `each`", "remove `name`: each route is called by its path", report);
    needs_place(route, "path", "`/api/{name}`", report);
    let Some(url) = route.get("url") else { return };
    let text = url.text().unwrap_or_default();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if has_place_for_a_name(host) || !has_place_for_a_name(path) {
        let fault = Fault::new("with `each` the URL holds `{name}` or `{stem}` after the host");
        report.add(url.spot, fault.help("write it as http://127.0.0.1:8080/api/{name}"));
    }
}

fn exclude(record: &Node, field: &str, what: &str, help: &str, report: &mut Report<'_>) {
    if let Some((key, _)) = record.entry(field) {
        report.add(key.spot, Fault::new(format!("{what} has no `{field}`")).help(help));
    }
}

/// The fields that are for `each` alone.
fn without_each(record: &Node, fields: &[&str], report: &mut Report<'_>) {
    for field in fields {
        if let Some((key, _)) = record.entry(field) {
            let fault = Fault::new(format!("`{field}` is for an entry with `each`"));
            report.add(key.spot, fault.help(format!("add `each: FOLDER/*`, or remove `{field}`")));
        }
    }
}

fn needs_place(record: &Node, field: &str, example: &str, report: &mut Report<'_>) {
    let Some(node) = record.get(field) else { return };
    if node.text().is_some_and(|text| !has_place_for_a_name(text)) {
        let fault = Fault::new(format!("with `each` the `{field}` holds `{{name}}` or `{{stem}}`"));
        report.add(node.spot, fault.help(format!("write it as {example}")));
    }
}

/// Variables that find programs and folders, and prefixes of those that steer docker and Compose.
const STEERING: [&str; 4] = ["PATH", "HOME", "PWD", "TMPDIR"];
/// See [`STEERING`].
const STEERING_PREFIXES: [&str; 5] = ["COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_", "LD_"];

/// `revision`: `paths` is for git, and `variable` for the project's own files.
pub(super) fn revision(_: &Record, revision: &Node, report: &mut Report<'_>) {
    if let Some(variable) = revision.get("variable")
        && let Some(name) = variable.text()
        && (STEERING.contains(&name) || STEERING_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    {
        let fault = Fault::new(format!("{name} steers programs, and cannot hold a revision"));
        report.add(
            variable.spot,
            fault.help("name a variable that only the Compose files use, such as `GIT_SHA`"),
        );
    }
    let is_git = revision.get("equals").is_none_or(|equals| equals.text() == Some("git"));
    if let (false, Some((key, _))) = (is_git, revision.entry("paths")) {
        let fault = Fault::new("`paths` is for git, and this revision is not git's");
        report.add(key.spot, fault.help("remove `paths`, or write `equals: git`"));
    }
}

/// A variable holds one revision: it is the same in every Compose command of the object.
pub(super) fn variables(spec: &Node, report: &mut Report<'_>) {
    let mut first: HashMap<&str, (&Node, &str)> = HashMap::new();
    for service in spec.items_of("services") {
        let Some(revision) = service.get("revision") else { continue };
        let (Some(variable), Some(name)) =
            (revision.get("variable"), service.get("name").and_then(Node::text))
        else {
            continue;
        };
        let Some(text) = variable.text() else { continue };
        match first.get(text) {
            Some((other, whose)) if expected_of(other) != expected_of(revision) => {
                let fault = Fault::new(format!("{text} is to hold another revision for the service {whose}"));
                report.add(variable.spot, fault.help("give each of the two a variable of its own"));
            }
            Some(_) => {}
            None => drop(first.insert(text, (revision, name))),
        }
    }
}

/// What a revision must equal, as far as two can be told apart by it.
fn expected_of(revision: &Node) -> (Option<String>, Vec<&str>) {
    let equals = revision.get("equals").filter(|equals| equals.text() != Some("git"));
    let place = |field: &str| Some(format!("{field} {}", equals?.get(field)?.text()?));
    let paths = revision.items_of("paths").iter().filter_map(Node::text).collect();
    (place("file").or_else(|| place("text")), paths)
}

/// `from`: one place.
pub(super) fn revision_place(declared: &Record, place: &Node, report: &mut Report<'_>) {
    let help = "`{ label: org.opencontainers.image.revision }`, `{ env: GIT_SHA }`, `{ file: /app/REVISION }` or `{ route: … }`";
    exactly_one(declared, place, help, report);
}

/// The route of a revision: one part of the answer.
pub(super) fn revision_route(declared: &Record, route: &Node, report: &mut Report<'_>) {
    exactly_one(declared, route, "`json: /commit` or `header: X-Revision`", report);
}

/// `equals`: one place.
pub(super) fn expected_revision(declared: &Record, equals: &Node, report: &mut Report<'_>) {
    exactly_one(declared, equals, "`{ file: PATH }` or `{ text: \"1.4.2\" }`, or write `git`", report);
}
