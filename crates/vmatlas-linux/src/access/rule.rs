//! The words of a decision: rules, how each came out, and the verdict.
use rustix::io::Errno;
use std::fmt;

/// May it be opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `open` succeeds. It reads as empty if the rule is [`Rule::NoAddressSpace`].
    Allowed,
    /// `open` fails with this error.
    Denied(Errno),
    /// A fact that matters is not known.
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

/// A rule of the kernel. Its text says what the rule is and which function has it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// There must be such a process.
    Exists,
    /// The mount option `hidepid` of that /proc.
    HidePid,
    /// Security modules have a say about opening any file.
    FileOpen,
    /// A process without an address space has nothing to protect.
    NoAddressSpace,
    /// Everybody may read their own address space.
    OwnAddressSpace,
    /// The threads of one process may read each other.
    SameThreadGroup,
    /// Equal ids, or `CAP_SYS_PTRACE`.
    Ids,
    /// Dumpable, or `CAP_SYS_PTRACE`.
    Dumpable,
    /// No capability that the reader lacks, or `CAP_SYS_PTRACE`.
    Capabilities,
    /// A Landlock domain keeps its processes from those outside.
    Landlock,
    /// SELinux, Smack or AppArmor.
    SecurityModule,
    /// `CAP_PERFMON`, or `CAP_SYS_ADMIN`.
    Perfmon,
    /// No rule is sure by the facts alone, but the kernel has answered the same check.
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

/// How one rule came out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Enough to read, whatever other rules of the ptrace check say.
    Grants,
    /// No objection.
    Passes,
    /// Has nothing to give here; another rule decides.
    DoesNotApply,
    /// An objection.
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

/// One rule and how it came out for these facts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// How it came out.
    pub outcome: Outcome,
    /// Why, in one sentence with the facts.
    pub why: String,
    /// What would help, besides a capability.
    pub(super) help: Option<String>,
    /// Unknown only because the user namespace is, in which the reader might have a capability that it
    /// does not have in its own.
    pub(super) likely_refuses: bool,
}

impl Step {
    pub(super) fn new(rule: Rule, outcome: Outcome, why: impl Into<String>) -> Step {
        Step { rule, outcome, why: why.into(), help: None, likely_refuses: false }
    }

    /// Whether the rule lets the reader through.
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

/// What was decided, and by what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// May it be opened.
    pub verdict: Verdict,
    /// The rule that decides: the first that refuses, or that which grants. Where only the kernel's answer
    /// to the same check is known, the first rule that most likely refused; where nothing is, the first
    /// that lacks a fact.
    pub rule: Rule,
    /// All rules in the kernel's order. The kernel stops at the first refusal, these do not.
    pub steps: Vec<Step>,
    /// What would help, sentence by sentence; nothing where the reader may read.
    pub help: Vec<String>,
}

impl Decision {
    /// Why it is so, in one sentence.
    pub fn why(&self) -> &str {
        self.steps.iter().find(|step| step.rule == self.rule).map_or("", |step| &step.why)
    }
}

/// Whether all hold, if what is known is enough to tell.
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

/// Whether one of them holds, if what is known is enough to tell.
pub(super) fn or_all(terms: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    and_all(terms.into_iter().map(|term| term.map(|term| !term))).map(|none| !none)
}
