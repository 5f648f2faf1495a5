//! What the input is.

use crate::args::ExplainArgs;
use crate::target::{Slot, Target, Want};
use crate::trouble::Trouble;
use vmatlas::crash::apport_core;

/// What a crash is told by.
pub(super) enum Input {
    /// An address space.
    Target(Box<Target>),
    /// A log, which has mappings or not.
    Text(Vec<u8>),
}

impl Input {
    pub(super) fn read(args: &ExplainArgs) -> Result<Input, Trouble> {
        let want = Want { sizes: false, truths: true };
        let (name, proc) = (&args.input, &args.common.proc);
        if args.address.is_some() {
            return Ok(Input::Target(Box::new(Target::read(name, proc, &args.moment, want)?)));
        }
        let moment = Target::moment(name, &args.moment);
        if moment.is_none() && matches!(Slot::of(name, proc)?, Slot::Live(_)) {
            return Err(Trouble::new(format!(
                "{name}: a process that lives has not crashed; give an address that is to be \
                 explained: vmatlas explain {name} ADDR"
            )));
        }
        let text = match Target::read_or_text(name, &args.moment)? {
            Ok(target) => return Ok(Input::Target(Box::new(target))),
            Err(text) if text.is_empty() => {
                return Err(Trouble::new(format!(
                    "{name}: empty; give a core dump, a recording, lines of the kernel's log or a \
                     crash log"
                )));
            }
            Err(text) => text,
        };
        // A core tells more than the report of apport around it; of one that is cut what is there.
        let core: Option<Vec<u8>> = apport_core(&text)
            .map(|lines| lines.map_while(Result::ok).flatten().collect())
            .filter(|core: &Vec<u8>| !core.is_empty());
        Ok(match core.map(|core| Target::of_core(name, &core)) {
            Some(Ok(Some(target))) => Input::Target(Box::new(target)),
            _ => Input::Text(text),
        })
    }
}
