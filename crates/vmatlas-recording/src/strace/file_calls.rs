//! Calls that change descriptors, names and directories.

use super::descriptors::Descriptors;
use super::files::{Open, absolute};
use super::line::{Call, Outcome};
use super::missing::MissingFact;
use super::replay::State;
use super::task::Task;
use super::value::{AT_FDCWD, Descriptor, Value};
use std::cell::RefCell;
use vmatlas_maps::Device;
use vmatlas_space::FileKind;

impl State<'_> {
    /// The path argument of a call, and whether it is relative to an unknown directory.
    pub(crate) fn path(
        &mut self,
        task: &Task,
        directory: Option<Value<'_>>,
        path: Option<Value<'_>>,
    ) -> Option<(Vec<u8>, bool)> {
        let (path, whole) = path?.string()?;
        let at = directory.and_then(Value::descriptor);
        let base = match &at {
            Some(Descriptor { path: Some(shown), number, .. }) => {
                if *number == AT_FDCWD {
                    self.directory_is(task, shown.to_vec());
                }
                Some(shown.to_vec())
            }
            Some(Descriptor { number, .. }) if *number != AT_FDCWD => {
                task.descriptors.borrow().get(*number).map(|open| open.name.path())
            }
            _ => task.directory.borrow().clone(),
        };
        let full = absolute(base.as_deref(), &path).filter(|_| whole);
        Some(match full {
            Some(full) => (full, false),
            None => (path, true),
        })
    }

    /// Sets the current directory of a task, and resolves a program path that depended on it.
    fn directory_is(&mut self, task: &Task, directory: Vec<u8>) {
        let known = task.directory.borrow_mut().replace(directory.clone());
        let mut space = task.space.borrow_mut();
        if known.is_none() && std::mem::take(&mut space.relative) {
            let Some(path) = absolute(Some(&directory), &space.program) else { return };
            let old = std::mem::replace(&mut space.program, path);
            space.gaps.remove(&MissingFact::Directory { path: old.clone() });
            space.gaps.remove(&MissingFact::Image { path: old });
            let early = std::mem::take(&mut space.exec);
            let late = space.execute(self.lookup);
            space.exec = late.with_seen(&early);
        }
    }

    /// Applies the calls that change descriptors, names and directories.
    pub(crate) fn file_call(&mut self, task: &Task, call: &Call<'_>) {
        let number = |index: usize| {
            call.arg(index).and_then(Value::descriptor).map(|descriptor| descriptor.number)
        };
        match call.name {
            "open" => self.open(task, None, call.arg(0), call.arg(1), call),
            "openat" => self.open(task, call.arg(0), call.arg(1), call.arg(2), call),
            "openat2" => {
                let flags = call.arg(2).and_then(|how| how.field("flags"));
                self.open(task, call.arg(0), call.arg(1), flags, call);
            }
            "creat" => self.open(task, None, call.arg(0), Some(Value(b"O_WRONLY")), call),
            "memfd_create" => {
                let Some((name, _)) = call.arg(0).and_then(Value::string) else { return };
                let flags = call.arg(1).unwrap_or(Value(b"0"));
                let huge = flags.has("MFD_HUGETLB");
                let kind = if huge { FileKind::Hugetlb } else { FileKind::SharedMemory };
                let name = [b"/memfd:", name.as_slice(), b" (deleted)"].concat();
                let open = self.names.open_nameless(&name, kind);
                put(task, call, open, flags.has("MFD_CLOEXEC"));
            }
            "memfd_secret" => {
                let open = self.names.open_nameless(b"/secretmem (deleted)", FileKind::Secretmem);
                put(task, call, open, false);
            }
            "userfaultfd" | "perf_event_open" | "io_uring_setup" => {
                let name: &[u8] = match call.name {
                    "userfaultfd" => b"anon_inode:[userfaultfd]",
                    "perf_event_open" => b"anon_inode:[perf_event]",
                    _ => b"anon_inode:[io_uring]",
                };
                let open = self.names.open_nameless(name, FileKind::Special);
                if call.name == "userfaultfd" {
                    open.uffd.set(Some(task.space.borrow_mut().map.memory.userfaultfd()));
                }
                put(task, call, open, call.args.ends_with(b"CLOEXEC"));
            }
            "dup" | "dup2" | "dup3" => {
                let cloexec = call.arg(2).is_some_and(|flags| flags.has("O_CLOEXEC"));
                duplicate(task, call, number(0), cloexec);
            }
            "fcntl" | "fcntl64" => {
                let Some(command) = call.arg(1) else { return };
                if command.has("F_DUPFD") || command.has("F_DUPFD_CLOEXEC") {
                    duplicate(task, call, number(0), command.has("F_DUPFD_CLOEXEC"));
                } else if let (true, Some(number)) = (command.has("F_SETFD"), number(0)) {
                    let cloexec = call.arg(2).is_some_and(|flags| flags.has("FD_CLOEXEC"));
                    task.descriptors.borrow_mut().set_cloexec(number, cloexec);
                }
            }
            "close" => {
                if let Some(number) = number(0) {
                    close(task, number);
                }
            }
            "close_range" => {
                let first = number(0).unwrap_or(0);
                // The last number may be ~0.
                let last = call.arg(1).and_then(Value::number).unwrap_or(0);
                let last = i32::try_from(last).unwrap_or(i32::MAX);
                let cloexec = call.arg(2).is_some_and(|flags| flags.has("CLOSE_RANGE_CLOEXEC"));
                let numbers = task.descriptors.borrow().numbers(first, last);
                for number in numbers {
                    if cloexec {
                        task.descriptors.borrow_mut().set_cloexec(number, true);
                    } else {
                        close(task, number);
                    }
                }
            }
            "fstat" | "fstat64" => stat(task, number(0), call.arg(1)),
            "newfstatat" | "fstatat64" if call.arg(1).is_some_and(|path| path.0 == b"\"\"") => {
                stat(task, number(0), call.arg(2));
            }
            "statx" if call.arg(1).is_some_and(|path| path.0 == b"\"\"") => {
                stat(task, number(0), call.arg(4));
            }
            "chdir" => {
                let path = self.path(task, None, call.arg(0));
                *task.directory.borrow_mut() =
                    path.and_then(|(path, relative)| (!relative).then_some(path));
            }
            "fchdir" => {
                let descriptor = call.arg(0).and_then(Value::descriptor);
                let shown = descriptor.and_then(|d| d.path.map(|path| path.into_owned()));
                let known = || {
                    let open = task.descriptors.borrow().get(number(0)?).cloned()?;
                    Some(open.name.path())
                };
                *task.directory.borrow_mut() = shown.or_else(known);
            }
            "getcwd" => {
                if let Some((path, true)) = call.arg(0).and_then(Value::string) {
                    self.directory_is(task, path);
                }
            }
            "unlink" => self.unlink(task, None, call.arg(0)),
            "unlinkat" => self.unlink(task, call.arg(0), call.arg(1)),
            "rename" => self.rename(task, [None, call.arg(0), None, call.arg(1)], false),
            "renameat" | "renameat2" => {
                let exchange = call.arg(4).is_some_and(|flags| flags.has("RENAME_EXCHANGE"));
                let args = [call.arg(0), call.arg(1), call.arg(2), call.arg(3)];
                self.rename(task, args, exchange);
            }
            _ => {}
        }
    }

    fn open(
        &mut self,
        task: &Task,
        directory: Option<Value<'_>>,
        path: Option<Value<'_>>,
        flags: Option<Value<'_>>,
        call: &Call<'_>,
    ) {
        let Some((path, relative)) = self.path(task, directory, path) else { return };
        let flags = flags.unwrap_or(Value(b""));
        let readable = !flags.has("O_WRONLY");
        let writable = flags.has("O_WRONLY") || flags.has("O_RDWR");
        let shown = match call.result {
            Outcome::Ok(value) => value.descriptor(),
            _ => None,
        };
        let temporary = flags.has("O_TMPFILE");
        let open = match shown.as_ref().and_then(|shown| shown.path.as_deref()) {
            // With -y the log shows the name with all symbolic links resolved.
            Some(real) => self.names.open(real, false, readable, writable),
            None => self.names.open(&path, relative, readable, writable),
        };
        if temporary && shown.as_ref().is_none_or(|shown| shown.path.is_none()) {
            open.name.forget();
        }
        put(task, call, open, flags.has("O_CLOEXEC"));
    }

    fn unlink(&mut self, task: &Task, directory: Option<Value<'_>>, path: Option<Value<'_>>) {
        if let Some((path, false)) = self.path(task, directory, path) {
            self.names.unlink(&path);
        }
    }

    fn rename(&mut self, task: &Task, args: [Option<Value<'_>>; 4], exchange: bool) {
        let [from_directory, from, to_directory, to] = args;
        let from = self.path(task, from_directory, from);
        let to = self.path(task, to_directory, to);
        match (from, to) {
            (Some((from, false)), Some((to, false))) if exchange => self.names.exchange(&from, &to),
            (Some((from, false)), Some((to, false))) => self.names.rename(&from, &to),
            _ => {}
        }
    }
}

/// Opens the descriptor that a call returned.
fn put(task: &Task, call: &Call<'_>, open: Open, cloexec: bool) {
    let number = call.value().and_then(|number| i32::try_from(number).ok());
    if let Some(number) = number {
        close(task, number);
        task.descriptors.borrow_mut().put(number, open, cloexec);
    }
}

fn duplicate(task: &Task, call: &Call<'_>, number: Option<i32>, cloexec: bool) {
    let to = call.value().and_then(|number| i32::try_from(number).ok());
    let open = number.and_then(|number| task.descriptors.borrow().get(number).cloned());
    match (open, to) {
        (_, Some(to)) if Some(to) == number => {}
        (Some(open), _) => put(task, call, open, cloexec),
        (None, Some(to)) => close(task, to),
        (None, None) => {}
    }
}

fn close(task: &Task, number: i32) {
    let closed = task.descriptors.borrow_mut().close(number);
    if let Some(open) = closed
        && open.is_last()
        && let Some(uffd) = open.uffd.get()
    {
        task.space.borrow_mut().map.memory.uffd_close(uffd);
    }
}

/// Takes device and inode of an open file from a stat (`-v`).
fn stat(task: &Task, number: Option<i32>, answer: Option<Value<'_>>) {
    let (Some(number), Some(answer)) = (number, answer) else { return };
    let descriptors: &RefCell<Descriptors> = &task.descriptors;
    let descriptors = descriptors.borrow();
    let Some(open) = descriptors.get(number) else { return };
    let field = |name| answer.field(name).and_then(Value::number);
    let inode = field("st_ino").or_else(|| field("stx_ino"));
    let device = answer.field("st_dev").and_then(device).or_else(|| {
        let part = |name| field(name).and_then(|part| u32::try_from(part).ok());
        Some(Device::new(part("stx_dev_major")?, part("stx_dev_minor")?))
    });
    if let (Some(inode), Some(device)) = (inode, device) {
        open.name.set_inode(device, inode);
    }
}

/// Parses `makedev(0xfe, 0)`.
fn device(text: Value<'_>) -> Option<Device> {
    let inner = text.0.strip_prefix(b"makedev(")?.strip_suffix(b")")?;
    let mut parts = inner.split(|&b| b == b',').map(|part| Value(part.trim_ascii()).number());
    let mut part = || u32::try_from(parts.next()??).ok();
    Some(Device::new(part()?, part()?))
}
