//! Fetches kernels from Debian's archive with an apt state of its own: the machine's sources and
//! packages are not changed.

use crate::run;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

const SOURCES: &str = "\
deb [signed-by=@KEYS@] http://deb.debian.org/debian bullseye main
deb [signed-by=@KEYS@] http://deb.debian.org/debian-security bullseye-security main
deb [signed-by=@KEYS@] http://deb.debian.org/debian bookworm main
deb [signed-by=@KEYS@] http://deb.debian.org/debian-security bookworm-security main
deb [signed-by=@KEYS@] http://deb.debian.org/debian bookworm-backports main
deb [signed-by=@KEYS@] http://deb.debian.org/debian trixie main
deb [signed-by=@KEYS@] http://deb.debian.org/debian-security trixie-security main
deb [signed-by=@KEYS@] http://deb.debian.org/debian trixie-backports main
";

/// The keys of all those suites, from the package debian-archive-keyring.
pub(super) const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const CONFIG: &str = r#"
APT::Architecture "@ARCHITECTURE@";
APT::Architectures "@ARCHITECTURE@";
APT::Sandbox::User "";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
Dir::Cache "@APT@";
Dir::Etc::SourceList "@APT@/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "@APT@";
Dir::State::Status "@APT@/status";
"#;

/// A line of kernels, such as 6.12.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line(u32, u32);

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('.');
        let line =
            numbers.and_then(|(major, minor)| Some(Self(major.parse().ok()?, minor.parse().ok()?)));
        line.ok_or_else(|| format!("no line of kernels: {text}; one is like 6.12"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A package that may hold a kernel; the greatest is the best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    /// All numbers of its version.
    version: Vec<u32>,
    /// Since 6.19 `linux-binary` holds the kernel, and `linux-image` depends on it.
    binary: bool,
    signed: bool,
    name: String,
}

impl Package {
    /// Parses `linux-image-6.12.117+deb12-cloud-amd64`, or `…-unsigned`.
    fn parse(name: &str, architecture: &str) -> Option<Self> {
        let rest = name.strip_prefix("linux-")?;
        let binary = rest.starts_with("binary-");
        let rest = rest.strip_prefix("image-").or_else(|| rest.strip_prefix("binary-"))?;
        let rest = rest.strip_prefix("unsigned-").unwrap_or(rest);
        let rest = rest.strip_suffix("-unsigned").unwrap_or(rest);
        let version = rest.strip_suffix(architecture)?.strip_suffix("-cloud-")?;
        let numbers = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        let version: Vec<u32> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        // A name with only two numbers is a package that depends on the newest of the line.
        (version.len() > 2).then(|| Self {
            version,
            binary,
            signed: !name.contains("unsigned"),
            name: name.to_owned(),
        })
    }

    fn line(&self) -> Line {
        Line(self.version[0], self.version[1])
    }
}

/// The packages of an architecture in Debian's archive, and the fetched files.
pub(super) struct Archive {
    dir: PathBuf,
    architecture: &'static str,
    updated: OnceCell<()>,
}

impl Archive {
    pub(super) fn new(dir: &Path, architecture: &'static str) -> Result<Self, String> {
        let apt = dir.join("apt");
        let io = |error| format!("{}: {error}", apt.display());
        for below in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(apt.join(below)).map_err(io)?;
        }
        let written = |text: &str| {
            text.replace("@APT@", &apt.to_string_lossy())
                .replace("@ARCHITECTURE@", architecture)
                .replace("@KEYS@", KEYS)
        };
        for (name, text) in [("apt.conf", CONFIG), ("sources.list", SOURCES), ("status", "")] {
            fs::write(apt.join(name), written(text)).map_err(io)?;
        }
        Ok(Self { dir: dir.to_owned(), architecture, updated: OnceCell::new() })
    }

    /// All lines that Debian has now, or that were fetched before.
    pub(super) fn lines(&self) -> Result<Vec<Line>, String> {
        self.update();
        let mut lines: BTreeSet<Line> = self.packages()?.iter().map(Package::line).collect();
        let fetched = fs::read_dir(&self.dir).into_iter().flatten();
        lines.extend(
            fetched.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<Line>().ok()),
        );
        if lines.is_empty() {
            Err("no kernel was found".to_owned())
        } else {
            Ok(Vec::from_iter(lines))
        }
    }

    /// Fetches the newest kernel of a line.
    pub(super) fn kernel(&self, line: Line) -> Result<PathBuf, String> {
        let path = self.dir.join(line.to_string()).join("vmlinuz");
        if path.exists() {
            return Ok(path);
        }
        self.update();
        let mut packages = self.packages()?;
        packages.retain(|package| package.line() == line);
        packages.sort_by(|a, b| b.cmp(a));
        // The index may list packages that the archive has since removed.
        let fetched =
            packages.iter().any(|package| self.fetch(&package.name, "*/vmlinuz*", &path).is_ok());
        if fetched { Ok(path) } else { Err(format!("Debian has no cloud kernel {line}")) }
    }

    /// Fetches a static busybox, for init.
    pub(super) fn busybox(&self) -> Result<PathBuf, String> {
        let path = self.dir.join("busybox");
        if !path.exists() {
            self.update();
            self.fetch("busybox-static", "*/bin/busybox", &path)?;
        }
        Ok(path)
    }

    /// Updates the lists of packages, once. Without network the existing lists are used.
    fn update(&self) {
        self.updated.get_or_init(|| {
            if let Err(message) = run(self.apt("apt-get").args(["-qq", "update"])) {
                eprintln!("{message}");
            }
        });
    }

    fn packages(&self) -> Result<Vec<Package>, String> {
        let names = self.apt("apt-cache").args(["pkgnames", "linux-"]).output();
        let names = names.map_err(|error| format!("apt-cache: {error}"))?.stdout;
        let names = String::from_utf8_lossy(&names);
        Ok(names.lines().filter_map(|name| Package::parse(name, self.architecture)).collect())
    }

    /// Extracts one file from a package; apt verifies the package by the signed index.
    fn fetch(&self, package: &str, pattern: &str, path: &Path) -> Result<(), String> {
        let io = |error: std::io::Error| format!("{package}: {error}");
        let dir = self.dir.join(format!("download-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(io)?;
        run(self.apt("apt-get").current_dir(&dir).args(["-qq", "download", package]))?;
        let deb = fs::read_dir(&dir).map_err(io)?.next().ok_or_else(|| format!("no {package}"))?;
        let deb = deb.map_err(io)?.path();
        let part = dir.join("part");
        let mut unpacked = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(deb)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("dpkg-deb: {error}"))?;
        run(Command::new("tar")
            .args(["--extract", "--to-stdout", "--wildcards", pattern])
            .stdin(unpacked.stdout.take().ok_or("dpkg-deb has no output")?)
            .stdout(File::create(&part).map_err(io)?))?;
        unpacked.wait().map_err(io)?;
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(io)?;
        fs::rename(&part, path).and_then(|()| fs::remove_dir_all(&dir)).map_err(io)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt/apt.conf"));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_with_a_kernel_is_the_greatest() {
        let ordered = [
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.19.14+deb13-cloud-amd64",
            "linux-binary-unsigned-6.19.14+deb13-cloud-amd64",
            "linux-binary-6.19.14+deb13-cloud-amd64",
        ];
        let parsed: Vec<_> =
            ordered.iter().filter_map(|name| Package::parse(name, "amd64")).collect();
        assert_eq!(parsed.len(), ordered.len());
        assert!(parsed.is_sorted());
        assert!(parsed[0].line() == Line(6, 1) && parsed[6].line() == Line(6, 19));
        for other in ["linux-image-6.12-cloud-amd64", "linux-image-6.12.9-amd64", "linux-doc-6.12"]
        {
            assert!(Package::parse(other, "amd64").is_none(), "{other}");
        }
    }
}
