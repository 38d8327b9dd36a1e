//! The source layer: is the module in the project directory?

use super::{LayerVerdict, ServiceView, worst};
use crate::api::{DriftReason, Entries, Expansion, Fact, MOST_ENTRIES, ModuleSpec, Presence, UnknownReason};

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
    let modules = view.spec.modules.iter().zip(&view.seen.source.modules);
    let modules = modules.map(|(spec, seen)| verdict(spec, seen.as_ref()));
    worst(modules.chain(view.seen.source.expansions.iter().map(expansion)))
}

/// An `each` that gives nothing is most likely a wrong path, and must not pass for a service of which nothing is expected.
fn expansion(expansion: &Expansion) -> LayerVerdict {
    let each = &expansion.each;
    match &expansion.entries {
        Entries::Found(names) if names.is_empty() => LayerVerdict::Broken(
            DriftReason::ModuleMissing,
            format!("nothing in the project directory matches `each: {each}`"),
        ),
        Entries::Found(_) => LayerVerdict::AsDeclared(None),
        Entries::TooMany(found) => LayerVerdict::Unknown(
            UnknownReason::TooMany,
            format!(
                "`each: {each}` matches {found} entries, and at most {MOST_ENTRIES} are expanded: name fewer by the pattern"
            ),
        ),
        Entries::Unknown(why) => LayerVerdict::not_known(why.clone()),
    }
}

fn verdict(spec: &ModuleSpec, seen: Option<&Fact<Presence>>) -> LayerVerdict {
    let (Some(path), Some(seen)) = (&spec.source, seen) else { return LayerVerdict::Undeclared };
    let name = spec.display_name();
    match seen {
        Fact::Known(Presence::Present) => LayerVerdict::AsDeclared(None),
        Fact::Known(Presence::Missing) => LayerVerdict::Broken(
            DriftReason::ModuleMissing,
            format!("module {name} is not in the source: {path} does not exist in the project directory"),
        ),
        Fact::Known(Presence::WrongType) => LayerVerdict::Broken(
            DriftReason::ModuleMissing,
            format!("module {name} is not in the source: {path} exists and is not what is declared"),
        ),
        Fact::Unknown(why) => LayerVerdict::not_known(format!("source of module {name}: {why}")),
    }
}
