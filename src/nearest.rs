//! The right word for a misspelt one.

/// The longest word to compare; the cost grows with the square.
const LONGEST: usize = 40;

/// The nearest of the right words, if one is near: a third of its letters may differ, or it is the only one with this
/// prefix. Case, dashes and underscores do not count.
pub(crate) fn nearest<'w>(word: &str, right: impl IntoIterator<Item = &'w str> + Clone) -> Option<&'w str> {
    if word.len() > LONGEST {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
    let wrong = plain(word);
    let mut longer = right.clone().into_iter().filter(|candidate| plain(candidate).starts_with(&wrong));
    let starts_so = longer.next().filter(|_| longer.next().is_none() && wrong.len() >= 3);
    right
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wrong, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or(starts_so)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let right = ["expect", "absent", "path", "port", "buildTimeout", "envFiles"];
        for (wrong, meant) in [
            ("expct", Some("expect")),
            ("epxect", Some("expect")),
            ("build_timeout", Some("buildTimeout")),
            ("env-files", Some("envFiles")),
            ("prot", Some("port")),
            ("Path", Some("path")),
            ("build", Some("buildTimeout")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, right), meant, "{wrong}");
        }
    }
}
