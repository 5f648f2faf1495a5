//! Filter expressions: `perms = rw?p and size >= 1M and not name = "*.so*"`.

mod next;
mod pattern;
mod perms;

use crate::field::{FIELDS, Field, FieldKind, FieldNeeds, FieldRow};
use crate::kind::Kind;
pub use next::NextWord;
use next::{Awaited, Step};
use pattern::Pattern;
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
/// | numbers of [`FIELDS`], as `size` `start`, with smaps `rss` `pss` `swap` … | `=` `!=` `<` `<=` `>` `>=` | a number: decimal, `0x…`, with `K` `M` `G` `T` (powers of 1024) |
/// | `addr` | `=` `!=` | an address that the row covers, or not |
/// | texts of [`FIELDS`], as `perms` `kind` `name` `label` | `=` `!=` | a glob over the whole: `*` any bytes, `?` one byte |
/// | | `~` `!~` | a regular expression found anywhere in it (feature `regex`) |
/// | `perms` | `=` `!=` | also three letters, such as `rw-`: the fourth is any |
/// | | `has` | letters of `rwxps`, all of which it has: `perms has wx` |
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

/// A syntax error in a filter expression, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterError {
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The error, and the syntax expected at that position.
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
    Number(&'static Field, Comparison, u64),
    Covers(u64),
    Text(&'static Field, Pattern),
}

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

/// Ordered so that longer operators match first.
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
    /// Whether a field of the expression requires that data.
    pub fn needs(&self, needs: FieldNeeds) -> bool {
        self.0.any(&|field| field.needs == needs)
    }

    /// Whether a field of the expression requires more than the text of the row.
    pub fn needs_more_than_rows(&self) -> bool {
        self.0.any(&|field| !matches!(field.needs, FieldNeeds::Row | FieldNeeds::Process))
    }

    /// Whether it is about processes only: all rows of one meet it, or none.
    pub fn is_about_processes(&self) -> bool {
        !self.0.any(&|field| field.needs != FieldNeeds::Process) && !self.0.has_covers()
    }

    /// The fields that are to be equal to a whole text, with that text: it holds neither `*` nor `?`.
    pub fn whole_texts(&self) -> Vec<(&'static Field, &str)> {
        let mut found = Vec::new();
        self.0.whole_texts(&mut found);
        found
    }

    /// The filter with other addresses in the place of those that its rows are to cover, such as
    /// addresses without a tag.
    #[must_use]
    pub fn map_addresses(mut self, mut address: impl FnMut(u64) -> u64) -> Filter {
        self.0.map_addresses(&mut address);
        self
    }

    /// The words with which the last word of an unfinished expression can go on, or that can follow
    /// it: fields, operators of a field, values of which there are few, `and`, `or`.
    ///
    /// ```
    /// let next = vmatlas_maps::Filter::next_words("perms has x and siz");
    /// assert_eq!(next[0].text, "perms has x and size");
    /// ```
    pub fn next_words(text: &str) -> Vec<NextWord> {
        next::next_words(text)
    }

    /// Whether the row meets the condition.
    pub fn matches(&self, row: &dyn FieldRow) -> bool {
        self.0.holds(row)
    }
}

impl Node {
    /// Whether `condition` is true of any field in the expression.
    fn any(&self, condition: &impl Fn(&Field) -> bool) -> bool {
        match self {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(|node| node.any(condition)),
            Node::Not(node) => node.any(condition),
            Node::Number(field, ..) | Node::Text(field, _) => condition(field),
            Node::Covers(_) => false,
        }
    }

    /// Whether it asks for an address that rows cover.
    fn has_covers(&self) -> bool {
        match self {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(Node::has_covers),
            Node::Not(node) => node.has_covers(),
            Node::Covers(_) => true,
            Node::Number(..) | Node::Text(..) => false,
        }
    }

    fn whole_texts<'f>(&'f self, found: &mut Vec<(&'static Field, &'f str)>) {
        match self {
            Node::And(nodes) | Node::Or(nodes) => {
                nodes.iter().for_each(|node| node.whole_texts(found));
            }
            Node::Text(field, pattern) => {
                found.extend(pattern.whole().map(|text| (*field, text)));
            }
            Node::Not(_) | Node::Number(..) | Node::Covers(_) => {}
        }
    }

    fn map_addresses(&mut self, address: &mut impl FnMut(u64) -> u64) {
        match self {
            Node::And(nodes) | Node::Or(nodes) => {
                nodes.iter_mut().for_each(|node| node.map_addresses(address));
            }
            Node::Not(node) => node.map_addresses(address),
            Node::Covers(covered) => *covered = address(*covered),
            Node::Number(..) | Node::Text(..) => {}
        }
    }

    fn holds(&self, row: &dyn FieldRow) -> bool {
        match self {
            Node::And(nodes) => nodes.iter().all(|node| node.holds(row)),
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(row)),
            Node::Not(node) => !node.holds(row),
            Node::Covers(address) => row.mapping().range.contains(*address),
            Node::Number(field, comparison, value) => {
                field.value(row).number().is_some_and(|number| comparison.holds(number, *value))
            }
            Node::Text(field, pattern) => pattern.is_match(&field.value(row).text()),
        }
    }
}

impl Comparison {
    /// Whether it compares the values of a field, or with `None` the addresses that a row covers.
    fn takes(self, field: Option<&Field>) -> bool {
        match (self, field.map(|field| field.kind)) {
            (Comparison::Equal | Comparison::Unequal, _) => true,
            (_, None) => false,
            (_, Some(FieldKind::Address | FieldKind::Bytes | FieldKind::Number)) => {
                !matches!(self, Comparison::Match | Comparison::NoMatch)
            }
            (_, Some(FieldKind::Text | FieldKind::Flag)) => {
                matches!(self, Comparison::Match | Comparison::NoMatch)
            }
        }
    }

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
        Parser::new(text).whole()
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// What was expected at each place, in the order of the text.
    awaited: Vec<Awaited>,
}

/// The one field that tests the range of the row: whether it covers an address.
const COVERS: &str = "addr";

/// The values of flags.
const FLAGS: [&str; 2] = ["true", "false"];
/// The field of permissions, whose letters have their places.
const PERMS: &str = "perms";

/// The maximum nesting depth of `not` and parentheses.
const DEPTH: u32 = 64;

const AND: [&str; 2] = ["and", "&&"];
const OR: [&str; 2] = ["or", "||"];
const NOT: [&str; 2] = ["not", "!"];
const HAS: &str = "has";

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser { text, at: 0, depth: 0, awaited: Vec::new() }
    }

    fn whole(&mut self) -> Result<Filter, FilterError> {
        let node = self.expression()?;
        self.skip_blanks();
        if self.at < self.text.len() {
            return Err(self.error("expected `and`, `or` or the end"));
        }
        Ok(Filter(node))
    }

    /// Notes what comes next.
    fn await_next(&mut self, step: Step) {
        self.skip_blanks();
        self.awaited.push(Awaited { at: self.at, step });
    }

    fn expression(&mut self) -> Result<Node, FilterError> {
        self.list(&OR, Node::Or, |parser| parser.list(&AND, Node::And, Self::condition))
    }

    /// Parses one or more parts separated by a word.
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
        self.await_next(Step::Condition);
        let node = if self.word(&NOT) {
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
        self.await_next(Step::Conjunction);
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, FilterError> {
        self.skip_blanks();
        let at = self.at;
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_').to_ascii_lowercase();
        let field = Field::named(&name);
        if field.is_none() && name != COVERS {
            let fields = FIELDS.iter().filter(|field| field.needs != FieldNeeds::Sizes);
            let fields: Vec<&str> = fields.map(|field| field.name).chain([COVERS]).collect();
            let fields = fields.join(", ");
            return Err(self.error_at(
                at,
                format!("expected a field: {fields}, or a size of smaps such as rss"),
            ));
        }
        self.await_next(Step::Operator(field));
        if self.word(&[HAS]) {
            return self.letters(field);
        }
        self.skip_blanks();
        let at = self.at;
        let rest = &self.text[at..];
        let Some((word, comparison)) = COMPARISONS.iter().find(|(word, _)| rest.starts_with(word))
        else {
            return Err(self.error("expected one of = != < <= > >= ~ !~"));
        };
        self.at += word.len();
        self.await_next(Step::Value(field, *comparison));
        let wrong = |operators| self.error_at(at, format!("`{name}` takes {operators}"));
        let Some(field) = field else {
            if !comparison.takes(None) {
                return Err(wrong("= and !="));
            }
            let covers = Node::Covers(self.address()?);
            return Ok(match comparison {
                Comparison::Unequal => Node::Not(Box::new(covers)),
                _ => covers,
            });
        };
        match field.kind {
            FieldKind::Address | FieldKind::Bytes | FieldKind::Number => {
                if !comparison.takes(Some(field)) {
                    return Err(wrong("= != < <= > >="));
                }
                Ok(Node::Number(field, *comparison, self.number()?))
            }
            FieldKind::Text | FieldKind::Flag => {
                if !comparison.takes(Some(field)) {
                    return Err(wrong("= != ~ !~"));
                }
                let glob = matches!(comparison, Comparison::Equal | Comparison::Unequal);
                let negated = matches!(comparison, Comparison::Unequal | Comparison::NoMatch);
                let node = Node::Text(field, self.pattern(field, glob)?);
                Ok(if negated { Node::Not(Box::new(node)) } else { node })
            }
        }
    }

    /// Parses what follows `perms has`.
    fn letters(&mut self, field: Option<&'static Field>) -> Result<Node, FilterError> {
        let Some(field) = field.filter(|field| field.name == PERMS) else {
            return Err(self.error("only `perms` takes has; `~` finds a text inside another"));
        };
        self.await_next(Step::Letters);
        let (at, value) = self.value()?;
        let letters = perms::letters(value).map_err(|message| self.error_at(at, message))?;
        Ok(Node::Text(field, Pattern::Letters(letters)))
    }

    fn pattern(&mut self, field: &Field, glob: bool) -> Result<Pattern, FilterError> {
        let (at, value) = self.value()?;
        if glob
            && field.name == "kind"
            && !value.contains(['*', '?'])
            && !Kind::WORDS.contains(&value)
        {
            return Err(
                self.error_at(at, format!("no such kind; there are {}", Kind::WORDS.join(", ")))
            );
        }
        if glob
            && field.kind == FieldKind::Flag
            // The value of unknown ones is empty.
            && !value.is_empty()
            && !value.contains(['*', '?'])
            && !FLAGS.contains(&value)
        {
            return Err(self.error_at(at, format!("{} is {}", field.name, FLAGS.join(" or "))));
        }
        if glob && field.name == PERMS {
            let glob = perms::glob(value).map_err(|message| self.error_at(at, message))?;
            return Ok(Pattern::glob(&glob));
        }
        if glob {
            return Ok(Pattern::glob(value));
        }
        Pattern::regex(value).map_err(|message| self.error_at(at, message))
    }

    /// Parses an address, which `0x` tells from a decimal number.
    fn address(&mut self) -> Result<u64, FilterError> {
        let (at, value) = self.value()?;
        if value != "0" && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("an address has hexadecimal digits; write 0x{value}");
            return Err(self.error_at(at, message));
        }
        self.number_of(at, value)
    }

    fn number(&mut self) -> Result<u64, FilterError> {
        let (at, value) = self.value()?;
        self.number_of(at, value)
    }

    /// The number that a value at a place is.
    fn number_of(&self, at: usize, value: &str) -> Result<u64, FilterError> {
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

    /// Parses a value; returns it with its byte position.
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

    /// Skips one of `words` if it comes next.
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
