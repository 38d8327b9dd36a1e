//! `undrift validate`: reads manifests, without an engine.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{safe, style::clean};
use crate::{
    api::Desired,
    host::{compose, probe::are_short_credentials},
    manifest::{self, ManifestSource, Valid, Warning, count},
};

/// How long reading a password file may still take at the end: one that takes longer hangs, and has nothing to lose.
const LAST_READS: Duration = Duration::from_millis(100);

/// Prints a line for each object to `out` and warnings for its author to `err`, or all errors to `err`. Exit code 0 if every
/// manifest is valid, otherwise 2.
///
/// # Errors
/// The error of `out`. If `err` is closed nobody is left to notify, and the result stands.
pub fn validate(sources: &[ManifestSource], out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    match manifest::load_for_validation(sources) {
        Ok(valid) => {
            for warning in warnings(&valid)? {
                let _ = safe::lines(err, &format!("{warning}\n"));
            }
            print(&valid.objects, out).map(|()| 0)
        }
        Err(errors) => {
            let _ = safe::lines(err, &errors.to_string());
            Ok(2)
        }
    }
}

/// Reads the credentials that can be read here, and examines the projects' files as an observation would.
fn warnings(valid: &Valid) -> io::Result<Vec<Warning>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut warnings = valid
        .warnings(|desired, auth| runtime.block_on(are_short_credentials(auth, &desired.manifest_directory)));
    runtime.shutdown_timeout(LAST_READS);
    let unreadable = |desired: &Desired| {
        let error = compose::unreadable(desired)?;
        Some(manifest::unreadable(desired, &error.to_string()))
    };
    warnings.extend(valid.objects.iter().filter_map(unreadable));
    Ok(warnings)
}

fn print(objects: &[Desired], out: &mut dyn Write) -> io::Result<()> {
    let width = |of: fn(&Desired) -> &str| objects.iter().map(|object| of(object).chars().count()).max();
    let name = width(Desired::name).unwrap_or_default();
    let files: Vec<_> = objects.iter().map(|object| clean(&object.manifest)).collect();
    let file = files.iter().map(|file| file.chars().count()).max().unwrap_or_default();
    for (object, manifest) in objects.iter().zip(files) {
        let modules = object.services().iter().map(|service| service.modules.len()).sum();
        let routes = object.services().iter().map(|service| service.routes.len()).sum();
        let (services, modules, routes) =
            (count(object.services().len(), "service"), count(modules, "module"), count(routes, "route"));
        let called = object.name();
        writeln!(out, "ok  {called:name$}  {manifest:file$}  {services}, {modules}, {routes}")?;
    }
    out.flush()
}
