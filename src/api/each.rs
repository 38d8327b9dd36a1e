//! Modules and routes from what is in a folder now: `each`.
//!
//! A template names a folder and a pattern with one `*`; each entry that matches becomes an ordinary module or route.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ModuleSpec, ModuleType, RouteSpec, ServiceSpec};

/// How many entries one `each` may give: more are a folder that nobody meant (contract: `TooMany`).
pub const MOST_ENTRIES: usize = 500;

/// The longest name of an entry that is expanded, in bytes.
pub const LONGEST_NAME: usize = 128;

/// What stands for the entry's name, and for its name without the last extension.
const NAME: &str = "{name}";
/// See [`NAME`].
const STEM: &str = "{stem}";

/// A folder of the project and the pattern of the entries in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EachPattern<'a> {
    /// The folder, relative to the project directory; empty for the directory itself.
    pub folder: &'a str,
    /// What the entry's name begins with.
    pub prefix: &'a str,
    /// What it ends with.
    pub suffix: &'a str,
}

impl<'a> EachPattern<'a> {
    /// `FOLDER/PREFIX*SUFFIX`. `None` if there is not one `*`, or it is not in the last segment.
    #[must_use]
    pub fn parse(each: &'a str) -> Option<Self> {
        let (folder, last) = each.rsplit_once('/').unwrap_or(("", each));
        let (prefix, suffix) = last.split_once('*')?;
        let is_one = !folder.contains('*') && !suffix.contains('*');
        is_one.then_some(Self { folder, prefix, suffix })
    }

    /// Whether an entry of the folder is one that is meant. Hidden entries never are.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        // `a*a` does not match `a`: the two ends must not overlap.
        let is_long_enough = name.len() >= self.prefix.len() + self.suffix.len();
        !name.starts_with('.')
            && is_long_enough
            && name.starts_with(self.prefix)
            && name.ends_with(self.suffix)
    }
}

/// What one `each` of a service gives now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expansion {
    /// The pattern, as declared.
    pub each: String,
    /// The entries that it gives.
    pub entries: Entries,
    /// Names that match and are not expanded, as they may be shown: too long, or with characters that no name should have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// The entries of an `each`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entries {
    /// Their names, sorted. There may be none.
    Found(Vec<String>),
    /// So many: more than [`MOST_ENTRIES`], and none of them is expanded.
    TooMany(usize),
    /// They could not be listed; why.
    Unknown(String),
}

impl Entries {
    /// The names, if they are known.
    #[must_use]
    pub fn found(&self) -> &[String] {
        match self {
            Self::Found(names) => names,
            Self::TooMany(_) | Self::Unknown(_) => &[],
        }
    }
}

/// One `each` of a service, of a module or a route: what is listed of the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EachQuery {
    /// The pattern.
    pub each: String,
    /// The kind of entries.
    pub kind: ModuleType,
    /// The names that are none of them.
    pub except: BTreeSet<String>,
}

impl ServiceSpec {
    /// The folders that must be listed to know its modules and routes, each once, in the order of the spec.
    #[must_use]
    pub fn each_queries(&self) -> Vec<EachQuery> {
        let modules = self.modules.iter().filter_map(ModuleSpec::each_query);
        let mut queries: Vec<EachQuery> = Vec::new();
        for query in modules.chain(self.routes.iter().filter_map(RouteSpec::each_query)) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        queries
    }

    /// The service with an ordinary module or route for each entry, in place of each template. `entries` are those of a query.
    ///
    /// An explicit module or route of the same name, or at the same place, wins.
    #[must_use]
    pub fn expanded<'e>(&self, entries: impl Fn(&EachQuery) -> &'e [String]) -> Self {
        let (modules, routes) = (self.expanded_modules(&entries), self.expanded_routes(&entries));
        Self { modules, routes, ..self.clone() }
    }

    fn expanded_modules<'e>(&self, entries: impl Fn(&EachQuery) -> &'e [String]) -> Vec<ModuleSpec> {
        let explicit = self.modules.iter().filter(|module| module.each.is_none());
        let mut taken: BTreeSet<String> = explicit.clone().map(|m| m.display_name().to_owned()).collect();
        let mut places: BTreeSet<String> = explicit.map(|module| module.path.clone()).collect();
        let mut all = Vec::new();
        for module in &self.modules {
            let (Some(query), Some(pattern)) = (module.each_query(), module.pattern()) else {
                all.push(module.clone());
                continue;
            };
            for entry in entries(&query) {
                let mut one = module.of_entry(pattern, entry);
                if !places.insert(one.path.clone()) || self.names_explicitly(entry) {
                    continue;
                }
                // Two templates may give a name twice, such as the code and the types of one module.
                if !taken.insert(entry.clone()) {
                    one.name = Some(one.path.clone());
                }
                all.push(one);
            }
        }
        all
    }

    fn names_explicitly(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module.each.is_none() && module.display_name() == name)
    }

    fn expanded_routes<'e>(&self, entries: impl Fn(&EachQuery) -> &'e [String]) -> Vec<RouteSpec> {
        let explicit = self.routes.iter().filter(|route| route.each.is_none());
        let mut taken: BTreeSet<String> = explicit
            .flat_map(|route| [Some(route.written_name()), route.path.as_deref(), route.url.as_deref()])
            .flatten()
            .map(str::to_owned)
            .collect();
        let mut all = Vec::new();
        for route in &self.routes {
            let Some(query) = route.each_query() else {
                all.push(route.clone());
                continue;
            };
            let routes = entries(&query).iter().map(|entry| route.of_entry(entry));
            all.extend(routes.filter(|one| taken.insert(one.written_name().to_owned())));
        }
        all
    }
}

impl ModuleSpec {
    fn each_query(&self) -> Option<EachQuery> {
        let except = self.except.iter().cloned().collect();
        Some(EachQuery { each: self.each.clone()?, kind: self.kind, except })
    }

    fn pattern(&self) -> Option<EachPattern<'_>> {
        EachPattern::parse(self.each.as_deref()?)
    }

    fn of_entry(&self, pattern: EachPattern<'_>, entry: &str) -> Self {
        let source = match pattern.folder {
            "" => entry.to_owned(),
            folder => format!("{folder}/{entry}"),
        };
        Self {
            each: None,
            except: Vec::new(),
            name: Some(entry.to_owned()),
            source: Some(source),
            path: filled(&self.path, entry, str::to_owned),
            ..self.clone()
        }
    }
}

impl RouteSpec {
    fn each_query(&self) -> Option<EachQuery> {
        let kind = self.kind.unwrap_or(ModuleType::Directory);
        let except = self.except.iter().cloned().collect();
        Some(EachQuery { each: self.each.clone()?, kind, except })
    }

    fn of_entry(&self, entry: &str) -> Self {
        let fill = |text: &String| filled(text, entry, encoded);
        let control = match &self.control {
            super::Control::Path(path) => super::Control::Path(fill(path)),
            control => control.clone(),
        };
        Self {
            each: None,
            except: Vec::new(),
            kind: None,
            path: self.path.as_ref().map(fill),
            url: self.url.as_ref().map(fill),
            control,
            ..self.clone()
        }
    }
}

/// The text with the entry's name in place of what stands for it.
fn filled(text: &str, entry: &str, spelt: impl Fn(&str) -> String) -> String {
    // In one pass: a name may itself hold `{stem}`.
    let mut rest = text;
    let mut written = String::new();
    while let Some(at) = rest.find('{') {
        written.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(NAME) {
            written.push_str(&spelt(entry));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(STEM) {
            written.push_str(&spelt(stem(entry)));
            rest = after;
        } else {
            written.push('{');
            rest = &rest[1..];
        }
    }
    written + rest
}

/// Whether a text has a place for the entry's name.
#[must_use]
pub fn has_place_for_a_name(text: &str) -> bool {
    text.contains(NAME) || text.contains(STEM)
}

/// The name without its last extension.
fn stem(entry: &str) -> &str {
    entry.rsplit_once('.').map_or(entry, |(stem, _)| stem)
}

/// One segment of a path in a request: everything but the unreserved characters of RFC 3986 is percent-encoded.
fn encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(json: &serde_json::Value) -> ServiceSpec {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn expanded(json: &serde_json::Value, names: &[&str]) -> ServiceSpec {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        service(json).expanded(|_| &names)
    }

    #[test]
    fn a_pattern_has_one_star_in_its_last_segment() {
        let parsed = EachPattern::parse("api/src/mod-*.ts").unwrap();
        assert_eq!(parsed, EachPattern { folder: "api/src", prefix: "mod-", suffix: ".ts" });
        assert_eq!(EachPattern::parse("*").unwrap().folder, "");
        for wrong in ["api/src", "a/*/b", "a/*b*", "*/b", ""] {
            assert_eq!(EachPattern::parse(wrong), None, "{wrong}");
        }
        let all = EachPattern::parse("a/*").unwrap();
        assert!(all.matches("workflow") && !all.matches(".git"));
        let overlapping = EachPattern::parse("a/ab*ba").unwrap();
        assert!(overlapping.matches("abba") && !overlapping.matches("aba"));
    }

    #[test]
    fn each_entry_is_an_ordinary_module() {
        let of = serde_json::json!({"name": "api", "modules": [
            {"each": "src/modules/*", "path": "/app/dist/{stem}.js/{name}", "type": "file"}]});
        let modules = expanded(&of, &["a.b.ts", "c"]).modules;
        let shown: Vec<_> = modules
            .iter()
            .map(|m| (m.display_name(), m.source.as_deref().unwrap(), m.path.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a.b.ts", "src/modules/a.b.ts", "/app/dist/a.b.js/a.b.ts"),
                ("c", "src/modules/c", "/app/dist/c.js/c")
            ]
        );
        assert!(modules.iter().all(|module| module.each.is_none() && module.kind == ModuleType::File));
    }

    #[test]
    fn what_is_explicit_wins_and_a_name_given_twice_is_told_apart_by_its_path() {
        let of = serde_json::json!({"name": "api", "modules": [
            {"each": "m/*", "path": "/dist/{name}"},
            {"each": "m/*", "path": "/types/{name}"},
            {"name": "b", "path": "/elsewhere/b"},
            {"name": "other", "path": "/types/a"}]});
        let modules = expanded(&of, &["a", "b"]).modules;
        let shown: Vec<_> = modules.iter().map(|m| (m.display_name(), m.path.as_str())).collect();
        assert_eq!(shown, [("a", "/dist/a"), ("b", "/elsewhere/b"), ("other", "/types/a")]);
        let of = serde_json::json!({"name": "api", "modules": [
            {"each": "m/*", "path": "/dist/{name}"}, {"each": "m/*", "path": "/types/{name}"}]});
        let modules = expanded(&of, &["a"]).modules;
        let shown: Vec<_> = modules.iter().map(ModuleSpec::display_name).collect();
        assert_eq!(shown, ["a", "/types/a"]);
    }

    #[test]
    fn a_route_has_the_name_as_one_segment() {
        let of = serde_json::json!({"name": "api", "routes": [
            {"each": "m/*", "path": "/api/{name}?x={stem}", "port": 1, "control": "/api/{name}-none", "expect": 200},
            {"each": "m/*", "url": "http://h/{name}", "expect": 200},
            {"name": "mine", "path": "/api/b?x=b", "port": 1, "expect": 403}]});
        let routes = expanded(&of, &["a b/ü?.x", "b"]).routes;
        let shown: Vec<_> = routes.iter().map(RouteSpec::written_name).collect();
        assert_eq!(
            shown,
            [
                "/api/a%20b%2F%C3%BC%3F.x?x=a%20b%2F%C3%BC%3F",
                "http://h/a%20b%2F%C3%BC%3F.x",
                "http://h/b",
                "mine"
            ]
        );
        assert_eq!(routes[0].control, crate::api::Control::Path("/api/a%20b%2F%C3%BC%3F.x-none".into()));
    }

    #[test]
    fn a_name_that_looks_like_a_place_is_a_name() {
        assert_eq!(filled("/{name}/{stem}/{x}", "{stem}.a", str::to_owned), "/{stem}.a/{stem}/{x}");
    }

    #[test]
    fn a_folder_is_listed_once_for_all_that_ask_the_same() {
        let of = serde_json::json!({"name": "api", "modules": [{"each": "m/*", "path": "/d/{name}", "type": "directory"}],
            "routes": [{"each": "m/*", "path": "/{name}", "port": 1, "expect": 200},
                       {"each": "m/*", "path": "/x/{name}", "port": 1, "expect": 200, "except": ["a"]}]});
        assert_eq!(service(&of).each_queries().len(), 2);
    }
}
