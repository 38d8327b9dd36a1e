//! The entries of a folder of the project: what an `each` gives now.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    api::{EachPattern, EachQuery, Entries, Expansion, LONGEST_NAME, MOST_ENTRIES, ModuleType},
    files::{self, Listed},
    plain::is_bidi_control,
};

/// How many names that are not expanded are named.
const NAMED: usize = 3;

/// Lists what a query asks for, below the project directory.
///
/// A link counts as what it points to; one that leads nowhere, or out of the directory, is no entry: a build would not see it.
/// A folder that does not exist has no entries.
pub async fn entries(directory: &Path, query: &EachQuery) -> Expansion {
    let (directory, asked) = (directory.to_owned(), query.clone());
    let listed =
        files::looked(move || list(&directory, &asked)).await.unwrap_or_else(|hangs| Err(hangs.into()));
    let each = query.each.clone();
    match listed {
        Ok((entries, ignored)) => Expansion { each, entries, ignored },
        Err(error) => {
            let why = format!("cannot list {each}: {error}");
            Expansion { each, entries: Entries::Unknown(why), ignored: Vec::new() }
        }
    }
}

fn list(directory: &Path, query: &EachQuery) -> io::Result<(Entries, Vec<String>)> {
    let none = || Ok((Entries::Found(Vec::new()), Vec::new()));
    let Some(pattern) = EachPattern::parse(&query.each) else { return none() };
    let root = files::canonicalize(directory)?;
    let folder = match files::canonicalize(&root.join(pattern.folder)) {
        Ok(folder) => folder,
        Err(error) if is_absent(&error) => return none(),
        Err(error) => return Err(error),
    };
    if !folder.starts_with(&root) {
        return Err(io::Error::other("the folder lies outside of the project directory"));
    }
    let (mut names, mut ignored) = (Vec::new(), Vec::new());
    for listed in files::list(&folder).map_err(|(_, error)| error)? {
        let shown = listed.name.to_string_lossy();
        if !pattern.matches(&shown)
            || query.except.contains(&*shown)
            || !is_of(&root, &folder, &listed, query.kind)?
        {
            continue;
        }
        match listed.name.to_str().filter(|name| is_plain(name)) {
            Some(name) => names.push(name.to_owned()),
            None => ignored.push(shown.escape_debug().take(LONGEST_NAME).collect()),
        }
    }
    if names.len() > MOST_ENTRIES {
        return Ok((Entries::TooMany(names.len()), Vec::new()));
    }
    names.sort_unstable();
    ignored.sort_unstable();
    ignored.truncate(NAMED);
    Ok((Entries::Found(names), ignored))
}

/// Whether an entry is of the declared kind.
fn is_of(root: &Path, folder: &Path, listed: &Listed, kind: ModuleType) -> io::Result<bool> {
    let meta = if listed.target.is_some() {
        let Some(target) = inside(root, &folder.join(&listed.name))? else { return Ok(false) };
        files::metadata(&target)?
    } else {
        listed.meta.clone()
    };
    Ok(match kind {
        ModuleType::Any => meta.is_file() || meta.is_dir(),
        ModuleType::File => meta.is_file(),
        ModuleType::Directory => meta.is_dir(),
    })
}

/// Where a link leads, if that is inside of the project directory.
fn inside(root: &Path, link: &Path) -> io::Result<Option<PathBuf>> {
    match files::canonicalize(link) {
        Ok(target) => Ok(Some(target).filter(|target| target.starts_with(root))),
        Err(error) if is_absent(&error) || is_circle(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_circle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Whether a name may stand in a path, a status and a log as it is.
fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST_NAME && !name.chars().any(|c| c.is_control() || is_bidi_control(c))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, os::unix::fs::symlink};

    use super::*;

    fn query(each: &str, kind: ModuleType, except: &[&str]) -> EachQuery {
        EachQuery { each: each.into(), kind, except: except.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn found(root: &Path, query: &EachQuery) -> Vec<String> {
        match list(root, query).unwrap().0 {
            Entries::Found(names) => names,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_of_their_kind_and_links_count_as_what_they_point_to_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        let modules = root.join("src/modules");
        fs::create_dir_all(modules.join("workflow")).unwrap();
        fs::create_dir(modules.join("testing")).unwrap();
        fs::create_dir(modules.join(".hidden")).unwrap();
        fs::write(modules.join("index.ts"), "").unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        symlink("workflow", modules.join("alias")).unwrap();
        symlink("gone", modules.join("dangling")).unwrap();
        symlink("circle", modules.join("circle")).unwrap();
        symlink(folder.path().join("outside"), modules.join("out")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            modules.join("pipe"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let all = "src/modules/*";
        let directories = query(all, ModuleType::Directory, &[]);
        assert_eq!(found(&root, &directories), ["alias", "testing", "workflow"]);
        assert_eq!(found(&root, &query(all, ModuleType::File, &[])), ["index.ts"]);
        assert_eq!(found(&root, &query("src/modules/*.ts", ModuleType::Any, &[])), ["index.ts"]);
        let without = query(all, ModuleType::Any, &["testing", "index.ts"]);
        assert_eq!(found(&root, &without), ["alias", "workflow"]);
        assert_eq!(found(&root, &query("src/none/*", ModuleType::Any, &[])), [""; 0]);
        assert_eq!(found(&root, &query("*", ModuleType::Any, &[])), ["src"]);
    }

    #[test]
    fn names_that_no_line_may_hold_are_shown_escaped_and_not_expanded() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a\nb".as_bytes(), "\u{202e}x".as_bytes(), &[b'y', 0xff], "z".repeat(129).as_bytes(), b"fine"]
        {
            fs::create_dir(folder.path().join(OsStr::from_bytes(name))).unwrap();
        }
        let (entries, ignored) = list(folder.path(), &query("*", ModuleType::Any, &[])).unwrap();
        assert_eq!(entries, Entries::Found(vec!["fine".into()]));
        assert_eq!(ignored.len(), NAMED);
        assert!(ignored.iter().all(|name| is_plain(name)), "{ignored:?}");
        assert!(ignored.contains(&"a\\nb".to_owned()), "{ignored:?}");
    }

    #[test]
    fn more_than_the_limit_are_none_and_a_folder_outside_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir_all(root.join("many")).unwrap();
        for number in 0..=MOST_ENTRIES {
            fs::write(root.join(format!("many/{number}")), "").unwrap();
        }
        let (entries, _) = list(&root, &query("many/*", ModuleType::Any, &[])).unwrap();
        assert_eq!(entries, Entries::TooMany(MOST_ENTRIES + 1));
        symlink("..", root.join("up")).unwrap();
        assert!(list(&root, &query("up/*", ModuleType::Any, &[])).is_err());
    }
}
