//! The arguments, from which help, manual page and completions are made too.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use vmatlas::{Filter, KernelVersion};

/// Shows what the memory of a Linux process is: reads /proc/PID/maps from a live process or
/// from any text, and explains every mapping.
#[derive(Parser, Debug)]
#[command(name = "vmatlas", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(
    after_help = "TARGET is a PID, PID/TID, `self`, the name of a command, a file (maps, smaps, or any text \
    with such rows in it), or - for standard input. Of a log of strace it is LOG, LOG:PID, LOG@SECONDS or LOG:PID@SECONDS: \
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

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// What to show [default: vmatlas itself]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
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
