//! `vmatlas verify FILE…`: compares the model with the running kernel on scenarios.

use crate::args::VerifyArgs;
use crate::output::verify::Verified;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::fs;
use vmatlas::scenario::Random;
use vmatlas::{Verifier, VerifyReport};

pub(crate) fn run(args: &VerifyArgs) -> Result<bool, Trouble> {
    let mut verifier = Verifier::new(args.kernel, args.model_only)?;
    let mut unread = Vec::new();
    let report = match args.random {
        Some(_) if args.model_only => {
            return Err(Trouble::new(
                "random scenarios compare the model with the kernel: --random and --model-only \
                 exclude each other",
            ));
        }
        Some(count) => verifier.random(count, Random::new(args.seed.unwrap_or(1)))?,
        None => {
            let mut report = VerifyReport::default();
            for path in &args.files {
                let name = path.display();
                match fs::read(path) {
                    Ok(text) => {
                        unread.extend(report.check(&mut verifier, &name.to_string(), &text));
                    }
                    Err(error) => unread.push(format!("{name}: {error}")),
                }
            }
            report
        }
    };
    let answer = Verified { report: &report, unread: &unread };
    output::print(&answer, Format::of(&args.common), &args.common)?;
    let Some(last) = unread.pop() else { return Ok(report.failed == 0) };
    unread.iter().for_each(|message| notes::note(message));
    Err(Trouble::AfterAnswer(last))
}
