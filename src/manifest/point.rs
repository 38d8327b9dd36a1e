//! Errors that are found after a manifest was loaded, with the lines of it that they are about.

use std::path::Path;

use super::{
    read,
    report::{LineIndex, ManifestError, ManifestErrors, Spot, excerpt},
};
use crate::api::Pointed;

/// These as errors of the manifest that is named so. It is read once more for its lines; what came from standard input
/// is gone, and then the places alone are told.
///
/// `None` where there is nothing wrong.
#[must_use]
pub fn point(manifest: &str, all: &[Pointed]) -> Option<ManifestErrors> {
    let text = read::text_of(Path::new(manifest)).unwrap_or_default();
    let lines = LineIndex::new(text.strip_prefix('\u{FEFF}').unwrap_or(&text));
    let error = |pointed: &Pointed| {
        let spot = Spot::new(pointed.line, pointed.column, pointed.text.chars().count());
        let still = lines.at(spot) == pointed.text;
        ManifestError {
            file: manifest.to_owned(),
            line: pointed.line,
            column: pointed.column,
            message: pointed.message.clone(),
            help: pointed.help.clone(),
            excerpt: still.then(|| Box::new(excerpt(&lines, spot, false))),
        }
    };
    ManifestErrors::of(all.iter().map(error).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_only_where_it_still_has_the_text_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.yaml");
        std::fs::write(&path, "services:\n  - name: dashbord\n  - name: other\n").unwrap();
        let name = |line, text: &str| Pointed {
            line,
            column: 11,
            text: text.into(),
            message: "wrong".into(),
            help: None,
        };
        let file = path.to_str().unwrap();
        let errors = point(file, &[name(2, "dashbord"), name(3, "edited")]).unwrap();
        let excerpts: Vec<_> = errors.iter().map(|error| error.excerpt.as_ref().map(|e| e.len)).collect();
        assert_eq!(excerpts, [Some(8), None]);
        assert!(point("<stdin>", &[name(2, "dashbord")]).unwrap().iter().all(|e| e.excerpt.is_none()));
        assert_eq!(point(file, &[]), None);
    }
}
