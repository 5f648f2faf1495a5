//! Looks up many addresses of one library that has a debug file: functions, lines and all other
//! output of `at`. Target: at most twice the time that addr2line of binutils takes for functions
//! and lines alone.

use super::Scale;
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The number of addresses to look up.
const ADDRESSES: u64 = 2_000;

/// A process, the code of its C library, and that library's debug file.
struct Library {
    child: Child,
    start: u64,
    size: u64,
    bias: u64,
    file: PathBuf,
}

impl Drop for Library {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Library {
    fn start(vmatlas: &Path) -> Result<Library, String> {
        let child = Command::new("sleep").arg("600").spawn().map_err(|error| error.to_string())?;
        let mut library = Library { child, start: 0, size: 0, bias: 0, file: PathBuf::new() };
        // Wait until execve and the dynamic linker are done.
        for _ in 0..100 {
            let maps = std::fs::read_to_string(format!("/proc/{}/maps", library.child.id()));
            let maps = maps.map_err(|error| error.to_string())?;
            let row = maps.lines().find(|row| row.contains("r-xp") && row.ends_with("/libc.so.6"));
            if let Some(row) = row {
                let (start, end) =
                    row.split(' ').next().and_then(|r| r.split_once('-')).unwrap_or_default();
                let hex = |text| u64::from_str_radix(text, 16).unwrap_or(0);
                (library.start, library.size) = (hex(start), hex(end).saturating_sub(hex(start)));
                return library.with_debug_file(vmatlas);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err("missing: sleep with libc.so.6".to_owned())
    }

    fn with_debug_file(mut self, vmatlas: &Path) -> Result<Library, String> {
        let places = self.at(vmatlas, &[self.start])?;
        let elf = &places[0]["elf"];
        let id = elf["build_id"].as_str().ok_or("missing: a build id of libc")?;
        let (first, rest) = id.split_at(2.min(id.len()));
        self.file = PathBuf::from(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug"));
        if !self.file.exists() {
            return Err("missing: the debug file of libc (libc6-dbg)".to_owned());
        }
        let bias = elf["load_bias"].as_str().and_then(|text| text.strip_prefix("0x"));
        self.bias = bias.and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
        Ok(self)
    }

    /// Addresses spread over the code, the same in each run.
    fn addresses(&self) -> Vec<u64> {
        let place = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.size.max(1);
        (0..ADDRESSES).map(|number| self.start + place(number)).collect()
    }

    fn at(&self, vmatlas: &Path, addresses: &[u64]) -> Result<Vec<Value>, String> {
        let output = self.ours(vmatlas, addresses).arg("--json").output();
        let output = output.map_err(|error| format!("missing: {error}"))?;
        let mut document: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("failed: {error}"))?;
        match document["addresses"].take() {
            Value::Array(places) => Ok(places),
            _ => Err("failed: there are no addresses".to_owned()),
        }
    }

    fn ours(&self, vmatlas: &Path, addresses: &[u64]) -> Command {
        let mut command = Command::new(vmatlas);
        command.args(["at", &self.child.id().to_string()]);
        command.args(addresses.iter().map(|address| format!("{address:x}")));
        command
    }

    fn theirs(&self, addresses: &[u64]) -> Command {
        let mut command = Command::new("addr2line");
        command.arg("-f").arg("-e").arg(&self.file);
        let vaddrs = addresses.iter().map(|address| address.wrapping_sub(self.bias));
        command.args(vaddrs.map(|vaddr| format!("{vaddr:x}")));
        command
    }

    /// Checks that both report the same source line for nearly all addresses. They differ in the
    /// choice among the lines of an inlined function.
    fn check(&self, vmatlas: &Path, addresses: &[u64]) -> Result<(), String> {
        let output =
            self.theirs(addresses).output().map_err(|error| format!("missing: {error}"))?;
        let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs = theirs.lines().skip(1).step_by(2);
        let places = self.at(vmatlas, addresses)?;
        let file_and_line = |text: &str| {
            let text = text.split(" (").next().unwrap_or(text);
            text.rsplit('/').next().unwrap_or(text).to_owned()
        };
        let same = places.iter().zip(theirs).filter(|(place, theirs)| {
            let ours = place["elf"]["source"].as_str().map(file_and_line);
            ours.is_some_and(|ours| ours == file_and_line(theirs))
        });
        match same.count() {
            same if same * 10 >= addresses.len() * 9 => Ok(()),
            same => Err(format!("wrong answer: {same} of {} lines are equal", addresses.len())),
        }
    }
}

/// Measures `at` and addr2line on the same addresses of a live process.
pub fn run(scale: Scale, programs: &Path) -> Section {
    let vmatlas = programs.join("vmatlas");
    let mut section = Section::new(format!("{ADDRESSES} addresses of libc with its debug file"));
    let library = match Library::start(&vmatlas) {
        Ok(library) => library,
        Err(why) => {
            section.note(format!("not measured: {why}"));
            return section;
        }
    };
    let addresses = library.addresses();
    let checked = library.check(&vmatlas, &addresses);
    let timed = |name: &str, command: &dyn Fn() -> Command| {
        let (checked, command) = (checked.clone(), command());
        let arguments: Vec<_> = command.get_args().map(|arg| arg.to_owned()).collect();
        let program = command.get_program().to_owned();
        Contender::timed(name, move || {
            checked.clone()?;
            let mut command = Command::new(&program);
            command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::null());
            let from = Instant::now();
            let status = command.status().map_err(|error| error.to_string())?;
            let nanos = from.elapsed().as_nanos() as f64;
            if status.success() { Ok(nanos) } else { Err(format!("failed: {status}")) }
        })
    };
    let all = vec![
        timed("addr2line -f", &|| library.theirs(&addresses)),
        timed("vmatlas at", &|| library.ours(&vmatlas, &addresses)),
    ];
    let series = race(scale.rounds(15), all);
    section.times(&series[0], &series[0], &[]);
    section.times(&series[1], &series[0], &[Target::AtMost(2.0, &series[0])]);
    section.note(
        "vmatlas prints the mapping, its label, section and file system, too; both give the same \
         line for nine of ten addresses or more.",
    );
    section
}
