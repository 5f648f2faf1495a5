//! Control groups, and what their paths say about services and containers.

use crate::error::Error;
use crate::process::Process;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The control groups of a process (cgroups(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup {
    /// The path that its memory is charged to, in the hierarchy with the memory controller; begins
    /// with `/`. Not UTF-8: lossy.
    pub memory: String,
    /// Which hierarchy that is.
    pub controller: Option<Controller>,
    /// The path in systemd's hierarchy, which is the same in a unified one.
    pub service: String,
}

/// The version of the hierarchy that has the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Controller {
    /// A hierarchy of cgroups version 1 for memory.
    V1,
    /// The unified hierarchy, version 2.
    V2,
}

impl Cgroup {
    /// Parses `/proc/PID/cgroup`: lines of `ID:CONTROLLERS:PATH`.
    pub fn parse(text: &[u8]) -> Cgroup {
        let text = String::from_utf8_lossy(text);
        let path = |wanted: &dyn Fn(&str, &str) -> bool| {
            text.lines().find_map(|line| {
                let (id, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                wanted(id, controllers).then(|| path.to_owned())
            })
        };
        let of_v1 = path(&|_, controllers| controllers.split(',').any(|name| name == "memory"));
        let unified = path(&|id, controllers| id == "0" && controllers.is_empty());
        let systemd = path(&|_, controllers| controllers == "name=systemd");
        let controller = match (&of_v1, &unified) {
            (Some(_), _) => Some(Controller::V1),
            (None, Some(_)) => Some(Controller::V2),
            (None, None) => None,
        };
        let memory = of_v1.or_else(|| unified.clone()).unwrap_or_default();
        // Where systemd runs none, its hierarchy has only the root.
        let named = [systemd, unified].into_iter().flatten().find(|path| path != "/");
        Cgroup { service: named.unwrap_or_else(|| memory.clone()), memory, controller }
    }

    /// The unit of systemd that it belongs to (systemd.unit(5)), also of a user's manager:
    /// `nginx.service`, `session-2.scope`.
    pub fn unit(&self) -> Option<&str> {
        const KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
        let is_unit = |part: &&str| KINDS.iter().any(|kind| part.ends_with(kind));
        // A unit may delegate its cgroup: what is below is its own. A user's manager is a unit with
        // units below.
        let parts: Vec<&str> = self.service.split('/').filter(is_unit).collect();
        match parts[..] {
            [manager, unit, ..] if manager.starts_with("user@") => Some(unit),
            [unit, ..] => Some(unit),
            [] => None,
        }
    }

    /// The container that it belongs to: the ID that Docker, containerd, CRI-O and Podman give
    /// theirs (64 hexadecimal digits), or the name that LXC and systemd-nspawn do.
    pub fn container(&self) -> Option<String> {
        // The innermost: a container may hold others.
        [&self.service, &self.memory]
            .into_iter()
            .find_map(|path| path.rsplit('/').find_map(container))
    }
}

/// The container that a part of a path names.
fn container(part: &str) -> Option<String> {
    // lxc.payload.NAME and lxc.payload/NAME, systemd-nspawn@NAME.service, machine-NAME.scope.
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name.to_owned());
    }
    let nspawn =
        part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"));
    let machine = part.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
    if let Some(name) = nspawn.or(machine) {
        return Some(unescape(name));
    }
    // docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, or ID alone.
    let bare = part.strip_suffix(".scope").unwrap_or(part);
    let id = bare.rsplit(['-', ':']).next()?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// The name in a unit's name, see systemd-escape(1): `\x2d` for a byte.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where cgroups are mounted (file-hierarchy(7)).
const ROOT: &str = "/sys/fs/cgroup";
/// The hierarchies of that directory: the unified one, or memory's of version 1 in mixed setups.
const HIERARCHIES: [(&str, Controller); 3] =
    [("memory", Controller::V1), ("unified", Controller::V2), ("", Controller::V2)];

/// The directory of a control group: `/system.slice/nginx.service`, also with `/sys/fs/cgroup` and
/// the hierarchy before it, or without the leading `/`. `None` if no hierarchy has it.
pub fn cgroup_of_path(path: &str) -> Option<(PathBuf, Controller)> {
    let path = path.strip_prefix(ROOT).unwrap_or(path);
    let is_group = |dir: &Path| dir.join("cgroup.procs").is_file();
    HIERARCHIES.iter().find_map(|(hierarchy, controller)| {
        let root = Path::new(ROOT).join(hierarchy);
        let below = path.trim_start_matches('/');
        let within = match hierarchy.is_empty() {
            true => below,
            false => {
                below.strip_prefix(hierarchy).map_or(below, |rest| rest.trim_start_matches('/'))
            }
        };
        // `..` would leave the hierarchy.
        let stays =
            !Path::new(within).components().any(|part| part == std::path::Component::ParentDir);
        let dir = root.join(within);
        (stays && is_group(&dir)).then_some((dir, *controller))
    })
}

/// The processes of a control group and of those below it, by process ID.
///
/// # Errors
/// If the group is gone, or its list cannot be read.
pub fn cgroup_members(dir: &Path) -> Result<Vec<u32>, Error> {
    /// Groups below one another: no hierarchy has as many, and links are not followed.
    const MAX_DEPTH: usize = 64;
    let mut pids = BTreeSet::new();
    let mut left = vec![(dir.to_owned(), 0)];
    while let Some((dir, depth)) = left.pop() {
        let list = dir.join("cgroup.procs");
        match fs::read_to_string(&list) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            // A threaded group lists none (EOPNOTSUPP); its processes are those of its domain.
            Err(_) if depth > 0 => continue,
            Err(source) => return Err(Error::Io { path: list, source }),
        }
        if depth < MAX_DEPTH {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            left.extend(entries.filter(is_dir).map(|entry| (entry.path(), depth + 1)));
        }
    }
    // 0 is a process of another pid namespace.
    pids.remove(&0);
    Ok(pids.into_iter().collect())
}

impl Process {
    /// Whether its control group is this one or below it; by the paths that it shows.
    pub fn is_in_cgroup(&self, path: &str) -> bool {
        let Some(cgroup) = self.cgroup() else { return false };
        let within = |own: &str| {
            own == path || own.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        within(&cgroup.memory) || within(&cgroup.service)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cgroup, Controller};

    fn unified(path: &str) -> Cgroup {
        Cgroup::parse(format!("0::{path}\n").as_bytes())
    }

    #[test]
    fn hierarchies() {
        let mixed = b"9:name=systemd:/system.slice/a.service\n4:cpu,memory:/m\n0::/u\n";
        let mixed = Cgroup::parse(mixed);
        assert_eq!((mixed.memory.as_str(), mixed.controller), ("/m", Some(Controller::V1)));
        assert_eq!(mixed.unit(), Some("a.service"));
        // Elogind and containers leave systemd's hierarchy at its root.
        let bare = Cgroup::parse(b"2:name=systemd:/\n0::/user.slice/session-1.scope\n");
        assert_eq!(
            (bare.memory.as_str(), bare.unit()),
            ("/user.slice/session-1.scope", Some("session-1.scope"))
        );
        assert_eq!(bare.controller, Some(Controller::V2));
        assert_eq!(Cgroup::parse(b"").controller, None);
        assert_eq!(Cgroup::parse(b"damaged\n0:\n").memory, "");
    }

    #[test]
    fn units() {
        let unit = |path| unified(path).unit().map(str::to_owned);
        assert_eq!(unit("/system.slice/nginx.service").as_deref(), Some("nginx.service"));
        // What a service makes below its own group.
        assert_eq!(unit("/system.slice/ssh.service/a.scope").as_deref(), Some("ssh.service"));
        let user = "/user.slice/user-1000.slice/user@1000.service/app.slice/emacs.service";
        assert_eq!(unit(user).as_deref(), Some("emacs.service"));
        assert_eq!(
            unit("/user.slice/user-0.slice/user@0.service/init.scope").as_deref(),
            Some("init.scope")
        );
        assert_eq!(unit("/system.slice"), None);
        assert_eq!(unit("/"), None);
    }

    #[test]
    fn containers() {
        let id = "0123456789abcdef".repeat(4);
        let container = |path: String| unified(&path).container();
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-burstable.slice/cri-containerd-{id}.scope"),
            format!("/kubepods/besteffort/pod7/{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubelet/kubepods/x:cri-containerd:{id}"),
            format!("/system.slice/docker-{id}.scope/init.scope"),
        ] {
            assert_eq!(container(path.clone()).as_ref(), Some(&id), "{path}");
        }
        assert_eq!(container("/lxc.payload.web/init.scope".to_owned()).as_deref(), Some("web"));
        assert_eq!(
            container("/machine.slice/systemd-nspawn@deb12.service".to_owned()).as_deref(),
            Some("deb12")
        );
        assert_eq!(
            container("/machine.slice/machine-a\\x2db.scope".to_owned()).as_deref(),
            Some("a-b")
        );
        assert_eq!(container("/system.slice/a\\xzz.service".to_owned()), None);
        // 63 digits are no ID.
        assert_eq!(container(format!("/docker/{}", &id[1..])), None);
    }
}
