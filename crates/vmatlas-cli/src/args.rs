//! The arguments. Help, manual page and completions are made from them.

pub(crate) mod man;
pub(crate) mod no_target;
pub(crate) mod order;
pub(crate) mod similar;
pub(crate) mod wrong_use;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vmatlas::recording::Moment;
use vmatlas::{Filter, KernelVersion, Limits};

/// Shows and explains every memory mapping of a Linux process: live, or from a saved map, a core
/// dump, a log of strace or a recording.
#[derive(Parser, Debug)]
#[command(name = "vmatlas", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(
    after_help = format!("TARGET is a PID, PID/TID, `self`, the name of a command, an executable or a script, a file, or - \
    for standard input; @newest:NAME and @oldest:NAME name one of several processes. \
    A file is maps, smaps, any text with such rows in it, a core dump (also compressed), a log of strace, a recording, \
    or what vmatlas printed as JSON or saved. \
    FILE:PID names a process of a log, FILE@SECONDS a moment of a log or recording, FILE:PID@SECONDS both; \
    the default is the first process, just before it ended.\n\
    Exit status: 0 yes, 1 no (differs, not mapped, not allowed, --where lets nothing through), 2 error; of record that of the program, but 2 \
    if the recording failed and the program did not.\n{PAGER}")
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show the annotated map of a target (the default command)
    #[command(after_help = PAGER)]
    Show(ShowArgs),
    /// Sum up the memory of all processes, or of some: resident, shared, private, swapped
    #[command(after_help = ALL)]
    All(AllArgs),
    /// Report which processes map the same memory as a process, and which control group pays for it
    Shared(SharedArgs),
    /// Print sums over all processes as metrics (OpenMetrics), once or for each request
    #[command(after_help = METRICS)]
    Metrics(MetricsArgs),
    /// Find what is wrong in processes: code that can be written, comes from no file, or was changed
    #[command(after_help = AUDIT)]
    Audit(AuditArgs),
    /// Watch processes: what grows, how fast, and whether it grows steadily
    #[command(after_help = WATCH)]
    Watch(WatchArgs),
    /// Show the mapping, file, section, symbol and label at addresses of a target
    At(AtArgs),
    /// Compare two targets: mappings that appeared, vanished, grew, shrank or changed permissions
    Diff(DiffArgs),
    /// Report whether a user may read a process's maps, and which rule of the kernel decides
    Access(AccessArgs),
    /// Run scenarios on the model of the kernel and on the running kernel, and compare the rows
    Verify(VerifyArgs),
    /// Record each call by which a program and its children map, change or unmap memory
    #[command(
        after_help = "Exit status: that of the program, or its signal. 2 if the recording failed (a full disk, \
        a removed file) though the program succeeded; 127 if the program was not found, 126 if it cannot be \
        executed, 125 if it cannot be traced."
    )]
    Record(RecordArgs),
    /// Report the calls that mapped memory: call stack, thread, time, bytes
    Blame(BlameArgs),
    /// Explain why a program crashed
    Explain(ExplainArgs),
    /// Keep a snapshot of a target in a file that every command reads
    Save(SaveArgs),
    /// Report the end of a program whose recorder was killed
    #[command(hide = true)]
    RecordGuard {
        /// The recording
        recording: PathBuf,
    },
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page of vmatlas or of a command, for man(1)
    Man {
        /// The command
        command: Option<String>,
    },
}

/// What `all` may read, and what it costs.
const ALL: &str = "TARGET is a PID, a name (all processes of that name), @cgroup:PATH, @unit:NAME or @container:ID; without \
    one, all processes. A page that several processes map counts in pss once for all of them; uss is what only one \
    process maps. Other users' processes need root, or CAP_PERFMON: setcap cap_perfmon+ep vmatlas. The kernel walks \
    the page tables of each process (30 to 50 ms for 4 GB in pages of 4 KiB); --cheap reads none.";

/// What the metrics are for.
const METRICS: &str = "Labels are the names of programs (at most --top, the others as 'other') and the parts of the \
    machine's memory, never process IDs or paths. For node_exporter: vmatlas metrics --textfile \
    /var/lib/node_exporter/vmatlas.prom each minute, from a timer. --cheap reads no page tables.";

/// What `audit` reports.
const AUDIT: &str = "TARGET is a PID, a name (all processes of that name), @cgroup:PATH, @unit:NAME, @container:ID, or a \
    file: a core dump, a recording, a snapshot, a text with rows; --all are all processes. A finding has a severity \
    (info, low, medium, high, critical), which an honest explanation lowers; names that a program chooses never do. \
    docs/audit.md lists the rules, --explain RULE prints one.\n\
    Exit status: 0 no finding at or above --fail-on, 1 at least one, 2 error.";

/// What `watch` prints and costs.
const WATCH: &str = "TARGET is a PID, a name (all processes of that name), @cgroup:PATH, @unit:NAME or @container:ID; \
    several are summed up, and processes that join them are added. A line of a look has the change of resident memory \
    since the start, since the last look and in a minute, then resident memory. The verdict names only what grows \
    steadily: neither growth once, nor at the start, nor up and down. The sizes of mappings are read as often as it \
    takes less than 1 % of a core; Ctrl-C prints a summary.";

/// How completions come into a shell.
const COMPLETIONS: &str = "bash and zsh: source <(vmatlas completions SHELL); fish: vmatlas completions fish | source. \
    `vmatlas man completions` says where to keep them. In these three, the script asks vmatlas for processes, \
    moments of recordings, columns and fields.";

/// How long texts are shown.
const PAGER: &str = "On a terminal, text that is longer than the screen goes through $PAGER (default: less); \
    an empty PAGER turns that off, as in PAGER= vmatlas PID. Colors: --color never and NO_COLOR=1 turn them off; \
    TERM=dumb turns both off.";

/// What reading the files of a target may cost by default.
const DEFAULT_BUDGET: &str = "512M,10s";

/// A file to write to. Standard output is none: recordings and snapshots are read back by their
/// names.
fn file_to_write(word: &str) -> Result<PathBuf, &'static str> {
    match word {
        "-" => Err("standard output is no file; write ./- for a file of this name"),
        word => Ok(PathBuf::from(word)),
    }
}

/// Where processes are read by default.
pub(crate) const DEFAULT_PROC: &str = "/proc";

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct CommonArgs {
    /// Print one JSON document
    #[arg(long, group = "documents")]
    pub(crate) json: bool,
    /// In JSON, print addresses also as numbers: start_num beside start
    #[arg(long, requires = "documents")]
    pub(crate) numbers: bool,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The most memory and CPU time that reading the files of a target may take, such as 1G, 30s or
    /// 1G,30s
    #[arg(long, default_value = DEFAULT_BUDGET, value_name = "SIZE,SECONDS", value_parser = limits)]
    pub(crate) budget: Limits,
}

impl CommonArgs {
    /// The options of a command about many processes, of which no files are read.
    pub(crate) fn of_processes(json: bool, color: Color, proc: &Path, quiet: bool) -> CommonArgs {
        let (proc, budget) = (proc.to_owned(), Limits::default());
        CommonArgs { json, numbers: false, color, proc, quiet, budget }
    }
}

/// The moment and the process of a recording or log.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MomentArgs {
    /// The moment of a recording or log: seconds from its start, `end`, or #N for after event N
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<Moment>,
    /// The process of a recording or log [default: the one that was launched first]; without TARGET,
    /// the live process PID
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct RecordArgs {
    /// Write the recording to FILE [default: NAME.PID.vmrec]
    #[arg(short, long, value_name = "FILE", value_parser = file_to_write)]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE also if it belongs to another user or has several names (hard links)
    #[arg(long)]
    pub(crate) force: bool,
    /// Attach to a running process
    #[arg(short, long, value_name = "PID", value_parser = pid, conflicts_with = "command")]
    pub(crate) pid: Option<u32>,
    /// The program and its arguments
    #[arg(required_unless_present = "pid", trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
    /// Record by ptrace or by perf events [default: ptrace for a program, perf for a process]
    #[arg(long, value_enum, value_name = "BACKEND")]
    pub(crate) backend: Option<Backend>,
    /// Copy so many bytes of stack with each call, at most 65528 (perf only; deeper frames are missing)
    /// [default: 8192]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) stack_size: Option<u64>,
    /// Also record the first touch of each page and the resident pages
    #[arg(long)]
    pub(crate) pages: bool,
    /// Compare the events with the kernel's own record of changes; needs CAP_PERFMON
    #[arg(long)]
    pub(crate) audit: bool,
    /// End the recording after SECONDS; the program runs on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    /// End the recording when its file has SIZE bytes (1G, 64M); the program runs on
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Print neither progress nor a summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BlameArgs {
    /// A recording, RECORDING@TIME, a log of strace (with -k: call stacks), or the PID of a process
    /// that is being recorded
    #[arg(required_unless_present = "pid")]
    pub(crate) recording: Option<String>,
    /// Report all events of these addresses instead, written as for `at`
    #[arg(value_name = "ADDR")]
    pub(crate) addresses: Vec<String>,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// Sum the bytes up by call stack, function, module or thread
    #[arg(long, value_enum, default_value_t = By::Stack, conflicts_with_all = ["addresses", "csv", "folded"])]
    pub(crate) by: By,
    /// Count all mapped bytes, resident bytes, or bytes by the thread that touched them first
    #[arg(long, value_enum, default_value_t = Count::Mapped, conflicts_with = "addresses")]
    pub(crate) count: Count,
    /// Count only memory that was mapped after SECONDS and is still mapped
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "addresses")]
    pub(crate) since: Option<Duration>,
    /// Count only mappings for which EXPR holds
    #[arg(long = "where", value_name = "EXPR", conflicts_with = "addresses")]
    pub(crate) filter: Option<Filter>,
    /// Print at most N lines of the ranking
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with_all = ["addresses", "json", "csv", "folded"])]
    pub(crate) top: usize,
    /// Print at most N functions of each call stack
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with_all = ["json", "csv", "folded"])]
    pub(crate) frames: usize,
    /// List the mappings, too, each with its origins
    #[arg(long, conflicts_with_all = ["addresses", "csv", "folded"])]
    pub(crate) mappings: bool,
    /// Ask debuginfod servers for debug files (by debuginfod-find of elfutils)
    #[arg(long)]
    pub(crate) debuginfod: bool,
    /// Print folded stacks, for flame graphs
    #[arg(long, conflicts_with_all = ["json", "addresses"])]
    pub(crate) folded: bool,
    /// Print comma-separated values
    #[arg(long, conflicts_with_all = ["json", "folded"])]
    pub(crate) csv: bool,
    /// Write a profile for pprof, gzipped
    #[arg(long, value_name = "FILE", conflicts_with = "addresses", value_parser = file_to_write)]
    pub(crate) pprof: Option<PathBuf>,
    /// Write a flame graph
    #[arg(long, value_name = "FILE", conflicts_with = "addresses", value_parser = file_to_write)]
    pub(crate) svg: Option<PathBuf>,
    /// Replace FILE also if it belongs to another user or has several names (hard links)
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The backend of the recorder.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Ptrace,
    Perf,
}

/// The key of the ranking.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Stack,
    Function,
    Module,
    Thread,
}

/// The key of the totals of a map.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalsBy {
    Kind,
    Label,
    File,
    /// Programs and libraries with all their segments; other memory by kind
    Image,
    BuildId,
    Perms,
}

impl From<TotalsBy> for vmatlas::By {
    fn from(by: TotalsBy) -> Self {
        match by {
            TotalsBy::Kind => vmatlas::By::Kind,
            TotalsBy::Label => vmatlas::By::Label,
            TotalsBy::File => vmatlas::By::File,
            TotalsBy::Image => vmatlas::By::Image,
            TotalsBy::BuildId => vmatlas::By::BuildId,
            TotalsBy::Perms => vmatlas::By::Perms,
        }
    }
}

/// The key of growth.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiffBy {
    Mapping,
    Kind,
    Label,
    File,
    /// Programs and libraries with all their segments; other memory by kind
    Image,
    Program,
    Process,
    User,
    Cgroup,
    Container,
    Unit,
}

impl DiffBy {
    /// The key of sums over the rows of a process.
    pub(crate) fn of_rows(self) -> Option<vmatlas::By> {
        Some(match self {
            DiffBy::Kind => vmatlas::By::Kind,
            DiffBy::Label => vmatlas::By::Label,
            DiffBy::File => vmatlas::By::File,
            DiffBy::Image => vmatlas::By::Image,
            _ => return None,
        })
    }

    /// The key of sums over processes; `None` if each mapping is compared.
    pub(crate) fn of_processes(self) -> Option<vmatlas::GroupBy> {
        Some(match self {
            DiffBy::Mapping => return None,
            DiffBy::Program => vmatlas::GroupBy::Program,
            DiffBy::Process => vmatlas::GroupBy::Process,
            DiffBy::User => vmatlas::GroupBy::User,
            DiffBy::Cgroup => vmatlas::GroupBy::Cgroup,
            DiffBy::Container => vmatlas::GroupBy::Container,
            DiffBy::Unit => vmatlas::GroupBy::Unit,
            by => vmatlas::GroupBy::Rows(by.of_rows()?),
        })
    }
}

/// The bytes that are counted.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Mapped,
    Resident,
    Touched,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The target [default: vmatlas itself, on a terminal]; several processes are listed
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// List the processes of a recording or log
    #[arg(long, conflicts_with_all = [
        "at", "pid", "raw", "csv", "sizes", "deep", "freeze", "filter", "sort", "reverse", "columns",
        "no_header", "by", "summary", "wide", "kernel", "word_size",
    ])]
    pub(crate) processes: bool,
    /// Print only the kernel's text: maps, or smaps with --sizes or if the target is smaps
    #[arg(long, conflicts_with_all = ["deep", "json", "csv", "columns", "no_header"])]
    pub(crate) raw: bool,
    /// With --raw: print as Linux V does
    #[arg(long, value_name = "V", requires = "raw", conflicts_with = "json")]
    pub(crate) kernel: Option<KernelVersion>,
    /// With --raw: print as a kernel of this word size does
    #[arg(long, value_name = "BITS", requires = "raw", conflicts_with = "json")]
    pub(crate) word_size: Option<Bits>,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Print a JSON object on a line for each mapping, with the process and the time
    #[arg(long, group = "documents", conflicts_with_all = [
        "json", "csv", "raw", "columns", "no_header", "processes", "summary", "by", "wide",
    ])]
    pub(crate) ndjson: bool,
    /// Also read sizes (smaps): resident, private and swapped memory. The kernel visits each resident
    /// page (up to 50 ms for 1 GB), and calls of the process that change its mappings wait meanwhile.
    /// vmatlas says so first if it may take more than 50 ms
    #[arg(long)]
    pub(crate) sizes: bool,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Show only mappings for which EXPR holds, like 'perms has wx and size >= 1M'
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    /// Print the totals only
    #[arg(long, conflicts_with_all = ["raw", "csv", "columns", "no_header", "sort", "reverse", "wide"])]
    pub(crate) summary: bool,
    /// The key of the totals
    #[arg(long, value_enum, default_value_t = TotalsBy::Kind, conflicts_with_all = ["raw", "csv", "no_header"])]
    pub(crate) by: TotalsBy,
    /// Show each row on a line of its own, with sections of its file; cut nothing
    #[arg(long, conflicts_with_all = ["raw", "csv", "json"])]
    pub(crate) wide: bool,
    /// Sort by a column: numbers of bytes from the largest, addresses and names ascending
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
pub(crate) struct AllArgs {
    /// The processes [default: all]
    #[arg(value_name = "TARGET", value_hint = ValueHint::Other)]
    pub(crate) targets: Vec<String>,
    /// The key of the sums
    #[arg(long, value_enum, default_value_t = AllBy::Program)]
    pub(crate) by: AllBy,
    /// Count only processes or mappings for which EXPR holds, like 'unit = ssh.service'
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    /// Sort by a column: numbers from the largest, keys ascending
    #[arg(long, value_enum, value_name = "COLUMN")]
    pub(crate) sort: Option<AllColumn>,
    /// Reverse the order
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print at most N lines of sums
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// Read rows and status only, no page tables: the number of rows, deleted code, rows that can be
    /// written and executed
    #[arg(long, conflicts_with_all = ["budget", "deep"])]
    pub(crate) cheap: bool,
    /// Read the page tables of the largest processes only, as far as they take TIME (200ms, 2s) by
    /// the estimate
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) budget: Option<Duration>,
    /// With labels, also read the structures of allocators and runtimes in the processes' memory
    #[arg(long)]
    pub(crate) deep: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SharedArgs {
    /// The processes: PIDs, names, @cgroup:PATH, @unit:NAME, @container:ID
    #[arg(required = true, value_name = "TARGET", value_hint = ValueHint::Other)]
    pub(crate) targets: Vec<String>,
    /// Print at most N processes
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    /// Print the mappings by which each process shares memory
    #[arg(long, conflicts_with = "json")]
    pub(crate) mappings: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// The processes, core dumps, recordings, snapshots
    #[arg(value_name = "TARGET", required_unless_present_any = ["all", "explain"])]
    pub(crate) targets: Vec<String>,
    /// Audit all processes
    #[arg(long, conflicts_with = "targets")]
    pub(crate) all: bool,
    /// Also read sizes and memory: labels become certain, and changed code is compared with its file
    #[arg(long)]
    pub(crate) deep: bool,
    /// Apply the exceptions and severities of FILE (TOML, see docs/audit.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,
    /// Print text, a JSON document, or SARIF 2.1.0 for code scanning
    #[arg(long, value_enum, default_value_t = AuditFormat::Text)]
    pub(crate) format: AuditFormat,
    /// Print one JSON document, as --format json does
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Exit with 1 if there is a finding of this severity or above
    #[arg(long, value_enum, default_value_t = AuditSeverity::High, value_name = "SEVERITY")]
    pub(crate) fail_on: AuditSeverity,
    /// Print what a rule finds, what may explain it, and what to do
    #[arg(long, value_name = "RULE", value_parser = rules(), conflicts_with_all = ["targets", "all", "learn"])]
    pub(crate) explain: Option<String>,
    /// Print a policy with an exception of 90 days for each finding above info, to be kept once each
    /// was looked at
    #[arg(long, conflicts_with_all = ["format", "json"])]
    pub(crate) learn: bool,
    /// The memory and the CPU time that reading the files of a process may take, such as 1G, 30s or
    /// 1G,30s
    #[arg(long, default_value = DEFAULT_BUDGET, value_name = "SIZE,SECONDS", value_parser = limits)]
    pub(crate) budget: Limits,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MetricsArgs {
    /// Write the metrics to FILE, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE", value_parser = file_to_write, conflicts_with = "listen")]
    pub(crate) textfile: Option<PathBuf>,
    /// Answer requests for /metrics at an address of this machine, such as 127.0.0.1:9733
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Have a label for at most N programs, those of most memory
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) top: usize,
    /// Read rows and status only, no page tables: no pss and no uss
    #[arg(long)]
    pub(crate) cheap: bool,
    /// Also sum up by kind or label of memory (reads smaps), or count findings by rule of `audit`
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub(crate) also: Vec<MetricsBy>,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// A further key of metrics.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsBy {
    Kind,
    Label,
    Rule,
}

/// The names of the rules.
fn rules() -> clap::builder::PossibleValuesParser {
    let value =
        |rule: &&vmatlas::audit::Rule| clap::builder::PossibleValue::new(rule.id).help(rule.title);
    clap::builder::PossibleValuesParser::new(vmatlas::audit::RULES.iter().map(value))
}

/// The format of findings.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditFormat {
    Text,
    Json,
    Sarif,
}

/// The severity of a finding.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditSeverity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// The processes: PIDs, names, @cgroup:PATH, @unit:NAME, @container:ID
    #[arg(required = true, value_name = "TARGET", value_hint = ValueHint::Other)]
    pub(crate) targets: Vec<String>,
    /// The time between two looks (200ms, 1s, 5m), at least 10ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) every: Duration,
    /// End after TIME (30s, 10m, 2h) [default: with Ctrl-C or the processes]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
    /// The key of the sums
    #[arg(long, value_enum, default_value_t = WatchBy::Label)]
    pub(crate) by: WatchBy,
    /// Read the sizes of mappings at each look, whatever that costs
    #[arg(long)]
    pub(crate) sizes: bool,
    /// Print at most N sums of a look
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "ndjson")]
    pub(crate) top: usize,
    /// Print a JSON object on a line for each look
    #[arg(long)]
    pub(crate) ndjson: bool,
    /// Color the output
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Read processes below DIR
    #[arg(long, default_value = DEFAULT_PROC, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no notes
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// The key of the sums of a watch.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchBy {
    Kind,
    Label,
    File,
    /// Programs and libraries with all their segments; other memory by kind
    Image,
}

/// The key of sums over processes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllBy {
    Program,
    Process,
    User,
    Cgroup,
    Container,
    Unit,
    File,
    /// Programs and libraries with all their segments; other memory by kind
    Image,
    BuildId,
    Kind,
    Label,
}

/// A column of sums over processes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllColumn {
    Key,
    Processes,
    Rows,
    Size,
    Rss,
    Pss,
    Uss,
    Swap,
    Huge,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "vmatlas at [OPTIONS] TARGET ADDR...\n       vmatlas at [OPTIONS] --pid PID ADDR..."
)]
pub(crate) struct AtArgs {
    /// The target; may be left out with --pid
    #[arg(required_unless_present = "pid")]
    pub(crate) target: Option<String>,
    /// Addresses: hexadecimal digits, START-END, START+LENGTH, SYMBOL, FILE:SYMBOL+OFFSET, or - for
    /// those on standard input
    #[arg(required_unless_present = "pid", value_name = "ADDR")]
    pub(crate) addresses: Vec<String>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// How the memory of a process is read.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemoryArgs {
    /// Also read the structures of allocators and runtimes in the target's memory, which make labels
    /// certain
    #[arg(long)]
    pub(crate) deep: bool,
    /// Stop all threads of the process while it is read (with --deep also its memory)
    #[arg(long)]
    pub(crate) freeze: bool,
}

/// A snapshot has rows, sizes, labels, threads and the kernel's version; no memory.
#[derive(Args, Debug)]
pub(crate) struct SaveArgs {
    /// The target
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) target: Option<String>,
    /// Keep all processes of the machine: a file for each snapshot in the directory FILE, with what
    /// changed since the last one
    #[arg(long, conflicts_with_all = ["force", "deep", "freeze", "at", "pid"])]
    pub(crate) all: bool,
    /// Write the snapshot to FILE
    #[arg(short, long, value_name = "FILE", value_parser = file_to_write)]
    pub(crate) output: PathBuf,
    /// Replace FILE also if it belongs to another user or has several names (hard links)
    #[arg(long)]
    pub(crate) force: bool,
    /// Also read sizes (smaps); takes longer the more memory is resident
    #[arg(long)]
    pub(crate) sizes: bool,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// Read processes below DIR
    #[arg(long, default_value = "/proc", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) proc: PathBuf,
    /// Print no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The memory and the CPU time that reading the files of a target may take, such as 1G, 30s or
    /// 1G,30s
    #[arg(long, default_value = DEFAULT_BUDGET, value_name = "SIZE,SECONDS", value_parser = limits)]
    pub(crate) budget: Limits,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A core dump, a recording, a log of the kernel, a crash log, or - for standard input; with ADDR
    /// any target
    #[arg(required_unless_present = "pid")]
    pub(crate) input: Option<String>,
    /// Explain an access to this address of the target instead: hexadecimal digits,
    /// SYMBOL or FILE:SYMBOL+OFFSET
    #[arg(value_name = "ADDR")]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) moment: MomentArgs,
    /// Print at most N calls of the stack
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
    /// Compare sizes (smaps) instead: what grew and what shrank, the largest change first. Snapshots
    /// have them if they were saved with --sizes
    #[arg(long)]
    pub(crate) sizes: bool,
    /// The key of the sums: with --sizes mapping (default), kind, label, file or image; of two
    /// snapshots of a machine any but mapping [default: program]
    #[arg(long, value_enum)]
    pub(crate) by: Option<DiffBy>,
    /// Compare only mappings for which EXPR holds
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Option<Filter>,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AccessArgs {
    /// The process: PID, PID/TID, `self` or a command's name
    pub(crate) process: String,
    /// Decide for a plain login of this user, by number or name, instead of vmatlas itself
    #[arg(long = "as", value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Files of scenarios
    #[arg(required_unless_present = "random")]
    pub(crate) files: Vec<PathBuf>,
    /// Run the scenarios on the model alone
    #[arg(long)]
    pub(crate) model_only: bool,
    /// Use the rules of Linux V for the model [default: the running kernel's]
    #[arg(long, value_name = "V")]
    pub(crate) kernel: Option<KernelVersion>,
    /// Run N random scenarios instead, and compare model and kernel after every step
    #[arg(long, value_name = "N", conflicts_with_all = ["files", "model_only"])]
    pub(crate) random: Option<u64>,
    /// Make the random scenarios from seed S [default: 1]
    #[arg(long, value_name = "S", requires = "random")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
    /// The words of an unfinished command line, from the script of the shell
    #[arg(last = true, hide = true)]
    pub(crate) words: Vec<std::ffi::OsString>,
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

/// Whether the arguments ask for JSON, also those that are wrong in another way. What follows `--`
/// is of the program to record.
pub(crate) fn asks_for_json(args: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut ours = args.skip(1).take_while(|arg| arg != "--");
    let mut before = std::ffi::OsString::new();
    ours.any(|arg| {
        let is_format = before == "--format" && (arg == "json" || arg == "sarif");
        let is_json = ["--json", "--ndjson", "--format=json", "--format=sarif"];
        let asks = is_format || is_json.iter().any(|word| arg == *word);
        before = arg;
        asks
    })
}

fn pid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "a PID is the number of a process; TARGET also takes names".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    vmatlas::recording::parse_seconds(text)
        .ok_or_else(|| "a time is a number of seconds, like 1.25".to_owned())
}

/// Parses `200ms`, `1.5s`, `10m`, `2h`; a bare number is of seconds.
fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * factor);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a time is a number with ms, s, m or h, like 200ms or 10m".to_owned())
}

/// Parses a time between two looks.
fn interval(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    match time >= Duration::from_millis(10) {
        true => Ok(time),
        false => Err("the time between two looks is at least 10ms".to_owned()),
    }
}

/// Parses `512M,10s`; what is missing has its default.
fn limits(text: &str) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for part in DEFAULT_BUDGET.split(',').chain(text.split(',')) {
        match part.strip_suffix('s') {
            Some(time) => limits.cpu = Some(seconds(time)?),
            None => limits.memory = size(part)?,
        }
    }
    Ok(limits)
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
