//! The source layer: is the module in the project directory?

use super::{LayerVerdict, ServiceView, worst};
use crate::api::{DriftReason, Fact, ModuleSpec, Presence};

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
    let modules = view.spec.modules.iter().zip(&view.seen.source.modules);
    worst(modules.map(|(spec, seen)| verdict(spec, seen.as_ref())))
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
