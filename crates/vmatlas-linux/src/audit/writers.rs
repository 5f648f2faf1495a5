//! Who may write a file or replace it.

use crate::file_server::FileStat;
use std::collections::{BTreeMap, BTreeSet};
use vmatlas_explain::audit::{Who, Writer};

/// Bits of the permissions, see inode(7).
const STICKY: u32 = 0o1000;
const BY_GROUP: u32 = 0o020;
const BY_ALL: u32 = 0o002;
/// Most members of a group that are named one by one.
const MAX_MEMBERS: usize = 4;

/// The members of the groups of this machine, see group(5) and passwd(5).
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<u32, BTreeSet<u32>>);

impl Groups {
    pub(super) fn read() -> Groups {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Groups::parse(&read("/etc/passwd"), &read("/etc/group"))
    }

    fn parse(users: &str, groups: &str) -> Groups {
        let mut all = Groups::default();
        let mut names = BTreeMap::new();
        for user in users.lines() {
            let fields: Vec<&str> = user.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse())
            {
                names.insert(name, uid);
                all.0.entry(gid).or_default().insert(uid);
            }
        }
        for group in groups.lines() {
            let fields: Vec<&str> = group.split(':').collect();
            if let [_, _, gid, members] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                let members = members.split(',').filter_map(|name| names.get(name));
                all.0.entry(gid).or_default().extend(members);
            }
        }
        all
    }

    /// Who is a member of a group, except root.
    fn members(&self, gid: u32) -> Vec<Who> {
        match self.0.get(&gid) {
            // The group of root, and groups without an entry here, which may be a container's.
            None if gid == 0 => Vec::new(),
            None => vec![Who::Group(gid)],
            Some(members) if members.len() > MAX_MEMBERS => vec![Who::Group(gid)],
            Some(members) => {
                members.iter().filter(|uid| **uid != 0).map(|uid| Who::User(*uid)).collect()
            }
        }
    }
}

/// Who may write the file at a path, or put another one in its place: of each directory who may write
/// it, and of the file who may besides its owner. `along` has the length of each path and what is
/// there.
pub(super) fn of(path: &[u8], along: &[(usize, FileStat)], groups: &Groups) -> Vec<Writer> {
    let mut found: Vec<Writer> = Vec::new();
    for (index, (length, stat)) in along.iter().enumerate() {
        let is_file = index + 1 == along.len();
        let mut who = Vec::new();
        if stat.uid != 0 && !is_file {
            who.push(Who::User(stat.uid));
        }
        // In a directory with the sticky bit, others cannot touch what is not theirs.
        if is_file || stat.mode & STICKY == 0 {
            if stat.mode & BY_ALL != 0 {
                who.push(Who::Everybody);
            }
            if stat.mode & BY_GROUP != 0 {
                who.extend(groups.members(stat.gid));
            }
        }
        let here = path.get(..*length).unwrap_or(path);
        for who in who {
            if !found.iter().any(|writer| writer.who == who) {
                found.push(Writer::new(who, here.to_vec()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Groups, Who};

    #[test]
    fn members_of_groups() {
        let users = "root:x:0:0:::\nann:x:1000:1000:::\nbob:x:1001:100:::\n";
        let groups = "root:x:0:\nstaff:x:50:\nusers:x:100:\nann:x:1000:\nboth:x:7:ann,bob\n";
        let groups = Groups::parse(users, groups);
        assert_eq!(groups.members(50), []);
        assert_eq!(groups.members(0), []);
        assert_eq!(groups.members(100), [Who::User(1001)]);
        assert_eq!(groups.members(1000), [Who::User(1000)]);
        assert_eq!(groups.members(7), [Who::User(1000), Who::User(1001)]);
        assert_eq!(groups.members(12345), [Who::Group(12345)]);
    }
}
