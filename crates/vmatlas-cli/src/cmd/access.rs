//! `vmatlas access PID`: reports whether a user may read a process's maps, and the deciding rule.

use crate::args::AccessArgs;
use crate::output::access::Access;
use crate::output::{self, Format};
use crate::trouble::Trouble;
use vmatlas::access::Verdict;
use vmatlas::{Slot, may_read};

pub(crate) fn run(args: &AccessArgs) -> Result<bool, Trouble> {
    let proc = &args.common.proc;
    let Slot::Process(id) = Slot::of(&args.process, proc)? else {
        return Err(Trouble::new(format!("{}: access asks about a live process", args.process)));
    };
    let decision = may_read(proc, id, args.uid)?;
    let pid = id.tid.unwrap_or(id.pid);
    let answer = Access { pid, uid: args.uid, decision: &decision };
    output::print(&answer, Format::of(&args.common), &args.common)?;
    match decision.verdict {
        Verdict::Allowed => Ok(true),
        Verdict::Denied(_) => Ok(false),
        Verdict::Unknown => Err(Trouble::new(format!("process {pid}: {}", decision.why()))),
    }
}
