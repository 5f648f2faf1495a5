//! Hints on how to make a runtime name its code.

use super::frame::SymbolFrame;

/// One sentence on how to get names for frames in code that a runtime compiles or interprets;
/// `None` if no hint applies. `program` is the name or path of the program: `java`,
/// `/usr/bin/python3.11`.
///
/// ```
/// use vmatlas_object::symbols::{SymbolFrame, hint};
///
/// let nameless = SymbolFrame {
///     offset: Some(0x7f00_1234),
///     module: "[jit]".to_owned(),
///     ..SymbolFrame::default()
/// };
/// assert!(hint("node", &[nameless.clone()]).unwrap().contains("--perf-basic-prof"));
/// assert!(hint("bash", &[nameless]).is_none());
/// ```
///
/// # References
///
/// JDK 17 `jcmd PID help Compiler.perfmap` and `java -XX:+PrintFlagsFinal`; `node --v8-options`;
/// Python documentation, "Python support for the Linux perf profiler".
pub fn hint(program: &str, frames: &[SymbolFrame]) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let made = |frame: &SymbolFrame| frame.function.is_empty() && is_made(&frame.module);
    let interpreted = |frame: &SymbolFrame| frame.function.starts_with("_PyEval_EvalFrame");
    if name.starts_with("java") && frames.iter().any(made) {
        return Some(
            "Java writes the names of its code on `jcmd PID Compiler.perfmap` while it runs, or with \
             -XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit (JDK 17 and later); start it with \
             -XX:+PreserveFramePointer for whole stacks.",
        );
    }
    if name.starts_with("node") && frames.iter().any(made) {
        return Some(
            "Node writes the names of its code when it is started with --perf-basic-prof.",
        );
    }
    let python = |module: &str| {
        let file = module.rsplit('/').next().unwrap_or(module);
        file.starts_with("python") || file.starts_with("libpython")
    };
    let is_python = |frame: &SymbolFrame| {
        interpreted(frame) || frame.function.is_empty() && (python(&frame.module) || made(frame))
    };
    if name.starts_with("python") && frames.iter().any(is_python) {
        let versions = frames.iter().map(|frame| &*frame.module).chain([program]);
        return Some(match versions.filter_map(python_version).max() {
            Some(minor) if minor < 12 => {
                "Python writes the names of its functions from 3.12 on, when it is started with \
                 -X perf; this one is older."
            }
            _ => {
                "Python (3.12 and later) writes the names of its functions when it is started with \
                 -X perf or PYTHONPERFSUPPORT=1."
            }
        });
    }
    None
}

/// Whether memory with this name may hold code made at run time.
fn is_made(module: &str) -> bool {
    let prefixes = ["[jit]", "[anon", "//anon", "/memfd:", "/dev/zero", "/SYSV"];
    module.is_empty() || prefixes.iter().any(|prefix| module.starts_with(prefix))
}

/// The minor version, such as 11 of `/usr/lib/libpython3.11.so.1.0`.
fn python_version(path: &str) -> Option<u32> {
    let digits = path.rsplit('/').next()?.split_once("python3.")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
