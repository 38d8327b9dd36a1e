//! `undrift validate`: reads manifests, without an engine.

use std::io::{self, Write};

use crate::{
    api::Desired,
    manifest::{self, Source, count},
};

/// Prints a line for each object to `out`, or all errors to `err`. Exit code 0 where every manifest is valid, else 2.
///
/// # Errors
/// What `out` says. Where `err` is gone nobody is left to be told, and what was found stands.
pub fn validate(sources: &[Source], out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    match manifest::load(sources) {
        Ok(objects) => print(&objects, out).map(|()| 0),
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            Ok(2)
        }
    }
}

fn print(objects: &[Desired], out: &mut dyn Write) -> io::Result<()> {
    let width = |of: fn(&Desired) -> &str| objects.iter().map(|object| of(object).chars().count()).max();
    let name = width(Desired::name).unwrap_or_default();
    let file = width(|object| &object.manifest).unwrap_or_default();
    for object in objects {
        let modules = object.services().iter().map(|service| service.modules.len()).sum();
        let routes = object.services().iter().map(|service| service.routes.len()).sum();
        let (services, modules, routes) =
            (count(object.services().len(), "service"), count(modules, "module"), count(routes, "route"));
        let (called, manifest) = (object.name(), &object.manifest);
        writeln!(out, "ok  {called:name$}  {manifest:file$}  {services}, {modules}, {routes}")?;
    }
    out.flush()
}
