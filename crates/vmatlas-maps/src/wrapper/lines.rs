//! Rows that a terminal or a mail broke into two lines.

use crate::mapping::Mapping;

/// The widths at which most terminals, mails and `fold` break lines. Rows with a name have more than
/// 73 bytes.
const WIDTHS: [usize; 12] = [76, 78, 79, 80, 90, 96, 100, 110, 120, 128, 132, 160];
/// How many lines behind rows are kept, and how long they may be.
const MAX_LINES: usize = 4096;
const MAX_BYTES: usize = 4096;

/// A line behind a row.
#[derive(Clone, Debug)]
struct Rest {
    row: usize,
    /// The length of the line before.
    before: usize,
    /// Whether the line before is the row.
    is_first: bool,
    text: Vec<u8>,
}

/// Finds the rest of broken rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrokenLines {
    /// The length of the line before, and whether it is a row; `None` if it is no part of one.
    before: Option<(usize, bool)>,
    /// The length of the longest line with a row, and the number of such lines.
    longest: (usize, usize),
    rests: Vec<Rest>,
    /// Whether a name stands in the line behind its row.
    has_names: bool,
    /// Whether a name goes on in the line behind its row.
    has_rests: bool,
    /// The number of rows whose names may go on in the line behind them.
    perhaps_cut: usize,
}

impl BrokenLines {
    /// Notes that a line ends in a row.
    pub(crate) fn row(&mut self, length: usize) {
        self.before = Some((length, true));
        match length.cmp(&self.longest.0) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => self.longest.1 += 1,
            std::cmp::Ordering::Greater => self.longest = (length, 1),
        }
    }

    /// Notes that a line is neither a row nor the rest of one.
    pub(crate) fn end(&mut self) {
        self.before = None;
    }

    /// The name of the last row, if a line that is no row holds it. The kernel prints no file without
    /// a name.
    pub(crate) fn name<'l>(&mut self, last: &Mapping<'_>, line: &'l [u8]) -> Option<&'l [u8]> {
        const KERNEL: [&[u8]; 8] = [
            b"[heap]",
            b"[stack",
            b"[vdso]",
            b"[vvar",
            b"[vsyscall]",
            b"[anon",
            b"[vectors]",
            b"[sigpage]",
        ];
        let name = line.trim_ascii();
        let is_of_kernel = || {
            let known = KERNEL.iter().any(|start| name.starts_with(start)) && name.ends_with(b"]");
            self.has_names && (known || name.starts_with(b"/"))
        };
        let is_of_file = last.inode != 0 && name.starts_with(b"/");
        let found = last.name.is_empty() && (is_of_file || last.inode == 0 && is_of_kernel());
        self.has_names |= found;
        found.then_some(name)
    }

    /// Keeps a line that may be the rest of row number `row`.
    pub(crate) fn keep(&mut self, row: usize, line: &[u8]) {
        let Some((before, is_first)) = self.before.take() else { return };
        if self.rests.len() < MAX_LINES && line.len() <= MAX_BYTES {
            self.rests.push(Rest { row, before, is_first, text: line.to_vec() });
            self.before = Some((line.len(), false));
        }
    }

    /// Whether the line before is a row, or a line kept behind one.
    pub(crate) fn is_behind_row(&self) -> bool {
        self.before.is_some()
    }

    /// The rests by row, if the longest rows were all broken at one width.
    pub(crate) fn rests(&mut self) -> Vec<(usize, Vec<u8>)> {
        let (width, rows) = self.longest;
        let all = std::mem::take(&mut self.rests);
        let broken = all.iter().filter(|rest| rest.is_first && rest.before == width).count();
        let others = all.iter().filter(|rest| rest.is_first && rest.before != width).count();
        // Behind the last row may stand anything; between the rows of a log, other lines.
        if broken < 2 || broken < rows.div_ceil(2) || others > 1 {
            return Vec::new();
        }
        // Lines of a log have blanks, or begin with a path.
        let is_path = |rest: &Rest| {
            rest.text.contains(&b'/') && rest.text[0] != b'/' && !rest.text.contains(&b' ')
        };
        let mut of_width = all.iter().filter(|rest| rest.before == width);
        if !WIDTHS.contains(&width) && (broken < rows || !of_width.all(is_path)) {
            let is_of_name = |rest: &Rest| rest.text.iter().any(|b| b"/.])".contains(b));
            let are_all = broken == rows && all.iter().all(is_of_name);
            self.perhaps_cut = if are_all { rows } else { 0 };
            return Vec::new();
        }
        let mut joined: Vec<(usize, Vec<u8>)> = Vec::new();
        for rest in all.into_iter().filter(|rest| rest.before == width) {
            match joined.last_mut().filter(|(row, _)| *row == rest.row) {
                Some((_, text)) => text.extend_from_slice(&rest.text),
                None if rest.is_first => joined.push((rest.row, rest.text)),
                None => {}
            }
        }
        self.has_rests = !joined.is_empty();
        joined
    }

    /// The number of rows of one length, all with other lines behind them, whose names may be cut.
    pub(crate) fn perhaps_cut(&self) -> usize {
        self.perhaps_cut
    }

    /// Whether lines were joined to rows.
    pub(crate) fn is_joined(&self) -> bool {
        self.has_names || self.has_rests
    }
}
