//! Errors in scenario files.

use std::fmt;

/// An error in a line of a scenario file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScenarioErrorKind {
    /// The line contains a NUL, which no name can.
    Nul,
    /// The line is not UTF-8.
    NotText,
    /// A line other than `scenario NAME` stands outside a scenario.
    OutsideScenario,
    /// The scenario that begins in `line` has no `end`.
    MissingEnd {
        /// The line of its first word.
        line: u32,
    },
    /// A scenario in `line` has the same name and holds for some of the same kernel versions.
    SameName {
        /// The line of its first word.
        line: u32,
    },
    /// `kernel`, `needs` or `region` after the first operation.
    LateCondition,
    /// The word after `region` is not a region.
    Region,
    /// Not a comparison of kernel versions.
    Comparison,
    /// Not a version of two numbers.
    Version,
    /// Not a fact about a machine.
    Fact {
        /// The closest known fact.
        near: Option<&'static str>,
    },
    /// Not an operation.
    Operation {
        /// The closest known operation.
        near: Option<&'static str>,
    },
    /// Not an advice of madvise(2).
    Advice {
        /// The closest known advice.
        near: Option<&'static str>,
    },
    /// Not a memory policy.
    Policy,
    /// Neither `on` nor `off`.
    Switch,
    /// Not a personality.
    Personality,
    /// A required part is missing.
    Missing(&'static str),
    /// The operation does not accept this.
    TooMuch,
    /// An option is repeated, or contradicts another.
    Repeated,
    /// Not an address.
    PageAddress,
    /// Not a length.
    Length,
    /// Not a count.
    Count,
    /// Not the distance by which the break moves.
    Distance,
    /// The number exceeds the limit.
    TooLarge {
        /// The maximum.
        limit: u64,
    },
    /// Not the permissions of an operation.
    Prot,
    /// Not a hexadecimal key.
    Key,
    /// The closing quote is missing, or text follows it.
    Quote,
    /// Not an escape sequence of quoted tokens.
    Escape,
    /// Not the error after `!`.
    Failure,
    /// A signal after a system call, or an errno after an access.
    WrongFailure,
    /// A row that does not follow `expect`.
    RowOutsideExpect,
    /// A row does not begin with two page numbers.
    Row,
    /// A row is empty, or overlaps the row before it or lies below it.
    RowOrder,
    /// The permissions of a row are not the kernel's four characters.
    Perms,
    /// Not the offset of a row.
    Offset,
    /// Not the label of a row and the name shown.
    Shown,
}

impl fmt::Display for ScenarioErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ScenarioErrorKind as Kind;
        let suggest = |f: &mut fmt::Formatter<'_>, what: &str, near: &Option<&str>| match near {
            Some(near) => write!(f, "{what}; perhaps `{near}` is meant"),
            None => f.write_str(what),
        };
        f.write_str(match self {
            Kind::Nul => "a NUL, which no name can hold",
            Kind::NotText => {
                "not UTF-8; only paths and shown names hold other bytes, written \\xHH in quotes"
            }
            Kind::OutsideScenario => "outside of a scenario only `scenario NAME` can stand",
            Kind::MissingEnd { line } => {
                return write!(
                    f,
                    "the scenario that begins in line {line} needs an `end` before this"
                );
            }
            Kind::SameName { line } => {
                return write!(
                    f,
                    "the scenario in line {line} has this name too and holds for the same kernels; \
                     rename one or add `kernel` conditions"
                );
            }
            Kind::LateCondition => {
                "`kernel`, `needs` and `region` stand before the first operation"
            }
            Kind::Region => "a region is plain, heap or stack",
            Kind::Comparison => "a condition is <, <=, =, >= or > and then a version",
            Kind::Version => "a version is two numbers, like 6.18",
            Kind::Fact { near } => return suggest(f, "no such fact about a machine", near),
            Kind::Operation { near } => return suggest(f, "no such operation", near),
            Kind::Advice { near } => return suggest(f, "no such advice", near),
            Kind::Policy => "a policy is default, local, bind, preferred or interleave",
            Kind::Switch => "this must be on or off",
            Kind::Personality => "the only personality is read-implies-exec",
            Kind::Missing(what) => return write!(f, "{what} is missing"),
            Kind::TooMuch => {
                "this option does not belong to the action of this line; the line could end before it"
            }
            Kind::Repeated => "this is repeated, or contradicts an earlier word",
            Kind::PageAddress => "an address is a page, like 3, -1 or 0+1b (one byte further)",
            Kind::Length => "a length is a number of pages, like 4, or of bytes, like 1b",
            Kind::Count => "a decimal number must stand here",
            Kind::Distance => "the break moves by +N or -N pages",
            Kind::TooLarge { limit } => {
                return write!(f, "the number is above the limit of {limit}");
            }
            Kind::Prot => "permissions are `none`, or letters of r, w and x, each at most once",
            Kind::Key => "a key is one to eight hexadecimal digits",
            Kind::Quote => "a quoted token ends with a quotation mark, and no more of it follows",
            Kind::Escape => "the escapes are \\n \\t \\\" \\\\ and \\xHH (not \\x00)",
            Kind::Failure => {
                "the name of an errno, like ENOMEM, or SIGSEGV or SIGBUS must follow !"
            }
            Kind::WrongFailure => {
                "`read` and `write` fail with SIGSEGV or SIGBUS, everything else with an errno"
            }
            Kind::RowOutsideExpect => "rows can only follow `expect`",
            Kind::Row => "a row begins with FROM-TO, two pages, like 0-4",
            Kind::RowOrder => "a row must not be empty and must lie above the row before it",
            Kind::Perms => "the permissions of a row are four characters, like r-xp",
            Kind::Offset => "an offset is @ and a page, and then a label follows",
            Kind::Shown => "only `(deleted)`, or = and the name shown, may follow the label",
        })
    }
}

/// A scenario that cannot be parsed: the error and its position in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
#[non_exhaustive]
pub struct ScenarioError {
    /// The error.
    pub kind: ScenarioErrorKind,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in bytes, counted from 1.
    pub column: u32,
}
