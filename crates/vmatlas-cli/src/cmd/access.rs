//! `vmatlas access PID`: reports whether a user may read a process's maps, and the deciding rule.

use crate::args::AccessArgs;
use crate::output::access::Access;
use crate::output::{self, Format};
use crate::trouble::Trouble;
use vmatlas::access::{Verdict, user_id};
use vmatlas::words::printable;
use vmatlas::{Slot, may_read};

pub(crate) fn run(args: &AccessArgs) -> Result<bool, Trouble> {
    let proc = &args.common.proc;
    let Slot::Process(id) = Slot::of(&args.process, proc)? else {
        return Err(Trouble::new(format!("{}: access asks about a live process", args.process)));
    };
    let uid = args.user.as_deref().map(uid).transpose()?;
    let decision = may_read(proc, id, uid)?;
    let pid = id.tid.unwrap_or(id.pid);
    let answer = Access { pid, uid, decision: &decision };
    output::print(&answer, Format::of(&args.common), &args.common)?;
    match decision.verdict {
        Verdict::Allowed => Ok(true),
        Verdict::Denied(_) => Ok(false),
        Verdict::Unknown => Err(Trouble::AfterAnswer(format!("process {pid}: {}", decision.why()))),
    }
}

/// The number of a user, given by number or by name.
fn uid(user: &str) -> Result<u32, Trouble> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let missing = || {
        let user = printable(user.as_bytes());
        Trouble::new(format!(
            "--as {user}: neither /etc/passwd nor getent(1) has a user of that name; give a number"
        ))
    };
    user_id(user).map_err(vmatlas::Error::from)?.ok_or_else(missing)
}
