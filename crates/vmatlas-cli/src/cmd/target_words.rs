//! Words of commands that take `TARGET ADDR…`, of which `--pid` may replace TARGET.

use super::open;
use crate::args::{CommonArgs, MomentArgs};
use crate::trouble::Trouble;
use vmatlas::may_read;

/// The target of a command and the words after it.
pub(crate) struct TargetWords {
    pub(crate) target: String,
    pub(crate) rest: Vec<String>,
    /// Without the process, if it is the target.
    pub(crate) moment: MomentArgs,
}

impl TargetWords {
    /// With `--pid`, the first word is the target if it is a file or `-`, whose process PID is; else
    /// it is an address in the live process PID.
    pub(crate) fn new(
        first: Option<&str>,
        rest: &[String],
        moment: &MomentArgs,
        common: &CommonArgs,
    ) -> Result<TargetWords, Trouble> {
        let words = || first.map(str::to_owned).into_iter().chain(rest.iter().cloned());
        let Some(pid) = moment.pid else {
            let mut words = words();
            let target = words.next().unwrap_or_default();
            return Ok(TargetWords { target, rest: words.collect(), moment: moment.clone() });
        };
        match first {
            Some(word) if word == "-" || open(word, common, moment).is_file() => {
                let target = word.to_owned();
                Ok(TargetWords { target, rest: rest.to_vec(), moment: moment.clone() })
            }
            Some(word) if !rest.is_empty() && (word == "self" || is_process(word, common)) => {
                let or = match word {
                    "self" => String::new(),
                    number => format!(", or write 0x{number} for an address"),
                };
                Err(Trouble::new(format!(
                    "{word} is a process, and --pid {pid} names one too; leave out one of them{or}"
                )))
            }
            _ => Ok(TargetWords {
                target: pid.to_string(),
                rest: words().collect(),
                moment: MomentArgs { pid: None, ..moment.clone() },
            }),
        }
    }
}

/// Whether a word is the number of a process, which could also be an address.
fn is_process(word: &str, common: &CommonArgs) -> bool {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let id =
        if is_number { open(word, common, &MomentArgs::default()).process().ok() } else { None };
    id.flatten().is_some_and(|id| may_read(&common.proc, id, None).is_ok())
}
