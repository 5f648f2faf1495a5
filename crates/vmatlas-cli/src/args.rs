//! The arguments, from which help, manual page and completions are made too.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use vmatlas::recording::Moment;
use vmatlas::{Filter, KernelVersion};

/// Shows what the memory of a Linux process is: reads /proc/PID/maps from a live process or
/// from any text, and explains every mapping.
#[derive(Parser, Debug)]
#[command(name = "vmatlas", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(
    after_help = "TARGET is a PID, PID/TID, `self`, the name of a command, a file (maps, smaps, any text \
    with such rows in it, or a core dump, also compressed), or - for standard input. Of a log of strace it is LOG, LOG:PID, LOG@SECONDS or LOG:PID@SECONDS: \
    a process (the first) as it was so long after the first line (before it ended).\n\
    Exit status: 0 yes, 1 the answer is no (differs, not mapped, not allowed), 2 trouble."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show the annotated map of a target (what a bare TARGET does, too)
    Show(ShowArgs),
    /// Tell all that is known about addresses of a target
    At(AtArgs),
    /// Compare two targets: what appeared, vanished, grew, shrank, changed permissions
    Diff(DiffArgs),
    /// Tell whether a user may read a process's maps, and which rule decides
    Access(AccessArgs),
    /// Run scenarios of operations on the model of the kernel and on the running kernel, and compare
    Verify(VerifyArgs),
    /// Record who makes, changes and drops every mapping of a program and its children
    Record(RecordArgs),
    /// Tell who made what is mapped: call stack, thread, time, bytes
    Blame(BlameArgs),
    /// Tell why a program crashed
    Explain(ExplainArgs),
    /// Say what became of a program whose recorder was killed
    #[command(hide = true)]
    RecordGuard {
        /// The recording
        recording: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct CommonArgs {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = "/proc", value_name = "DIR")]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Which moment of a recording or log, and which process of it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MomentArgs {
    /// The moment of a recording or log: seconds from its start, `end`, or #N for after event N
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<Moment>,
    /// The process of a recording or log [default: the one that was launched first]
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct RecordArgs {
    /// The recording [default: NAME.PID.vmrec]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Attach to a process that runs
    #[arg(short, long, value_name = "PID", conflicts_with = "command")]
    pub(crate) pid: Option<u32>,
    /// The program and its arguments
    #[arg(required_unless_present = "pid", trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
    /// What shall record [default: ptrace for a program, perf for a process]
    #[arg(long, value_enum, value_name = "BACKEND")]
    pub(crate) backend: Option<Backend>,
    /// How many bytes of stack perf copies with each call (deeper frames are missing), at most 65528
    #[arg(long, value_name = "BYTES", value_parser = size, default_value = "8192")]
    pub(crate) stack_size: u64,
    /// Record also who touches pages first, and which pages are in memory
    #[arg(long)]
    pub(crate) pages: bool,
    /// Hold the kernel's own record of changes against the events; needs CAP_PERFMON
    #[arg(long)]
    pub(crate) audit: bool,
    /// End the recording after so many seconds; the program runs on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    /// End the recording when its file has SIZE bytes (1G, 64M); the program runs on
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Print neither progress nor what was recorded
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BlameArgs {
    /// A recording or a log of strace (-k tells stacks), RECORDING@TIME, or the PID of a process
    /// that is being recorded
    pub(crate) recording: String,
    /// Tell the whole life of these addresses (hexadecimal) instead
    #[arg(value_parser = address)]
    pub(crate) addresses: Vec<u64>,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// What bytes are summed up by
    #[arg(long, value_enum, default_value_t = By::Stack)]
    pub(crate) by: By,
    /// Which bytes are counted: all that are mapped, those in memory, or by who touched them first
    #[arg(long, value_enum, default_value_t = Count::Mapped)]
    pub(crate) count: Count,
    /// Only what was mapped from that moment on, in seconds, and is mapped still
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) since: Option<Duration>,
    /// Only mappings for which EXPR holds
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    /// How many lines of the ranking, and frames of a stack
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    /// Ask debuginfod servers for debug files (by debuginfod-find of elfutils)
    #[arg(long)]
    pub(crate) debuginfod: bool,
    /// Print folded stacks, for flame graphs
    #[arg(long, conflicts_with = "json")]
    pub(crate) folded: bool,
    /// Write a profile for pprof, gzipped
    #[arg(long, value_name = "FILE")]
    pub(crate) pprof: Option<PathBuf>,
    /// Write a flame graph
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What records.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Ptrace,
    Perf,
}

/// What bytes are summed up by.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Stack,
    Function,
    Module,
    Thread,
}

/// Which bytes are counted.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Mapped,
    Resident,
    Touched,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// What to show [default: vmatlas itself]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// List the processes of a recording
    #[arg(long)]
    pub(crate) processes: bool,
    /// Print the kernel's text and nothing else: maps, or smaps with --sizes or if the target is smaps
    #[arg(long, conflicts_with_all = ["json", "csv", "columns", "no_header"])]
    pub(crate) raw: bool,
    /// With --raw: as Linux V prints it
    #[arg(long, value_name = "V", requires = "raw")]
    pub(crate) kernel: Option<KernelVersion>,
    /// With --raw: as a kernel of that word size prints it
    #[arg(long, value_name = "BITS", requires = "raw")]
    pub(crate) word_size: Option<Bits>,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Read sizes too (smaps); takes longer the more memory is resident
    #[arg(long)]
    pub(crate) sizes: bool,
    /// Read the memory of the target, too, where that makes labels certain: structures of allocators
    /// and runtimes
    #[arg(long, conflicts_with = "raw")]
    pub(crate) deep: bool,
    /// Only mappings for which EXPR holds, like 'perms = rw*p and size >= 1M'
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    /// Sort by a column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sort: Option<String>,
    /// Reverse the order
    #[arg(long)]
    pub(crate) reverse: bool,
    /// The columns of the table or CSV, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "LIST", conflicts_with = "json")]
    pub(crate) columns: Vec<String>,
    /// Print no heading and no totals
    #[arg(long, conflicts_with = "json")]
    pub(crate) no_header: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AtArgs {
    /// Where to look
    pub(crate) target: String,
    /// Addresses, hexadecimal
    #[arg(required = true, value_parser = address)]
    pub(crate) addresses: Vec<u64>,
    /// Read the memory of the target, too, where that makes labels certain
    #[arg(long)]
    pub(crate) deep: bool,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// What tells of the crash: a core dump, a recording, a log with lines of the kernel, a crash
    /// log, or - for standard input; with ADDR any target
    pub(crate) input: String,
    /// Explain an access to this address (hexadecimal) of the target instead
    #[arg(value_parser = address)]
    pub(crate) address: Option<u64>,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// How many calls of the stack are shown
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The first target
    pub(crate) first: String,
    /// The second target
    pub(crate) second: String,
    /// Only mappings for which EXPR holds
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AccessArgs {
    /// The process: PID, PID/TID, `self` or a command's name
    pub(crate) process: String,
    /// Ask for a plain login of this user instead of vmatlas itself
    #[arg(long = "as", value_name = "UID")]
    pub(crate) uid: Option<u32>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Files of scenarios
    #[arg(required_unless_present = "random")]
    pub(crate) files: Vec<PathBuf>,
    /// Run them on the model alone
    #[arg(long)]
    pub(crate) model_only: bool,
    /// The model follows the rules of Linux V [default: the running kernel's]
    #[arg(long, value_name = "V")]
    pub(crate) kernel: Option<KernelVersion>,
    /// Make N random scenarios instead, and compare model and kernel after every step
    #[arg(long, value_name = "N", conflicts_with_all = ["files", "model_only"])]
    pub(crate) random: Option<u64>,
    /// Which random scenarios [default: 1]
    #[arg(long, value_name = "S", requires = "random")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    #[value(name = "32")]
    Bits32,
    #[value(name = "64")]
    Bits64,
}

impl From<Bits> for vmatlas::WordSize {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Bits32 => vmatlas::WordSize::Bits32,
            Bits::Bits64 => vmatlas::WordSize::Bits64,
        }
    }
}

fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let address = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    address.ok_or_else(|| "an address is hexadecimal, like 0x7f0012345678".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    vmatlas::recording::parse_seconds(text)
        .ok_or_else(|| "a time is a number of seconds, like 1.25".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[number.len()..].trim_end_matches(['i', 'B', 'b']) {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => 64,
    };
    let bytes = number.parse().ok().and_then(|n: u64| n.checked_mul(1_u64.checked_shl(shift)?));
    bytes.ok_or_else(|| "a size is a number of bytes, like 1000000, 64M or 1G".to_owned())
}
