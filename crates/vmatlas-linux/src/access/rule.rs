//! The terms of a decision: rules, outcomes and the verdict.
use rustix::io::Errno;
use std::fmt;

/// Whether the file may be opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `open` succeeds. It reads as empty if the rule is [`Rule::NoAddressSpace`].
    Allowed,
    /// `open` fails with this error.
    Denied(Errno),
    /// A required fact is unknown.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Verdict::Allowed => f.write_str("allowed"),
            Verdict::Denied(Errno::ACCESS) => f.write_str("denied (EACCES)"),
            Verdict::Denied(Errno::NOENT) => f.write_str("denied (ENOENT)"),
            Verdict::Denied(Errno::PERM) => f.write_str("denied (EPERM)"),
            Verdict::Denied(errno) => write!(f, "denied ({errno})"),
            Verdict::Unknown => f.write_str("unknown"),
        }
    }
}

/// A rule of the kernel. Its text states the rule and the kernel function.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The process must exist.
    Exists,
    /// The mount option `hidepid` of that /proc.
    HidePid,
    /// Security modules check the opening of any file.
    FileOpen,
    /// A process without an address space has no memory to protect.
    NoAddressSpace,
    /// Every process may read its own address space.
    OwnAddressSpace,
    /// The threads of one process may read each other.
    SameThreadGroup,
    /// Equal ids, or `CAP_SYS_PTRACE`.
    Ids,
    /// Dumpable, or `CAP_SYS_PTRACE`.
    Dumpable,
    /// The target has no capability that the reader lacks, or `CAP_SYS_PTRACE`.
    Capabilities,
    /// A Landlock domain denies access to processes outside of it.
    Landlock,
    /// SELinux, Smack or AppArmor.
    SecurityModule,
    /// `CAP_PERFMON`, or `CAP_SYS_ADMIN`.
    Perfmon,
    /// The facts alone do not decide, but the kernel answered the same check.
    Observed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Exists => "this /proc must have the process (proc_pid_lookup)",
            Rule::HidePid => {
                "with hidepid, only those who pass the ptrace check or are in the gid= group may enter \
                 /proc/PID (has_pid_permissions)"
            }
            Rule::FileOpen => "security modules must let the reader open files of /proc (security_file_open)",
            Rule::NoAddressSpace => "without an address space the file opens and is empty (get_task_mm)",
            Rule::OwnAddressSpace => "everybody may read their own address space (may_access_mm)",
            Rule::SameThreadGroup => "threads of one process may read each other (__ptrace_may_access)",
            Rule::Ids => {
                "the reader's fsuid and fsgid must equal the target's real, effective and saved ids, or it \
                 needs CAP_SYS_PTRACE in the target's user namespace (__ptrace_may_access)"
            }
            Rule::Dumpable => {
                "the target must be dumpable, or the reader needs CAP_SYS_PTRACE in the user namespace of \
                 its address space (__ptrace_may_access)"
            }
            Rule::Capabilities => {
                "the reader must be in the same user namespace and have all capabilities permitted to the \
                 target, or needs CAP_SYS_PTRACE in the target's (cap_ptrace_access_check)"
            }
            Rule::Landlock => {
                "a reader in a Landlock domain may read processes of this domain only \
                 (hook_ptrace_access_check)"
            }
            Rule::SecurityModule => {
                "SELinux, Smack and AppArmor must agree (security_ptrace_access_check)"
            }
            Rule::Perfmon => {
                "since Linux 6.15, CAP_PERFMON or CAP_SYS_ADMIN in the initial user namespace is enough to \
                 read (may_access_mm)"
            }
            Rule::Observed => "the kernel has answered the same check about /proc/PID/cwd (proc_pid_readlink)",
        })
    }
}

/// The outcome of a rule.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The rule permits reading, even if other rules of the ptrace check refuse.
    Grants,
    /// The rule does not object.
    Passes,
    /// The rule does not apply; another rule decides.
    DoesNotApply,
    /// The rule refuses.
    Refuses,
    /// A fact is missing.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Grants => "grants",
            Outcome::Passes => "passes",
            Outcome::DoesNotApply => "does not apply",
            Outcome::Refuses => "refuses",
            Outcome::Unknown => "unknown",
        })
    }
}

/// A rule and its outcome for these facts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason with the facts, in one sentence.
    pub why: String,
    /// A remedy besides a capability.
    pub(super) help: Option<String>,
    /// Unknown only because the user namespace is unknown; there the reader might have a capability
    /// that it lacks in its own.
    pub(super) likely_refuses: bool,
}

impl Step {
    pub(super) fn new(rule: Rule, outcome: Outcome, why: impl Into<String>) -> Step {
        Step { rule, outcome, why: why.into(), help: None, likely_refuses: false }
    }

    /// Whether the rule passed; `None` if unknown.
    pub(super) fn passed(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Grants | Outcome::Passes => Some(true),
            Outcome::DoesNotApply | Outcome::Refuses => Some(false),
            Outcome::Unknown => None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Step {
        Step { help: Some(help.into()), ..self }
    }
}

/// The verdict and its reasons.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the file may be opened.
    pub verdict: Verdict,
    /// The deciding rule: the first that refuses, or the one that grants. If only the kernel's
    /// answer to the same check is known, the first rule that most likely refused. If nothing is
    /// known, the first rule that lacks a fact.
    pub rule: Rule,
    /// All rules in the kernel's order. The kernel stops at the first refusal; this list continues.
    pub steps: Vec<Step>,
    /// Remedies, one sentence each; empty if the reader may read.
    pub help: Vec<String>,
}

impl Decision {
    /// The reason, in one sentence.
    pub fn why(&self) -> &str {
        self.steps.iter().find(|step| step.rule == self.rule).map_or("", |step| &step.why)
    }
}

/// Whether all terms hold; `None` if the known terms do not decide.
pub(super) fn and_all(terms: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for term in terms {
        if term == Some(false) {
            return term;
        }
        known &= term.is_some();
    }
    known.then_some(true)
}

/// Whether any term holds; `None` if the known terms do not decide.
pub(super) fn or_all(terms: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    and_all(terms.into_iter().map(|term| term.map(|term| !term))).map(|none| !none)
}
