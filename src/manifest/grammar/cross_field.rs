//! What holds between the fields of a record. Each rule looks only at fields that are right by themselves.

use std::collections::HashMap;

use crate::{
    api::Duration,
    manifest::{
        report::{Fault, Report, Spot, mask},
        syntax::{Node, Value},
    },
    nearest::nearest,
};

/// Names in a list that must be there once each.
fn unique<'n>(
    entries: impl Iterator<Item = (&'n str, Spot)>,
    what: &str,
    help: &str,
    report: &mut Report<'_>,
) {
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    for (name, spot) in entries {
        if let Some(first) = seen.get(name) {
            // A route without a name of its own is called by its path or URL, and that may hold a secret by mistake.
            let name: Vec<char> = name.chars().take(60).collect();
            let shown: String = mask::line(&name, None, None).text.into_iter().collect();
            let message = format!("the {what} `{shown}` is declared twice, first in line {}", first.line);
            report.add(spot, Fault::new(message).help(help));
        } else {
            seen.insert(name, spot);
        }
    }
}

/// `spec`: services are named once.
pub(super) fn spec(spec: &Node, report: &mut Report<'_>) {
    let services = spec.get("services").map(Node::items).unwrap_or_default();
    let names = services.iter().filter_map(|service| {
        let name = service.get("name")?;
        Some((name.text()?, name.spot))
    });
    unique(names, "service", "declare all its modules and routes in one entry", report);
}

/// A service: modules and routes have names of their own, declared or derived.
pub(super) fn service(service: &Node, report: &mut Report<'_>) {
    let modules = service.get("modules").map(Node::items).unwrap_or_default();
    let names = modules.iter().filter_map(|module| {
        let from = module.get("name").or_else(|| module.get("path"))?;
        let text = from.text()?;
        let name = if module.get("name").is_some() { text } else { text.rsplit('/').next().unwrap_or(text) };
        Some((name, from.spot))
    });
    unique(names, "module", "give each a `name` of its own", report);
    let routes = service.get("routes").map(Node::items).unwrap_or_default();
    let names = routes.iter().filter_map(|route| {
        let from = ["name", "path", "url"].iter().find_map(|field| route.get(field))?;
        Some((from.text()?, from.spot))
    });
    unique(names, "route", "give each a `name` of its own", report);
}

/// A route: one target, statuses that say one thing each, a control that is another path, each header once.
pub(super) fn route(route: &Node, report: &mut Report<'_>) {
    target(route, report);
    scheme(route, report);
    expect_and_absent(route, report);
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
pub(super) fn tls(tls: &Node, report: &mut Report<'_>) {
    let is_off = tls.get("verify").is_some_and(|verify| matches!(verify.value, Value::Bool(false)));
    if let (true, Some((key, _))) = (is_off, tls.entry("caFile")) {
        let fault =
            Fault::new("with `verify: false` any certificate is accepted, and `caFile` is for nothing");
        report.add(key.spot, fault.help("remove one of them"));
    }
}

/// The statuses of a field with their places: of one that is not a list, its own.
fn statuses(node: Option<&Node>) -> Vec<(i64, Spot)> {
    let Some(node) = node else { return Vec::new() };
    let status =
        |node: &Node| if let Value::Int(status) = node.value { Some((status, node.spot)) } else { None };
    match &node.value {
        Value::List(items) => items.iter().filter_map(status).collect(),
        _ => status(node).into_iter().collect(),
    }
}

fn expect_and_absent(route: &Node, report: &mut Report<'_>) {
    let declared = route.get("absent");
    let absent = match declared {
        Some(_) => statuses(declared),
        None => vec![(404, Spot::START)],
    };
    for (status, spot) in statuses(route.get("expect")) {
        if absent.iter().any(|(other, _)| *other == status) {
            let (message, help) = if declared.is_some() {
                (format!("{status} is in `expect` and in `absent`"), "remove it from one of them")
            } else {
                (
                    format!("{status} is expected, and says that the route is absent"),
                    "declare in `absent` which other status says so, such as `absent: [410]`",
                )
            };
            report.add(spot, Fault::new(message).help(help));
        }
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
pub(super) fn auth(auth: &Node, report: &mut Report<'_>) {
    let help = "`basic: { username: …, passwordFrom: { env: NAME } }` or `bearerFrom: { env: NAME }`";
    exactly_one(auth, ["basic", "bearerFrom"], "`auth`", help, report);
    let absent = statuses(auth.get("absent"));
    for (status, spot) in statuses(auth.get("expect")) {
        if absent.iter().any(|(other, _)| *other == status) {
            let fault = Fault::new(format!("{status} is in `expect` and in `absent`"));
            report.add(spot, fault.help("remove it from one of them"));
        }
    }
}

/// A reference to a secret: one place.
pub(super) fn secret(secret: &Node, report: &mut Report<'_>) {
    exactly_one(
        secret,
        ["env", "file"],
        "a reference to a secret",
        "`{ env: NAME }` or `{ file: PATH }`",
        report,
    );
}

fn exactly_one(record: &Node, [one, other]: [&str; 2], what: &str, help: &str, report: &mut Report<'_>) {
    let spot = match (record.entry(one), record.entry(other)) {
        (Some((first, _)), Some((second, _))) => {
            let fault = Fault::new(format!("{what} needs exactly one of `{one}` and `{other}`"));
            let help = format!(
                "keep the one that is meant, and remove the other; the first is in line {}",
                first.spot.line.min(second.spot.line)
            );
            return report.add(first.spot.max(second.spot), fault.help(help));
        }
        // A field that does not exist was most likely meant to be one of them, and is said already.
        (None, None) if !has_other_fields(record, &[one, other, "expect", "absent", "allowPlainHttp"]) => {
            record.visible()
        }
        _ => return,
    };
    let fault = Fault::new(format!("{what} needs exactly one of `{one}` and `{other}`"));
    report.add(spot, fault.help(format!("write one of them, as {help}")));
}

fn has_other_fields(record: &Node, known: &[&str]) -> bool {
    let Value::Map(entries) = &record.value else { return false };
    entries.iter().any(|(key, _)| key.name.as_deref().is_none_or(|name| !known.contains(&name)))
}

/// Whether one of these fields is there under a name that is near to its own.
fn is_misspelt(record: &Node, fields: &[&str]) -> bool {
    let Value::Map(entries) = &record.value else { return false };
    let names = entries.iter().filter_map(|(key, _)| key.name.as_deref());
    names.into_iter().any(|name| nearest(name, fields.iter().copied()).is_some())
}

/// `backoff`: it grows.
pub(super) fn backoff(backoff: &Node, report: &mut Report<'_>) {
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
