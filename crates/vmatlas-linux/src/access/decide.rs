//! The decision: the kernel's rules over the facts, in the kernel's order.
use rustix::io::Errno;

use super::credentials::Capabilities;
use super::facts::{AddressSpace, Facts, HidePid};
use super::ptrace::ptrace_may_access;
use super::rule::{Decision, Outcome, Rule, Step, Verdict, and_all, or_all};

/// Decides whether the reader may open `/proc/PID/maps`.
///
/// # References
/// Linux 6.18: `proc_pid_lookup`, `proc_pid_permission`, `proc_mem_open` (`fs/proc/base.c`), `mm_access`
/// (`kernel/fork.c`), `__ptrace_may_access` (`kernel/ptrace.c`).
pub fn decide(facts: &Facts) -> Decision {
    let ptrace = ptrace_may_access(facts);
    let by_rules = and_all(ptrace.iter().map(Step::passed));
    let seen = observed_ptrace(facts);
    let allowed_by_ptrace = by_rules.or(seen);

    let exists = exists(facts);
    let hidden = hidepid(facts, allowed_by_ptrace);
    let file_open = file_open(facts);
    let no_mm = no_address_space(facts);
    let own_mm = own_address_space(facts);
    let perfmon = perfmon(facts);

    let granted = or_all([no_mm.passed(), own_mm.passed(), allowed_by_ptrace, perfmon.passed()]);
    let (verdict, rule) = if exists.outcome == Outcome::Refuses {
        (Verdict::Denied(Errno::NOENT), Rule::Exists)
    } else if hidden.outcome == Outcome::Refuses {
        (Verdict::Denied(hidden_error(facts)), Rule::HidePid)
    } else if exists.outcome == Outcome::Unknown {
        (Verdict::Unknown, Rule::Exists)
    } else if hidden.outcome == Outcome::Unknown {
        (Verdict::Unknown, Rule::HidePid)
    } else if file_open.outcome == Outcome::Refuses {
        (Verdict::Denied(Errno::ACCESS), Rule::FileOpen)
    } else {
        match granted {
            Some(false) => (Verdict::Denied(Errno::ACCESS), refusing_rule(&ptrace)),
            None => (Verdict::Unknown, unknown_rule(&ptrace)),
            Some(true) if file_open.outcome == Outcome::Unknown => {
                (Verdict::Unknown, Rule::FileOpen)
            }
            Some(true) => {
                let granting =
                    [&no_mm, &own_mm].into_iter().find(|step| step.passed() == Some(true));
                let rule = match granting {
                    Some(step) => step.rule,
                    None if by_rules == Some(true) => ptrace[0].rule,
                    None if perfmon.passed() == Some(true) => Rule::Perfmon,
                    None => Rule::Observed,
                };
                (Verdict::Allowed, rule)
            }
        }
    };

    // An invisible rule (a BPF program in the kernel) may refuse.
    let answer = facts.observed.map(|observed| observed.maps);
    let (verdict, rule, contradicted) = match (answer, verdict) {
        (Some(Ok(())), Verdict::Denied(_)) => (Verdict::Allowed, Rule::Observed, true),
        (Some(Err(errno)), Verdict::Allowed) => (Verdict::Denied(errno), Rule::Observed, true),
        _ => (verdict, rule, false),
    };

    let mut steps = vec![exists];
    if rule != Rule::Exists {
        steps.extend([hidden, file_open, no_mm, own_mm]);
        steps.extend(ptrace);
        if let (None, Some(answer)) = (by_rules, seen) {
            steps.push(observed(answer));
        }
        steps.push(perfmon);
        if contradicted {
            steps.retain(|step| step.rule != Rule::Observed);
            steps.push(opened(verdict == Verdict::Allowed));
        }
    }
    let help = if verdict == Verdict::Allowed { Vec::new() } else { help(facts, rule, &steps) };
    Decision { verdict, rule, steps, help }
}

/// Remedies for the rules that refuse, surely or likely, with the capability that overrides them.
fn help(facts: &Facts, decider: Rule, steps: &[Step]) -> Vec<String> {
    let in_the_way: Vec<_> = steps
        .iter()
        .filter(|s| s.outcome == Outcome::Refuses || s.likely_refuses || s.rule == decider)
        .collect();
    let mut help: Vec<String> = in_the_way.iter().filter_map(|step| step.help.clone()).collect();
    let by_capability = [Rule::Ids, Rule::Dumpable, Rule::Capabilities];
    if in_the_way.iter().any(|step| by_capability.contains(&step.rule)) {
        let namespace = match facts.target.user_ns.as_deref() {
            Some([ns, ..]) => ns.id.to_string(),
            _ => "the target's user namespace".to_owned(),
        };
        let hidden = in_the_way.iter().any(|step| step.rule == Rule::HidePid);
        let or_perfmon = match facts.perfmon_reads && !hidden {
            true => ", or CAP_PERFMON in the initial user namespace",
            false => "",
        };
        help.push(format!("have CAP_SYS_PTRACE in {namespace}{or_perfmon} (sudo)"));
    }
    help
}

fn exists(facts: &Facts) -> Step {
    let pid = facts.pid;
    match facts.target.exists {
        Some(true) => Step::new(Rule::Exists, Outcome::Passes, format!("process {pid} exists")),
        Some(false) => Step::new(
            Rule::Exists,
            Outcome::Refuses,
            format!("there is no process {pid} in this /proc"),
        )
        .help("look for the process with ps; a pid counts in one pid namespace only"),
        None => Step::new(
            Rule::Exists,
            Outcome::Unknown,
            format!("process {pid} does not exist or is hidden from this user"),
        )
        .help("ask as root"),
    }
}

fn hidepid(facts: &Facts, ptrace: Option<bool>) -> Step {
    let step = |outcome, why: String| Step::new(Rule::HidePid, outcome, why);
    let elsewhere = "use a /proc mounted without hidepid";
    let Some(hidepid) = facts.mount.hidepid else {
        let step = match facts.observed.map(|o| o.status) {
            Some(Ok(())) => step(Outcome::Passes, "this reader may enter /proc/PID".into()),
            Some(Err(Errno::PERM | Errno::NOENT)) if facts.target.exists != Some(false) => {
                step(Outcome::Refuses, "this reader may not enter /proc/PID".into())
            }
            _ => step(Outcome::Unknown, "the mount options of this /proc are not known".into()),
        };
        return step.help(elsewhere);
    };
    if hidepid == HidePid::Off {
        return step(Outcome::Passes, "this /proc hides nothing".into());
    }
    let option = match hidepid {
        HidePid::NoAccess => "hidepid=noaccess (1)",
        HidePid::Invisible => "hidepid=invisible (2)",
        _ => "hidepid=ptraceable (4)",
    };
    let gid = facts.mount.gid;
    let mut ways = vec![ptrace];
    if hidepid != HidePid::Ptraceable {
        let groups = facts.reader.groups.iter().chain([&facts.reader.fsgid]);
        ways.push(or_all(groups.map(|group| group.same(gid))));
    }
    let entered = or_all(ways).or(facts.observed.and_then(|o| match o.status {
        Err(Errno::PERM | Errno::NOENT) => Some(false),
        Err(_) => None,
        Ok(()) => Some(true),
    }));
    let help = match hidepid {
        HidePid::Ptraceable => elsewhere.to_owned(),
        _ => format!("be in group {gid}, or {elsewhere}"),
    };
    match entered {
        Some(true) => step(Outcome::Passes, format!("{option} lets this reader in")),
        Some(false) => {
            step(Outcome::Refuses, format!("{option} refuses readers that fail the ptrace check"))
                .help(help)
        }
        None => step(Outcome::Unknown, format!("{option}, and the ptrace check is not known"))
            .help(help),
    }
}

/// With `ptraceable` the error depends on the lookup cache; a recent observation is the best
/// evidence.
fn hidden_error(facts: &Facts) -> Errno {
    match (facts.mount.hidepid, facts.observed.map(|o| o.status)) {
        (_, Some(Err(seen))) => seen,
        (Some(HidePid::NoAccess), _) => Errno::PERM,
        _ => Errno::NOENT,
    }
}

fn file_open(facts: &Facts) -> Step {
    let seen = facts.observed.and_then(|o| match o.status {
        Ok(()) => Some(true),
        Err(Errno::ACCESS) => Some(false),
        Err(_) => None,
    });
    let step = |outcome, why| Step::new(Rule::FileOpen, outcome, why);
    match facts.file_open.or(seen) {
        Some(true) => step(Outcome::Passes, "no security module keeps this reader from /proc"),
        Some(false) => {
            step(Outcome::Refuses, "a security module keeps this reader from files of /proc")
                .help("leave the sandbox, or let it read below /proc")
        }
        None => {
            step(Outcome::Unknown, "a security module may keep this reader from files of /proc")
                .help("ask as the reader itself")
        }
    }
}

fn no_address_space(facts: &Facts) -> Step {
    let step = |outcome, why| Step::new(Rule::NoAddressSpace, outcome, why);
    match facts.target.address_space {
        Some(AddressSpace::Present) => {
            step(Outcome::DoesNotApply, "the target has an address space")
        }
        Some(AddressSpace::KernelThread) => step(Outcome::Grants, "the target is a kernel thread"),
        Some(AddressSpace::Exited) => step(Outcome::Grants, "the target's main thread has exited"),
        None => step(Outcome::Unknown, "whether the target has an address space is not known"),
    }
}

fn own_address_space(facts: &Facts) -> Step {
    if facts.same_address_space {
        Step::new(Rule::OwnAddressSpace, Outcome::Grants, "it is the reader's own address space")
    } else {
        Step::new(
            Rule::OwnAddressSpace,
            Outcome::DoesNotApply,
            "it is not the reader's address space",
        )
    }
}

fn perfmon(facts: &Facts) -> Step {
    let step = |outcome, why| Step::new(Rule::Perfmon, outcome, why);
    let held = [Capabilities::PERFMON, Capabilities::SYS_ADMIN]
        .iter()
        .any(|&capability| facts.reader.effective.contains(capability));
    match facts.reader.user_ns {
        _ if !facts.perfmon_reads => step(Outcome::DoesNotApply, "this kernel is older than 6.15"),
        _ if !held => {
            step(Outcome::DoesNotApply, "the reader has neither CAP_PERFMON nor CAP_SYS_ADMIN")
        }
        None => step(Outcome::Unknown, "the reader's user namespace is not known"),
        Some(ns) if !ns.is_initial() => step(
            Outcome::DoesNotApply,
            "the reader's capabilities count in its user namespace only",
        ),
        Some(_) => step(Outcome::Grants, "the reader has CAP_PERFMON or CAP_SYS_ADMIN"),
    }
}

fn observed(answer: bool) -> Step {
    if answer {
        Step::new(Rule::Observed, Outcome::Passes, "the kernel let this reader pass the same check")
    } else {
        Step::new(
            Rule::Observed,
            Outcome::Refuses,
            "the kernel refused this reader in the same check, by one of the rules that are not known here",
        )
    }
}

/// The kernel's answer when the reader opened the file, compared with the known facts.
fn opened(answer: bool) -> Step {
    let (outcome, why) = if answer {
        (
            Outcome::Grants,
            "the kernel let this reader open the file, by a rule that cannot be seen from here",
        )
    } else {
        (
            Outcome::Refuses,
            "the kernel refused to open the file for this reader, by a rule that cannot be seen from here, such \
             as a BPF program at a security hook",
        )
    };
    let help = "ask the administrator which security module or BPF program guards the process";
    Step { help: (!answer).then(|| help.to_owned()), ..Step::new(Rule::Observed, outcome, why) }
}

/// The kernel's answer to the reader's same check.
fn observed_ptrace(facts: &Facts) -> Option<bool> {
    let observed = facts.observed?;
    let hidden = observed.status == Err(Errno::NOENT) && facts.target.exists == Some(true);
    observed.ptrace().or(hidden.then_some(false))
}

/// The rule of the ptrace check that refuses, otherwise the likeliest: see [`Decision::rule`].
fn refusing_rule(steps: &[Step]) -> Rule {
    let mut unknown = steps.iter().filter(|step| step.outcome == Outcome::Unknown);
    let sure = steps.iter().find(|step| step.outcome == Outcome::Refuses);
    let likely = steps.iter().find(|step| step.likely_refuses);
    match (sure.or(likely), unknown.next(), unknown.next()) {
        (Some(step), ..) | (None, Some(step), None) => step.rule,
        _ => Rule::Observed,
    }
}

fn unknown_rule(steps: &[Step]) -> Rule {
    let unknown = steps.iter().find(|step| step.outcome == Outcome::Unknown);
    unknown.map_or(Rule::Observed, |step| step.rule)
}

#[cfg(test)]
mod tests {
    use super::super::credentials::{Credentials, Id, NamespaceId, UserNamespace};
    use super::super::facts::{Observed, ProcMount, Target};
    use super::*;

    const INITIAL: NamespaceId = NamespaceId::INITIAL;
    const INNER: NamespaceId = NamespaceId { device: 4, inode: 7 };
    const ANN: Id = Id::Known(1000);
    const BOB: Id = Id::Known(1001);
    const ROOT: Id = Id::Known(0);

    /// The initial namespace, or a namespace owned by Ann inside it.
    fn lineage(inner: bool) -> Option<Vec<UserNamespace>> {
        let initial = UserNamespace { id: INITIAL, owner: ROOT };
        let inner = inner.then_some(UserNamespace { id: INNER, owner: ANN });
        Some(inner.into_iter().chain([initial]).collect())
    }

    /// Ann reads her own program, and no rule refuses.
    fn ann() -> Facts {
        Facts {
            pid: 42,
            reader: Credentials {
                process: None,
                euid: ANN,
                fsuid: ANN,
                fsgid: ANN,
                groups: vec![],
                effective: Capabilities::default(),
                user_ns: Some(INITIAL),
                landlocked: Some(false),
            },
            same_process: false,
            same_address_space: false,
            mount: ProcMount { hidepid: Some(HidePid::Off), gid: Id::Known(50) },
            target: Target {
                exists: Some(true),
                uid: [ANN; 3],
                gid: [ANN; 3],
                address_space: Some(AddressSpace::Present),
                dumpable: Some(true),
                permitted: Some(Capabilities::default()),
                user_ns: lineage(false),
                mm_user_ns: Some(vec![INITIAL]),
            },
            landlock: Some(true),
            security_module: Some(true),
            file_open: Some(true),
            perfmon_reads: true,
            observed: None,
        }
    }

    const ALLOWED: Verdict = Verdict::Allowed;
    const EACCES: Verdict = Verdict::Denied(Errno::ACCESS);
    const EPERM: Verdict = Verdict::Denied(Errno::PERM);
    const ENOENT: Verdict = Verdict::Denied(Errno::NOENT);
    const UNKNOWN: Verdict = Verdict::Unknown;

    /// Checks the decision about Ann's facts after these changes.
    #[track_caller]
    fn check(changes: &[&dyn Fn(&mut Facts)], verdict: Verdict, rule: Rule) {
        let mut facts = ann();
        changes.iter().for_each(|change| change(&mut facts));
        let decision = decide(&facts);
        assert_eq!((decision.verdict, decision.rule), (verdict, rule), "{decision:#?}");
        assert_ne!(decision.why(), "");
        assert_eq!(decision.help.is_empty(), verdict == ALLOWED, "{decision:#?}");
    }

    #[test]
    fn ids() {
        check(&[], ALLOWED, Rule::Ids);
        check(&[&|f| f.target.uid[0] = BOB], EACCES, Rule::Ids);
        check(&[&|f| f.target.uid[2] = BOB], EACCES, Rule::Ids);
        check(&[&|f| f.target.gid[1] = BOB], EACCES, Rule::Ids);
        check(&[&|f| f.reader.euid = BOB], ALLOWED, Rule::Ids);
        check(&[&|f| f.reader.fsuid = BOB], EACCES, Rule::Ids);
        check(&[&|f| f.reader.fsgid = Id::Unknown], UNKNOWN, Rule::Ids);
        let unmapped = |f: &mut Facts| f.target.uid = [Id::Unmapped; 3];
        check(&[&unmapped], EACCES, Rule::Ids);
        check(&[&unmapped, &|f| f.reader.fsuid = Id::Unmapped], UNKNOWN, Rule::Ids);
        check(&[&unmapped, &|f| f.same_process = true], ALLOWED, Rule::SameThreadGroup);
        check(&[&unmapped, &|f| f.same_address_space = true], ALLOWED, Rule::OwnAddressSpace);
    }

    #[test]
    fn dumpable_and_capabilities() {
        let not_dumpable = |f: &mut Facts| f.target.dumpable = Some(false);
        let permitted = |f: &mut Facts| f.target.permitted = Some(Capabilities::PERFMON);
        check(&[&not_dumpable], EACCES, Rule::Dumpable);
        check(&[&|f| f.target.dumpable = None], UNKNOWN, Rule::Dumpable);
        check(&[&permitted], EACCES, Rule::Capabilities);
        check(&[&|f| f.target.permitted = None], UNKNOWN, Rule::Capabilities);
        // One capability satisfies all three rules.
        let ptrace = |f: &mut Facts| f.reader.effective = Capabilities::SYS_PTRACE;
        check(
            &[&not_dumpable, &permitted, &|f| f.target.uid[0] = ROOT, &ptrace],
            ALLOWED,
            Rule::Ids,
        );
    }

    #[test]
    fn perfmon() {
        let root = |f: &mut Facts| f.target.uid = [ROOT; 3];
        let perfmon = |f: &mut Facts| f.reader.effective = Capabilities::PERFMON;
        check(&[&root, &perfmon], ALLOWED, Rule::Perfmon);
        check(&[&root, &|f| f.reader.effective = Capabilities::SYS_ADMIN], ALLOWED, Rule::Perfmon);
        check(&[&root, &perfmon, &|f| f.perfmon_reads = false], EACCES, Rule::Ids);
        check(&[&root, &perfmon, &|f| f.reader.user_ns = Some(INNER)], EACCES, Rule::Ids);
        // hidepid uses the ptrace check only.
        let hidden = |f: &mut Facts| f.mount.hidepid = Some(HidePid::NoAccess);
        check(&[&root, &perfmon, &hidden], EPERM, Rule::HidePid);
    }

    #[test]
    fn user_namespaces() {
        let inside = |f: &mut Facts| {
            f.target.user_ns = lineage(true);
            f.target.uid = [Id::Known(100_000); 3];
            f.target.permitted = Some(Capabilities(!0));
        };
        // The creator of a namespace has every capability over it.
        check(&[&inside], ALLOWED, Rule::Ids);
        check(&[&inside, &|f| f.reader.fsuid = BOB], ALLOWED, Rule::Ids);
        check(&[&inside, &|f| f.reader.euid = BOB], EACCES, Rule::Ids);
        // But not over an address space from before.
        let not_dumpable = |f: &mut Facts| f.target.dumpable = Some(false);
        let of = |list: &[NamespaceId]| {
            let list = list.to_vec();
            move |f: &mut Facts| f.target.mm_user_ns = Some(list.clone())
        };
        check(&[&inside, &not_dumpable, &of(&[INITIAL])], EACCES, Rule::Dumpable);
        check(&[&inside, &not_dumpable, &of(&[INNER])], ALLOWED, Rule::Ids);
        check(&[&inside, &not_dumpable, &of(&[INNER, INITIAL])], UNKNOWN, Rule::Dumpable);
        // Capabilities inside a namespace do not count outside.
        let all = |f: &mut Facts| f.reader.effective = Capabilities(!0);
        check(&[&all, &|f| f.reader.user_ns = Some(INNER)], EACCES, Rule::Capabilities);
        // An invisible namespace may be the reader's own, unless the reader has every capability.
        let unseen = |f: &mut Facts| f.target.user_ns = None;
        check(&[&inside, &unseen], UNKNOWN, Rule::Ids);
        check(&[&inside, &unseen, &all], ALLOWED, Rule::Ids);
    }

    #[test]
    fn hidepid() {
        let option = |option| move |f: &mut Facts| f.mount.hidepid = Some(option);
        let root = |f: &mut Facts| f.target.uid = [ROOT; 3];
        check(&[&option(HidePid::NoAccess)], ALLOWED, Rule::Ids);
        check(&[&option(HidePid::NoAccess), &root], EPERM, Rule::HidePid);
        check(&[&option(HidePid::Invisible), &root], ENOENT, Rule::HidePid);
        check(&[&option(HidePid::Ptraceable), &root], ENOENT, Rule::HidePid);
        check(&[&|f| f.mount.hidepid = None, &root], UNKNOWN, Rule::HidePid);
        // The group permits entry only, and not with ptraceable.
        let member = |f: &mut Facts| f.reader.groups = vec![Id::Known(50)];
        check(&[&option(HidePid::Invisible), &root, &member], EACCES, Rule::Ids);
        check(&[&option(HidePid::Ptraceable), &root, &member], ENOENT, Rule::HidePid);
    }

    #[test]
    fn nothing_to_read() {
        for state in [AddressSpace::KernelThread, AddressSpace::Exited] {
            let empty = |f: &mut Facts| {
                f.target.uid = [ROOT; 3];
                f.target.address_space = Some(state);
            };
            check(&[&empty], ALLOWED, Rule::NoAddressSpace);
            let hidden = |f: &mut Facts| f.mount.hidepid = Some(HidePid::Invisible);
            check(&[&empty, &hidden], ENOENT, Rule::HidePid);
        }
        check(&[&|f| f.target.exists = Some(false)], ENOENT, Rule::Exists);
    }

    #[test]
    fn security_modules() {
        let not_dumpable = |f: &mut Facts| f.target.dumpable = Some(false);
        let unknown =
            |f: &mut Facts| (f.file_open, f.landlock, f.security_module) = (None, None, None);
        check(&[&|f| f.landlock = Some(false)], EACCES, Rule::Landlock);
        check(&[&|f| f.security_module = Some(false)], EACCES, Rule::SecurityModule);
        check(&[&|f| f.file_open = Some(false)], EACCES, Rule::FileOpen);
        check(&[&|f| f.file_open = None], UNKNOWN, Rule::FileOpen);
        check(&[&unknown], UNKNOWN, Rule::Landlock);
        // An unknown rule does not matter if another rule refuses with the same error.
        check(&[&unknown, &not_dumpable], EACCES, Rule::Dumpable);
    }

    #[test]
    fn what_the_kernel_answered() {
        let seen = |status, cwd| {
            move |f: &mut Facts| {
                f.observed = Some(Observed { status, cwd, maps: status.and(cwd) });
                (f.landlock, f.file_open) = (None, None);
            }
        };
        let refused = seen(Ok(()), Err(Errno::ACCESS));
        check(&[&seen(Ok(()), Ok(()))], ALLOWED, Rule::Observed);
        check(&[&refused], EACCES, Rule::Landlock); // all others are known to pass
        check(&[&seen(Err(Errno::ACCESS), Ok(()))], EACCES, Rule::FileOpen);
        // A plain user reads root: the uid decides, although the namespace is invisible.
        let root = |f: &mut Facts| {
            f.target.uid = [ROOT; 3];
            f.target.user_ns = None;
        };
        check(&[&refused, &root], EACCES, Rule::Ids);
        let invisible = |f: &mut Facts| {
            seen(Err(Errno::NOENT), Err(Errno::NOENT))(f);
            f.mount.hidepid = Some(HidePid::Invisible);
            f.target = Target { exists: Some(true), ..Target::unknown() };
        };
        check(&[&invisible], ENOENT, Rule::HidePid);
        check(&[&invisible, &|f| f.target.exists = None], ENOENT, Rule::HidePid);
        check(&[&invisible, &|f| f.mount.hidepid = None], ENOENT, Rule::HidePid);
        // An observed answer stands even if no rule explains it.
        let unexplained = |f: &mut Facts| {
            f.observed = Some(Observed { status: Ok(()), cwd: Ok(()), maps: Err(Errno::ACCESS) });
        };
        check(&[&unexplained], EACCES, Rule::Observed);
    }
}
