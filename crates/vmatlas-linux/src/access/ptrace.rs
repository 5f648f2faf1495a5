//! The ptrace check of a process that reads another.
use super::credentials::{Capabilities, Id, UserNamespace};
use super::facts::{AddressSpace, Facts};
use super::rule::{Outcome, Rule, Step, and_all, or_all};

/// The ptrace check, which hidepid uses too: all rules must pass, unless the first one grants.
///
/// # References
/// Linux 6.18 `__ptrace_may_access` in `kernel/ptrace.c`.
pub(super) fn ptrace_may_access(facts: &Facts) -> Vec<Step> {
    if facts.same_process {
        let why = "reader and target are one process";
        return vec![Step::new(Rule::SameThreadGroup, Outcome::Passes, why)];
    }
    vec![ids(facts), dumpable(facts), capabilities(facts), landlock(facts), security_module(facts)]
}

fn ids(facts: &Facts) -> Step {
    let (reader, target) = (&facts.reader, &facts.target);
    let compared = [("uid", reader.fsuid, target.uid), ("gid", reader.fsgid, target.gid)];
    let each = || {
        compared.iter().flat_map(|(kind, own, theirs)| {
            let which = ["real", "effective", "saved"].into_iter().zip(theirs);
            which.map(move |(which, id)| (own.same(*id), kind, own, which, id))
        })
    };
    let equal = and_all(each().map(|(same, ..)| same));
    let why = match each().find(|(same, ..)| *same == Some(false)) {
        Some((_, kind, own, which, id)) => {
            format!("{kind} {own} of the reader differs from the target's {which} {kind} {id}")
        }
        None if equal.is_none() => "not all ids of reader and target are known".into(),
        None => {
            format!("uid {} and gid {} of the reader are the target's", reader.fsuid, reader.fsgid)
        }
    };
    let step = with_capability(Rule::Ids, equal, why, facts, target_capable(facts));
    let uniform = |ids: [Id; 3]| ids.iter().all(|id| *id == ids[0]);
    match (target.uid[0], target.gid[0]) {
        (Id::Known(uid), Id::Known(gid)) if uniform(target.uid) && uniform(target.gid) => {
            step.help(format!("run as uid {uid} with gid {gid}"))
        }
        // No reader matches three different ids.
        _ => step,
    }
}

fn dumpable(facts: &Facts) -> Step {
    let target = &facts.target;
    let (dumpable, why) = match (target.address_space, target.dumpable) {
        // Linux before May 2026 does not check; later versions remember the state or refuse.
        (Some(AddressSpace::KernelThread | AddressSpace::Exited), _) => {
            (None, "the target has no address space")
        }
        (_, Some(true)) => (Some(true), "the target is dumpable"),
        (_, Some(false)) => (
            Some(false),
            "the target is not dumpable (it is set-user-ID, changed its ids, or asked for it)",
        ),
        (_, None) => (None, "whether the target is dumpable cannot be seen"),
    };
    with_capability(Rule::Dumpable, dumpable, why.into(), facts, mm_capable(facts)).help(
        "have the target call prctl(PR_SET_DUMPABLE, 1), or start it anew without a change of its ids",
    )
}

fn capabilities(facts: &Facts) -> Step {
    let (reader, target) = (&facts.reader, &facts.target);
    let same_ns = match (reader.user_ns, target.user_ns.as_deref()) {
        (Some(own), Some([theirs, ..])) => Some(own == theirs.id),
        _ => None,
    };
    let lacking = target.permitted.map(|theirs| theirs.without(reader.effective));
    let enough = lacking.map(|lacking| lacking == Capabilities::default());
    let why = match (same_ns, lacking) {
        (Some(false), _) => "reader and target are in different user namespaces".into(),
        (_, Some(lacking)) if enough == Some(false) => match lacking.0.count_ones() {
            count @ 5.. => {
                format!("the target has {count} permitted capabilities that the reader lacks")
            }
            _ => format!("the target has permitted capabilities that the reader lacks: {lacking}"),
        },
        (Some(true), Some(_)) => "the target has no capability that the reader lacks".into(),
        (None, _) => "whether reader and target are in one user namespace cannot be seen".into(),
        (_, None) => "the target's capabilities are not known".into(),
    };
    let passes = and_all([same_ns, enough]);
    with_capability(Rule::Capabilities, passes, why, facts, target_capable(facts))
}

fn landlock(facts: &Facts) -> Step {
    let step = |outcome, why| Step::new(Rule::Landlock, outcome, why);
    match facts.landlock {
        Some(true) => step(Outcome::Passes, "no Landlock domain keeps the reader from the target"),
        Some(false) => {
            step(Outcome::Refuses, "the target is outside of the reader's Landlock domain")
                .help("leave the Landlock sandbox")
        }
        None => step(Outcome::Unknown, "whether the reader is in a Landlock domain cannot be seen")
            .help("if the reader is in a Landlock sandbox, leave it"),
    }
}

fn security_module(facts: &Facts) -> Step {
    let step = |outcome, why| Step::new(Rule::SecurityModule, outcome, why);
    match facts.security_module {
        Some(true) => {
            step(Outcome::Passes, "neither SELinux, Smack nor AppArmor restricts the target")
        }
        Some(false) => step(Outcome::Refuses, "SELinux, Smack or AppArmor refuses")
            .help("see the audit log for the denial"),
        None => step(Outcome::Unknown, "the answer of SELinux, Smack or AppArmor is not known")
            .help("if the audit log has a denial, change the policy"),
    }
}

/// A rule that `CAP_SYS_PTRACE` in a user namespace overrides.
fn with_capability(
    rule: Rule,
    holds: Option<bool>,
    mut why: String,
    facts: &Facts,
    capable: Option<bool>,
) -> Step {
    let outcome = match or_all([holds, capable]) {
        Some(true) => Outcome::Passes,
        Some(false) => Outcome::Refuses,
        None => Outcome::Unknown,
    };
    if holds != Some(true) {
        why += match capable {
            Some(true) => ", but it has CAP_SYS_PTRACE over the target",
            Some(false) => ", and it has no CAP_SYS_PTRACE over the target",
            None => ", and it is not known to have CAP_SYS_PTRACE over the target",
        };
    }
    let held = facts.reader.effective.contains(Capabilities::SYS_PTRACE);
    let likely_refuses = outcome == Outcome::Unknown && holds == Some(false) && !held;
    Step { likely_refuses, ..Step::new(rule, outcome, why) }
}

fn target_capable(facts: &Facts) -> Option<bool> {
    facts.reader.capable(facts.target.user_ns.as_deref(), Capabilities::SYS_PTRACE)
}

/// Like [`target_capable`], for the user namespace of the address space. If only candidates are
/// known, they must agree.
fn mm_capable(facts: &Facts) -> Option<bool> {
    let capable =
        |lineage: Option<&[UserNamespace]>| facts.reader.capable(lineage, Capabilities::SYS_PTRACE);
    let Some(lineage) = facts.target.user_ns.as_deref() else { return capable(None) };
    let mut answers = (0..lineage.len())
        .filter(|&depth| {
            facts.target.mm_user_ns.as_ref().is_none_or(|ids| ids.contains(&lineage[depth].id))
        })
        .map(|depth| capable(Some(&lineage[depth..])))
        // Capabilities in an invisible namespace would show in all of these.
        .chain(facts.target.mm_user_ns.is_none().then_some(capable(Some(&[]))));
    let first = answers.next()?;
    answers.all(|answer| answer == first).then_some(first)?
}
