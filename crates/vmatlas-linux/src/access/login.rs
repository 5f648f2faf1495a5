//! The credentials of a user after a login, from the user and group databases.

use super::credentials::{Capabilities, Credentials, Id};
use super::error::{Error, ErrorKind};
use super::gather::caller;
use super::name_service;
use std::fs;
use std::path::Path;

impl Credentials {
    /// The credentials of user `uid` after a plain login: the groups of /etc/group and the
    /// name service,
    /// no capabilities unless it is root, the caller's user namespace, no sandbox. The group of a
    /// user without an entry is unknown.
    ///
    /// # Errors
    /// If /etc/passwd, /etc/group or the caller's own status cannot be read.
    pub fn login(uid: u32) -> Result<Credentials, Error> {
        let entry = find(&users()?, |entry| entry.uid == uid);
        let entry = entry.or_else(|| name_service::user(&uid.to_string()));
        let mut groups = Vec::new();
        if let Some(Entry { name, .. }) = &entry {
            groups = groups_of(&read("/etc/group")?, name);
            let more = name_service::groups(name).into_iter().map(Id::Known);
            groups.extend(more.filter(|gid| !groups.contains(gid)).collect::<Vec<_>>());
        }
        let caller = caller(Path::new("/proc"))?;
        Ok(Credentials {
            process: None,
            euid: Id::Known(uid),
            fsuid: Id::Known(uid),
            fsgid: entry.map_or(Id::Unknown, |entry| Id::Known(entry.gid)),
            groups,
            effective: if uid == 0 { caller.bounding } else { Capabilities::default() },
            user_ns: caller.credentials.user_ns,
            landlocked: Some(false),
        })
    }
}

/// The number of the user with this name in /etc/passwd or the name service; `None` if there is
/// none.
///
/// # Errors
/// If /etc/passwd cannot be read.
pub fn user_id(name: &str) -> Result<Option<u32>, Error> {
    let local = find(&users()?, |entry| entry.name == name);
    Ok(local.or_else(|| name_service::user(name)).map(|entry| entry.uid))
}

/// The name of a user in /etc/passwd.
pub fn user_name(uid: u32) -> Option<String> {
    find(&users().ok()?, |entry| entry.uid == uid).map(|entry| entry.name)
}

/// A user, as in passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Entry {
    pub(super) fn parse(line: &str) -> Option<Entry> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        Some(Entry { name, uid, gid: fields.next()?.parse().ok()? })
    }
}

fn find(text: &str, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
    text.lines().filter_map(Entry::parse).find(is_it)
}

fn users() -> Result<String, Error> {
    read("/etc/passwd")
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::new(ErrorKind::Users, Path::new(path), error))
}

fn groups_of(text: &str, user: &str) -> Vec<Id> {
    let group = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == user).then_some(Id::Known(gid))
    };
    text.lines().filter_map(group).collect()
}

/// Reads the texts that this file parses.
#[cfg(fuzzing)]
pub(crate) fn read_texts(text: &str) {
    if let Some(Entry { name, .. }) = find(text, |entry| entry.uid == 1000) {
        assert!(text.contains(&name));
        assert!(groups_of(text, &name).len() <= text.lines().count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:100:Ann:/home/ann:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:bob,ann\nvideo:x:44:annabel\nproc:x:50:ann\n";

    #[test]
    fn login_databases() {
        let with = |uid| find(PASSWD, |entry| entry.uid == uid);
        assert_eq!(with(1000), Some(Entry { name: "ann".to_owned(), uid: 1000, gid: 100 }));
        assert_eq!(with(1001), None);
        assert_eq!(groups_of(GROUP, "ann"), [Id::Known(4), Id::Known(50)]);
    }
}
