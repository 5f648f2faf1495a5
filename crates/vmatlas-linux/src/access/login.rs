//! The credentials of a user after a login, from the user and group databases.

use super::credentials::{Capabilities, Credentials, Id};
use super::error::{Error, ErrorKind};
use super::gather::caller;
use std::fs;
use std::path::Path;

impl Credentials {
    /// The credentials of user `uid` after a plain login: the groups of /etc/passwd and /etc/group,
    /// no capabilities unless it is root, the caller's user namespace, no sandbox. The group of a
    /// user without an entry is unknown.
    ///
    /// # Errors
    /// If /etc/passwd, /etc/group or the caller's own status cannot be read.
    pub fn login(uid: u32) -> Result<Credentials, Error> {
        let (name, gid) = passwd_entry(&users()?, uid).unzip();
        let groups = match name {
            Some(name) => groups_of(&read("/etc/group")?, &name),
            None => Vec::new(),
        };
        let caller = caller(Path::new("/proc"))?;
        Ok(Credentials {
            process: None,
            euid: Id::Known(uid),
            fsuid: Id::Known(uid),
            fsgid: gid.map_or(Id::Unknown, Id::Known),
            groups,
            effective: if uid == 0 { caller.bounding } else { Capabilities::default() },
            user_ns: caller.credentials.user_ns,
            landlocked: Some(false),
        })
    }
}

/// The number of the user with this name in /etc/passwd; `None` if there is none.
///
/// # Errors
/// If /etc/passwd cannot be read.
pub fn user_id(name: &str) -> Result<Option<u32>, Error> {
    let users = users()?;
    let mut entries = users.lines().map(|line| line.split(':'));
    let entry = entries.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields));
    Ok(entry.and_then(|mut fields| fields.nth(1)?.parse().ok()))
}

/// The name of a user in /etc/passwd.
pub fn user_name(uid: u32) -> Option<String> {
    passwd_entry(&users().ok()?, uid).map(|(name, _)| name)
}

fn users() -> Result<String, Error> {
    read("/etc/passwd")
}

fn read(path: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::new(ErrorKind::Users, Path::new(path), error))
}

fn passwd_entry(text: &str, uid: u32) -> Option<(String, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (number == uid).then(|| (name.to_owned(), gid))
    })
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
    if let Some((name, _)) = passwd_entry(text, 1000) {
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
        assert_eq!(passwd_entry(PASSWD, 1000), Some(("ann".to_owned(), 100)));
        assert_eq!(passwd_entry(PASSWD, 1001), None);
        assert_eq!(groups_of(GROUP, "ann"), [Id::Known(4), Id::Known(50)]);
    }
}
