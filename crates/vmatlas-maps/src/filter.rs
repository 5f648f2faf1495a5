//! Filter expressions: `perms = rw?p and size >= 1M and not name = "*.so*"`.

mod pattern;

use crate::kind::Kind;
use crate::mapping::{Mapping, OwnedMapping};
use pattern::Pattern;
use std::borrow::Cow;
use std::fmt;

/// A condition on rows.
///
/// ```text
/// expression  = conjunction { "or" conjunction }
/// conjunction = condition { "and" condition }
/// condition   = "not" condition | "(" expression ")" | field operator value
/// ```
///
/// `and`, `or`, `not` may be written `&&`, `||`, `!`.
///
/// | field | operators | value |
/// |---|---|---|
/// | `start` `end` `size` `offset` `inode`, with smaps also `rss` `pss` `swap` … | `=` `!=` `<` `<=` `>` `>=` | a number: decimal, `0x…`, with `K` `M` `G` `T` (powers of 1024) |
/// | `addr` | `=` `!=` | an address that the row covers, or not |
/// | `perms` `kind` `name` `device` `label` | `=` `!=` | a glob over the whole: `*` any bytes, `?` one byte |
/// | | `~` `!~` | a regular expression found anywhere in it (feature `regex`) |
///
/// A value with blanks, parentheses, `&&` or `||` stands between `"…"` or `'…'`.
///
/// ```
/// let filter: vmatlas_maps::Filter = "kind = anonymous and size > 4K".parse()?;
/// let row = vmatlas_maps::parse_row(b"1000-9000 rw-p 00000000 00:00 0")?;
/// assert!(filter.matches(&row));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter(Node);

/// What a [`Filter`] asks of a row.
pub trait FilterRow {
    /// The row itself.
    fn mapping(&self) -> Mapping<'_>;

    /// A number of smaps by its name in lower case (`rss`), in bytes; a condition on one that is
    /// absent does not hold.
    fn number(&self, _name: &str) -> Option<u64> {
        None
    }

    /// What the row is for; empty where that is not known.
    fn label(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
}

impl FilterRow for Mapping<'_> {
    fn mapping(&self) -> Mapping<'_> {
        *self
    }
}

impl FilterRow for OwnedMapping {
    fn mapping(&self) -> Mapping<'_> {
        self.as_mapping()
    }
}

/// An expression that cannot be taken, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong there and what could stand there.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for FilterError {}

#[derive(Clone, Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Number(NumberField, Comparison, u64),
    Covers(u64),
    Text(TextField, Pattern),
}

#[derive(Clone, Copy, Debug)]
enum NumberField {
    Start,
    End,
    Size,
    Offset,
    Inode,
    Smaps(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum TextField {
    Perms,
    Kind,
    Name,
    Device,
    Label,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Number(NumberField),
    Text(TextField),
    Address,
}

const FIELDS: [(&str, Field); 11] = [
    ("start", Field::Number(NumberField::Start)),
    ("end", Field::Number(NumberField::End)),
    ("size", Field::Number(NumberField::Size)),
    ("offset", Field::Number(NumberField::Offset)),
    ("inode", Field::Number(NumberField::Inode)),
    ("addr", Field::Address),
    ("perms", Field::Text(TextField::Perms)),
    ("kind", Field::Text(TextField::Kind)),
    ("name", Field::Text(TextField::Name)),
    ("device", Field::Text(TextField::Device)),
    ("label", Field::Text(TextField::Label)),
];

/// The sizes of smaps up to 7.3, in lower case.
const SMAPS: [&str; 22] = [
    "kernelpagesize",
    "mmupagesize",
    "rss",
    "pss",
    "pss_dirty",
    "shared_clean",
    "shared_dirty",
    "private_clean",
    "private_dirty",
    "referenced",
    "anonymous",
    "ksm",
    "lazyfree",
    "anonhugepages",
    "shmempmdmapped",
    "filepmdmapped",
    "shared_hugetlb",
    "private_hugetlb",
    "swap",
    "swappss",
    "locked",
    "thpeligible",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Match,
    NoMatch,
}

/// The longer ones first.
const COMPARISONS: [(&str, Comparison); 9] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("!~", Comparison::NoMatch),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("~", Comparison::Match),
];

impl Filter {
    /// Whether it asks for a size of smaps.
    pub fn needs_sizes(&self) -> bool {
        self.0.any(&|node| matches!(node, Node::Number(NumberField::Smaps(_), ..)))
    }

    /// Whether it asks for what rows are for.
    pub fn needs_labels(&self) -> bool {
        self.0.any(&|node| matches!(node, Node::Text(TextField::Label, _)))
    }

    /// Whether the row fulfils the condition.
    pub fn matches(&self, row: &impl FilterRow) -> bool {
        self.0.holds(row)
    }
}

impl Node {
    /// Whether a condition in it is one of those.
    fn any(&self, condition: &impl Fn(&Node) -> bool) -> bool {
        match self {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(|node| node.any(condition)),
            Node::Not(node) => node.any(condition),
            Node::Number(..) | Node::Covers(_) | Node::Text(..) => condition(self),
        }
    }

    fn holds(&self, row: &impl FilterRow) -> bool {
        match self {
            Node::And(nodes) => nodes.iter().all(|node| node.holds(row)),
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(row)),
            Node::Not(node) => !node.holds(row),
            Node::Covers(address) => row.mapping().range.contains(*address),
            Node::Number(field, comparison, value) => {
                let mapping = row.mapping();
                let number = match field {
                    NumberField::Start => Some(mapping.range.start),
                    NumberField::End => Some(mapping.range.end),
                    NumberField::Size => Some(mapping.range.size()),
                    NumberField::Offset => Some(mapping.offset),
                    NumberField::Inode => Some(mapping.inode),
                    NumberField::Smaps(name) => row.number(name),
                };
                number.is_some_and(|number| comparison.holds(number, *value))
            }
            Node::Text(field, pattern) => {
                let mapping = row.mapping();
                match field {
                    TextField::Perms => pattern.is_match(&mapping.perms.0),
                    TextField::Kind => pattern.is_match(mapping.kind().word().as_bytes()),
                    TextField::Name => pattern.is_match(mapping.name),
                    TextField::Label => pattern.is_match(row.label().as_bytes()),
                    TextField::Device => pattern.is_match(mapping.device.to_string().as_bytes()),
                }
            }
        }
    }
}

impl Comparison {
    fn holds(self, number: u64, value: u64) -> bool {
        match self {
            Comparison::Equal => number == value,
            Comparison::Unequal => number != value,
            Comparison::Less => number < value,
            Comparison::LessOrEqual => number <= value,
            Comparison::Greater => number > value,
            Comparison::GreaterOrEqual => number >= value,
            Comparison::Match | Comparison::NoMatch => false,
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let node = parser.expression()?;
        parser.skip_blanks();
        if parser.at < text.len() {
            return Err(parser.error("expected `and`, `or` or the end"));
        }
        Ok(Filter(node))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

/// How deep `not` and parentheses may nest.
const DEPTH: u32 = 64;

impl<'a> Parser<'a> {
    fn expression(&mut self) -> Result<Node, FilterError> {
        self.list(&["or", "||"], Node::Or, |parser| {
            parser.list(&["and", "&&"], Node::And, Self::condition)
        })
    }

    /// One or more parts with a word between them.
    fn list(
        &mut self,
        words: &[&str],
        join: fn(Vec<Node>) -> Node,
        mut part: impl FnMut(&mut Self) -> Result<Node, FilterError>,
    ) -> Result<Node, FilterError> {
        let first = part(self)?;
        if !self.word(words) {
            return Ok(first);
        }
        let mut nodes = vec![first, part(self)?];
        while self.word(words) {
            nodes.push(part(self)?);
        }
        Ok(join(nodes))
    }

    fn condition(&mut self) -> Result<Node, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("too deeply nested"));
        }
        let node = if self.word(&["not", "!"]) {
            Node::Not(Box::new(self.condition()?))
        } else if self.word(&["("]) {
            let node = self.expression()?;
            if !self.word(&[")"]) {
                return Err(self.error("expected `)`"));
            }
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, FilterError> {
        self.skip_blanks();
        let at = self.at;
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_').to_ascii_lowercase();
        let field = FIELDS.iter().find(|(word, _)| *word == name).map(|(_, field)| *field);
        let smaps = SMAPS
            .iter()
            .find(|word| **word == name)
            .map(|word| Field::Number(NumberField::Smaps(word)));
        let Some(field) = field.or(smaps) else {
            let fields = FIELDS.map(|(word, _)| word).join(", ");
            return Err(self.error_at(
                at,
                format!("expected a field: {fields}, or a size of smaps such as rss"),
            ));
        };
        self.skip_blanks();
        let at = self.at;
        let rest = &self.text[at..];
        let Some((word, comparison)) = COMPARISONS.iter().find(|(word, _)| rest.starts_with(word))
        else {
            return Err(self.error("expected one of = != < <= > >= ~ !~"));
        };
        self.at += word.len();
        let wrong = |operators| self.error_at(at, format!("`{name}` takes {operators}"));
        match field {
            Field::Number(field) => match comparison {
                Comparison::Match | Comparison::NoMatch => Err(wrong("= != < <= > >=")),
                _ => Ok(Node::Number(field, *comparison, self.number()?)),
            },
            Field::Address => match comparison {
                Comparison::Equal => Ok(Node::Covers(self.number()?)),
                Comparison::Unequal => Ok(Node::Not(Box::new(Node::Covers(self.number()?)))),
                _ => Err(wrong("= and !=")),
            },
            Field::Text(field) => {
                let (glob, negated) = match comparison {
                    Comparison::Equal => (true, false),
                    Comparison::Unequal => (true, true),
                    Comparison::Match => (false, false),
                    Comparison::NoMatch => (false, true),
                    _ => {
                        return Err(wrong(
                            "= and != with a glob, ~ and !~ with a regular expression",
                        ));
                    }
                };
                let node = Node::Text(field, self.pattern(field, glob)?);
                Ok(if negated { Node::Not(Box::new(node)) } else { node })
            }
        }
    }

    fn pattern(&mut self, field: TextField, glob: bool) -> Result<Pattern, FilterError> {
        let (at, value) = self.value()?;
        if glob
            && matches!(field, TextField::Kind)
            && !value.contains(['*', '?'])
            && !Kind::WORDS.contains(&value)
        {
            return Err(
                self.error_at(at, format!("no such kind; there are {}", Kind::WORDS.join(", ")))
            );
        }
        if glob {
            return Ok(Pattern::glob(value));
        }
        Pattern::regex(value).map_err(|message| self.error_at(at, message))
    }

    fn number(&mut self) -> Result<u64, FilterError> {
        let (at, value) = self.value()?;
        let error =
            || self.error_at(at, "expected a number, like 4096, 0x7f00, 4K or 1G".to_owned());
        if let Some(digits) = value.strip_prefix("0x") {
            let number = u64::from_str_radix(digits, 16).ok();
            return number.filter(|_| !digits.starts_with('+')).ok_or_else(error);
        }
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &*value[digits.len()..].to_ascii_uppercase() {
            "" => 0,
            "K" | "KIB" => 10,
            "M" | "MIB" => 20,
            "G" | "GIB" => 30,
            "T" | "TIB" => 40,
            _ => return Err(error()),
        };
        let number: Option<u64> = digits.parse().ok().filter(|_| !digits.starts_with('+'));
        number.ok_or_else(error)?.checked_mul(1 << shift).ok_or_else(error)
    }

    /// A value and the byte it begins at.
    fn value(&mut self) -> Result<(usize, &'a str), FilterError> {
        self.skip_blanks();
        let at = self.at;
        if let Some(quote @ ('"' | '\'')) = self.text[at..].chars().next() {
            self.at += 1;
            let value = self.take_while(|c| c != quote);
            if self.at == self.text.len() {
                return Err(self.error_at(at, "this quote is not closed".to_owned()));
            }
            self.at += 1;
            return Ok((at + 1, value));
        }
        let rest = &self.text[at..];
        let ends = [
            rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')'),
            rest.find("&&"),
            rest.find("||"),
        ];
        let length = ends.into_iter().flatten().min().unwrap_or(rest.len());
        self.at += length;
        match &rest[..length] {
            "" => Err(self.error("expected a value")),
            value => Ok((at, value)),
        }
    }

    /// Skips one of these words, if it comes next.
    fn word(&mut self, words: &[&str]) -> bool {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let comes = |word: &&str| {
            let after = rest.strip_prefix(*word)?;
            let ends = !word.ends_with(|c: char| c.is_alphabetic())
                || !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            ends.then_some(word.len())
        };
        let length = words.iter().find_map(comes);
        self.at += length.unwrap_or(0);
        length.is_some()
    }

    fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn take_while(&mut self, take: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !take(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn error(&self, message: &str) -> FilterError {
        self.error_at(self.at, message.to_owned())
    }

    fn error_at(&self, at: usize, message: String) -> FilterError {
        FilterError { column: self.text[..at].chars().count() + 1, message }
    }
}
