//! What holds between the fields of a record. Each rule looks only at fields that are right by themselves.

use std::collections::HashMap;

use super::{
    sameness_rules,
    shape::{Alternative, Record},
};
use crate::{
    api::Duration,
    manifest::{
        report::{Fault, Report, Spot},
        syntax::{Node, Value},
    },
    nearest::nearest,
    secret::mask,
};

/// `spec`: services are named once.
pub(super) fn spec(_: &Record, spec: &Node, report: &mut Report<'_>) {
    let help = "declare all its modules and routes in one entry";
    unique(spec.items_of("services"), |service| called(service, &["name"]), "service", help, report);
    sameness_rules::variables(spec, report);
}

/// A service: modules and routes have names of their own, declared or derived.
pub(super) fn service(_: &Record, service: &Node, report: &mut Report<'_>) {
    let help = "give each a `name` of its own";
    // What an `each` gives is known at each look only, and there an explicit one wins.
    let is_one = |entry: &Node| entry.get("each").is_none();
    let module = |module| {
        if !is_one(module) {
            return None;
        }
        let (text, spot) = called(module, &["name", "path"])?;
        let is_declared = module.get("name").is_some();
        Some((if is_declared { text } else { text.rsplit('/').next().unwrap_or(text) }, spot))
    };
    unique(service.items_of("modules"), module, "module", help, report);
    let route = |route| if is_one(route) { called(route, &["name", "path", "url"]) } else { None };
    unique(service.items_of("routes"), route, "route", help, report);
}

/// What the first of these fields that an entry has calls it.
fn called<'n>(entry: &'n Node, fields: &[&str]) -> Option<(&'n str, Spot)> {
    let from = fields.iter().find_map(|field| entry.get(field))?;
    Some((from.text()?, from.spot))
}

/// Entries of a list have names of their own.
fn unique<'n>(
    entries: &'n [Node],
    name: impl Fn(&'n Node) -> Option<(&'n str, Spot)>,
    what: &str,
    help: &str,
    report: &mut Report<'_>,
) {
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    for (name, spot) in entries.iter().filter_map(name) {
        let Some(first) = seen.get(name) else {
            seen.insert(name, spot);
            continue;
        };
        // A route without a name of its own is called by its path or URL, and that may hold a secret by mistake.
        let name: Vec<char> = name.chars().take(60).collect();
        let shown: String = mask::line(&name, None, None).text.into_iter().collect();
        let message = format!("the {what} `{shown}` is declared twice, first in line {}", first.line);
        report.add(spot, Fault::new(message).help(help));
    }
}

/// A route: one target, statuses that say one thing each, a control that is another path, each header once.
pub(super) fn route(_: &Record, route: &Node, report: &mut Report<'_>) {
    target(route, report);
    scheme(route, report);
    sameness_rules::route(route, report);
    // Which status says so where none is declared: the default of `absent`.
    expected_and_absent(route, &[404], report);
    control_is_another_path(route, report);
    if let Some(Node { value: Value::Map(entries), .. }) = route.get("headers") {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (key, name) in entries.iter().filter_map(|(key, _)| Some((key, key.name.as_deref()?))) {
            if let Some(first) = seen.insert(name.to_lowercase(), name).filter(|first| *first != name) {
                let message = format!("the header `{name}` is there as `{first}` already");
                report.add(key.spot, Fault::new(message).help("keep one; case makes no difference"));
            }
        }
    }
}

fn target(route: &Node, report: &mut Report<'_>) {
    let entry = |name| route.entry(name).map(|(key, _)| key.spot);
    match (entry("url"), entry("path"), entry("port")) {
        (Some(_), None, None) | (None, Some(_), Some(_)) => {}
        (Some(spot), _, _) => {
            let fault = Fault::new("a route has either `path` and `port`, or `url`");
            report.add(
                spot,
                fault.help("keep `path` and `port` to ask each replica, `url` to ask a fixed place"),
            );
        }
        (None, Some(_), None) if is_misspelt(route, &["port"]) => {}
        (None, None, Some(_)) if is_misspelt(route, &["path"]) => {}
        (None, Some(spot), None) => {
            let fault = Fault::new("a route with a `path` needs the container's `port`");
            report.add(spot, fault.help("add `port: 3000`, or write the whole `url` instead"));
        }
        (None, None, Some(spot)) => {
            let fault = Fault::new("a route with a `port` needs a `path`");
            report.add(spot, fault.help("add `path: /…`, or write the whole `url` instead"));
        }
        (None, None, None) if is_misspelt(route, &["path", "port", "url"]) => {}
        (None, None, None) => {
            let fault = Fault::new("a route needs a `path` and a `port`, or a `url`");
            let help = "add `path: /…` and `port: 3000` to ask each replica, or `url: http://…` to ask a fixed place";
            report.add(route.visible(), fault.help(help));
        }
    }
}

/// The scheme is said once, and `tls` is for https.
fn scheme(route: &Node, report: &mut Report<'_>) {
    if let (Some((key, _)), Some(_)) = (route.entry("scheme"), route.get("url")) {
        let fault = Fault::new("a `url` says its scheme itself");
        return report.add(
            key.spot,
            fault.help("remove `scheme`, and begin the URL with `https://` if that is meant"),
        );
    }
    let is_https = match route.text_of("url") {
        Some(url) => url.starts_with("https://"),
        None => route.text_of("scheme") == Some("https"),
    };
    if let (false, Some((key, _))) = (is_https, route.entry("tls")) {
        let fault = Fault::new("`tls` is for https, and this route is asked in plain HTTP");
        report.add(
            key.spot,
            fault.help("add `scheme: https`, or begin the URL with `https://`; or remove `tls`"),
        );
    }
}

/// `tls`: what is not verified needs nothing to be verified by.
pub(super) fn tls(_: &Record, tls: &Node, report: &mut Report<'_>) {
    let is_off = tls.get("verify").is_some_and(|verify| matches!(verify.value, Value::Bool(false)));
    if let (true, Some((key, _))) = (is_off, tls.entry("caFile")) {
        let fault =
            Fault::new("with `verify: false` any certificate is accepted, and `caFile` is for nothing");
        report.add(key.spot, fault.help("remove one of them"));
    }
}

/// The statuses of a field with their places: of one that is not a list, its own.
fn statuses(node: &Node) -> impl Iterator<Item = (i64, Spot)> {
    let single = std::slice::from_ref(node);
    let items = if let Value::List(items) = &node.value { items } else { single };
    items.iter().filter_map(|node| match node.value {
        Value::Int(status) => Some((status, node.spot)),
        _ => None,
    })
}

/// A status says one thing. `undeclared` are those that mean absent where the field is not there.
fn expected_and_absent(record: &Node, undeclared: &[i64], report: &mut Report<'_>) {
    let declared = record.get("absent");
    let absent = declared
        .map_or_else(|| undeclared.to_vec(), |node| statuses(node).map(|(status, _)| status).collect());
    for (status, spot) in
        record.get("expect").into_iter().flat_map(statuses).filter(|(status, _)| absent.contains(status))
    {
        report.add(
            spot,
            if declared.is_some() {
                Fault::new(format!("{status} is in `expect` and in `absent`"))
                    .help("remove it from one of them")
            } else {
                Fault::new(format!("{status} is expected, and says that the route is absent"))
                    .help("declare in `absent` which other status says so, such as `absent: [410]`")
            },
        );
    }
}

fn control_is_another_path(route: &Node, report: &mut Report<'_>) {
    let Some(control) = route.get("control") else { return };
    let of_url = route.text_of("url").and_then(|url| {
        let rest = url.split_once("://")?.1;
        rest.find('/').map(|at| &rest[at..])
    });
    let path = route.text_of("path").or(of_url);
    if control.text().is_some_and(|text| text.starts_with('/')) && control.text() == path {
        let fault = Fault::new("the control is the route's own path, and cannot tell anything");
        report.add(control.spot, fault.help("write a path that must not exist, or `auto`"));
    }
}

/// `auth`: one kind of credentials.
pub(super) fn auth(declared: &Record, auth: &Node, report: &mut Report<'_>) {
    let help = "`basic: { username: …, passwordFrom: { env: NAME } }` or `bearerFrom: { env: NAME }`";
    exactly_one(declared, auth, help, report);
    expected_and_absent(auth, &[], report);
}

/// A reference to a secret: one place.
pub(super) fn secret(declared: &Record, secret: &Node, report: &mut Report<'_>) {
    exactly_one(declared, secret, "`{ env: NAME }` or `{ file: PATH }`", report);
}

/// The record has one of its alternatives, each of which is one field.
pub(super) fn exactly_one(declared: &Record, record: &Node, help: &str, report: &mut Report<'_>) {
    let names: Vec<_> = declared.alternatives.iter().flat_map(Alternative::fields).collect();
    let spots: Vec<_> = names.iter().filter_map(|name| Some(record.entry(name)?.0.spot)).collect();
    let (spot, help) = match (spots.iter().min(), spots.iter().max()) {
        // In an alias all of them have its place.
        (Some(first), Some(last)) if spots.len() > 1 => {
            let help = "keep the one that is meant, and remove the other; the first is in line";
            (*last, format!("{help} {}", first.line))
        }
        // A field that does not exist was most likely meant to be one of them, and is said already.
        (None, _) if !has_unknown_field(declared, record) => {
            (record.visible(), format!("write one of them, as {help}"))
        }
        _ => return,
    };
    let message = format!("{} needs exactly one of `{}`", declared.what, names.join("` and `"));
    report.add(spot, Fault::new(message).help(help));
}

fn has_unknown_field(declared: &Record, record: &Node) -> bool {
    let Value::Map(entries) = &record.value else { return false };
    let is_known = |name: &str| declared.fields.iter().any(|field| field.name == name);
    entries.iter().any(|(key, _)| !key.name.as_deref().is_some_and(is_known))
}

/// Whether one of these fields is there under a name that is near to its own.
fn is_misspelt(record: &Node, fields: &[&str]) -> bool {
    let Value::Map(entries) = &record.value else { return false };
    let names = entries.iter().filter_map(|(key, _)| key.name.as_deref());
    names.into_iter().any(|name| nearest(name, fields.iter().copied()).is_some())
}

/// `backoff`: it grows.
pub(super) fn backoff(_: &Record, backoff: &Node, report: &mut Report<'_>) {
    let default = crate::api::Backoff::default();
    let of = |name, default| match backoff.get(name) {
        Some(node) => node.text().and_then(|text| text.parse::<Duration>().ok()),
        None => Some(default),
    };
    let (Some(initial), Some(max)) = (of("initial", default.initial), of("max", default.max)) else { return };
    if initial > max {
        let spot =
            backoff.get("initial").or_else(|| backoff.get("max")).map_or(Spot::START, |node| node.spot);
        let message = format!("`initial` ({initial}) is longer than `max` ({max})");
        report.add(spot, Fault::new(message).help("raise `max`, or lower `initial`"));
    }
}
