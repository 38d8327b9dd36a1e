//! The users and groups of this host, by its own files (`passwd(5)`, `group(5)`).

use std::fs;

/// The content of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) passwd: String,
    pub(super) group: String,
}

impl Accounts {
    pub(super) fn of_this_host() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// The user's name; `uid N` for one that is not in the files.
    pub(super) fn name(&self, uid: u32) -> String {
        let name = self.users().find_map(|(name, of, _)| (of == uid).then_some(name));
        name.map_or_else(|| format!("uid {uid}"), str::to_owned)
    }

    /// The user's name, with the number if there is a name.
    pub(super) fn user(&self, uid: u32) -> String {
        let mut users = self.users();
        let name = users.find_map(|(name, of, _)| (of == uid).then_some(name));
        name.map_or_else(|| format!("the user {uid}"), |name| format!("{name} (user {uid})"))
    }

    /// The same for a group.
    pub(super) fn group(&self, gid: u32) -> String {
        let mut groups = self.groups();
        let name = groups.find_map(|(name, of, _)| (of == gid).then_some(name));
        name.map_or_else(|| format!("the group {gid}"), |name| format!("the group {name} ({gid})"))
    }

    /// Whether a group belongs to these users alone: as their own, or as one that lists them. A group without a known member does
    /// not, because a directory service may have others. `None` for a group that is not in the files.
    pub(super) fn is_of_these_alone(&self, gid: u32, users: &[u32]) -> Option<bool> {
        let mut listed = self.groups().filter(|(_, of, _)| *of == gid).peekable();
        listed.peek()?;
        let number = |member: &str| self.users().find_map(|(name, uid, _)| (name == member).then_some(uid));
        let listed = listed.flat_map(|(.., members)| members.split(',')).map(str::trim);
        let listed = listed.filter(|member| !member.is_empty()).map(number);
        let own = self.users().filter(|(.., own)| *own == gid).map(|(_, uid, _)| Some(uid));
        let mut members = listed.chain(own).peekable();
        Some(members.peek().is_some() && members.all(|uid| uid.is_some_and(|uid| users.contains(&uid))))
    }

    /// `name:x:1000:1000:…`: the name, its number and the number of its own group.
    fn users(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    }

    /// `name:x:1000:one,other`: the name, its number and its members.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((name, fields.nth(1)?.parse().ok()?, fields.next()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_members_are_those_listed_and_those_whose_primary_group_it_is() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/:/bin/sh\nann:x:1000:1001::/:/bin/sh\nbob:x:1001:1002::/:/bin/sh\nodd\n"
                .into(),
            group: "staff:x:50:\nann:x:1001:\nbob:x:1002:ann\nteam:x:60:ann,bob\nfar:x:70:someone\n:::\n"
                .into(),
        };
        let is_of = |gid, users: &[u32]| accounts.is_of_these_alone(gid, users);
        assert_eq!(is_of(50, &[0]), Some(false), "nobody is known to be in it");
        assert_eq!(is_of(1001, &[1000]), Some(true), "her own, of another number");
        assert_eq!(is_of(1001, &[0]), Some(false));
        assert_eq!(is_of(1002, &[1001]), Some(false), "his own, and ann is in it");
        assert_eq!(is_of(1002, &[1000, 1001]), Some(true));
        assert_eq!(is_of(60, &[1000]), Some(false));
        assert_eq!(is_of(70, &[0, 1000, 1001]), Some(false), "the files do not know the member");
        assert_eq!(is_of(99, &[0]), None);
        assert_eq!((accounts.user(1000), accounts.user(7)), ("ann (user 1000)".into(), "the user 7".into()));
        assert_eq!(accounts.group(60), "the group team (60)");
    }
}
