//! Fetches debug files from a server with elfutils' `debuginfod-find`.
//!
//! The program checks its cache, asks the servers of `DEBUGINFOD_URLS`, and prints the path of the
//! file. The crate `debuginfod` 0.3 would do this in our process with an HTTP client and TLS: many
//! dependencies for a task that an installed program does.

use crate::regular_file::RegularFile;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Interval at which the program is polled for its end.
const POLL: Duration = Duration::from_millis(5);
/// Maximum output in bytes: a path and a line feed.
const MAX_OUTPUT: u64 = 8192;

/// The requested artifact.
#[derive(Clone, Copy)]
pub(super) enum Artifact {
    DebugInfo,
    Executable,
}

/// Asks `program` for the artifact of a build id, for at most `limit`.
pub(super) fn find(
    program: &Path,
    artifact: Artifact,
    build_id: &[u8],
    limit: Duration,
) -> Result<(PathBuf, RegularFile), String> {
    let artifact = match artifact {
        Artifact::DebugInfo => "debuginfo",
        Artifact::Executable => "executable",
    };
    let digits: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = program.display();
    let mut child = Command::new(program)
        .args([artifact, &digits])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name} (of the package elfutils or debuginfod): {error}"))?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => std::thread::sleep(POLL),
            stopped => {
                let _ = child.kill();
                let _ = child.wait();
                let why = match stopped {
                    Err(error) => error.to_string(),
                    Ok(_) => format!("no answer in {limit:?}"),
                };
                return Err(format!("{name}: {why}"));
            }
        }
    };
    if !status.success() {
        return Err(match std::env::var_os("DEBUGINFOD_URLS") {
            Some(_) => format!("{name} found nothing ({status})"),
            None => format!("{name} found nothing ({status}); DEBUGINFOD_URLS names no server"),
        });
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).map_err(|error| error.to_string())?;
    }
    let path = PathBuf::from(OsStr::from_bytes(output.trim_ascii_end()));
    let file = crate::own_files::open_regular(&path)
        .map_err(|error| format!("{name} names {}: {error}", path.display()))?;
    Ok((path, file))
}
