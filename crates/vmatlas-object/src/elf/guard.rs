//! Bounds on addr2line's use of DWARF. It recurses into nested functions, and copies ranges and
//! lines that a hostile file can share between all its functions and units.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{Duration, Instant},
};

use gimli::{DebugInfoOffset, Reader as _, Section as _, UnitRef, constants};

use super::{ElfError, dwarf_sections::Reader};

/// Address ranges of all units and of all visited functions. A C++ browser has some ten million.
const MAX_RANGES: usize = 32 << 20;
/// Address ranges of one unit. A unit seldom exceeds 100 MiB.
const MAX_UNIT_RANGES: usize = 8 << 20;
/// Time for all units. Units can share the data they refer to, so the size of the sections does not
/// bound the time.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Depth of nested inlined functions. Compilers reach some tens.
const MAX_DEPTH: usize = 256;
/// How often, on average, the bytes of `.debug_line` may be read.
const LINES_FACTOR: u64 = 4;

/// Decides which units addr2line may read.
pub(super) struct Guard {
    /// Sorted by their start.
    ranges: Vec<UnitRange>,
    checked: RefCell<HashMap<DebugInfoOffset, Result<(), ElfError>>>,
    ranges_left: Cell<usize>,
    lines_left: Cell<u64>,
}

struct UnitRange {
    start: u64,
    end: u64,
    /// The greatest `end` of this one and all before it. A backward search stops where this is at
    /// or below the address.
    reach: u64,
    unit: DebugInfoOffset,
}

impl Guard {
    /// Reads the address ranges of all units.
    pub(super) fn new(dwarf: &gimli::Dwarf<Reader>) -> Result<Self, ElfError> {
        let started = Instant::now();
        let mut found = Vec::new();
        let mut units = dwarf.units();
        while let Some(header) = units.next().map_err(damaged)? {
            if started.elapsed() > TIME_LIMIT || found.len() > MAX_RANGES {
                return Err(ElfError::malformed(
                    ".debug_info",
                    "it takes more than 10 seconds or has more than 33554432 ranges",
                ));
            }
            let Some(unit) = header.debug_info_offset() else { continue };
            // A damaged unit does not hide the others.
            let _ = dwarf.unit(header).and_then(|parsed| {
                let mut ranges = dwarf.unit_ranges(&parsed)?;
                while let Some(range) = ranges.next()?
                    && found.len() <= MAX_RANGES
                {
                    if range.begin < range.end {
                        found.push(UnitRange {
                            start: range.begin,
                            end: range.end,
                            reach: 0,
                            unit,
                        });
                    }
                }
                Ok(())
            });
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut reach = 0;
        for range in &mut found {
            reach = range.end.max(reach);
            range.reach = reach;
        }
        let lines = dwarf.debug_line.reader().len() as u64;
        Ok(Guard {
            ranges: found,
            checked: RefCell::default(),
            ranges_left: Cell::new(MAX_RANGES),
            lines_left: Cell::new(lines.saturating_mul(LINES_FACTOR)),
        })
    }

    /// Whether all units that contain the address are within the bounds.
    pub(super) fn check(&self, dwarf: &gimli::Dwarf<Reader>, vaddr: u64) -> Result<(), ElfError> {
        let before = &self.ranges[..self.ranges.partition_point(|range| range.start <= vaddr)];
        for range in before.iter().rev().take_while(|range| vaddr < range.reach) {
            if vaddr < range.end {
                let mut checked = self.checked.borrow_mut();
                checked
                    .entry(range.unit)
                    .or_insert_with(|| self.unit(dwarf, range.unit))
                    .clone()?;
            }
        }
        Ok(())
    }

    fn unit(&self, dwarf: &gimli::Dwarf<Reader>, at: DebugInfoOffset) -> Result<(), ElfError> {
        let unit = dwarf.unit_header(at).and_then(|header| dwarf.unit(header)).map_err(damaged)?;
        let lines = unit.line_program.as_ref();
        let lines = lines.map_or(0, |lines| lines.header().raw_program_buf().len() as u64);
        let left = self.lines_left.get().checked_sub(lines);
        self.lines_left.set(left.ok_or_else(|| {
            ElfError::malformed(".debug_line", "units share more of it than they can")
        })?);
        self.functions(unit.unit_ref(dwarf))
    }

    /// Checks that the functions of a unit are within the bounds for depth and ranges.
    pub(super) fn functions(&self, unit: UnitRef<'_, Reader>) -> Result<(), ElfError> {
        let limit = self.ranges_left.get().min(MAX_UNIT_RANGES);
        let mut ranges = 0;
        // Depths of the inlined functions that enclose the entry.
        let mut inlined: Vec<isize> = Vec::new();
        let mut walk = || -> gimli::Result<()> {
            let mut entries = unit.entries_raw(None)?;
            while !entries.is_empty() {
                let depth = entries.next_depth();
                let Some(abbreviation) = entries.read_abbreviation()? else { continue };
                if abbreviation.tag() == constants::DW_TAG_inlined_subroutine {
                    while inlined.last().is_some_and(|&outer| outer >= depth) {
                        inlined.pop();
                    }
                    inlined.push(depth);
                    if inlined.len() > MAX_DEPTH {
                        return Ok(());
                    }
                }
                let has_ranges =
                    |spec: &gimli::AttributeSpecification| spec.name() == constants::DW_AT_ranges;
                if !abbreviation.attributes().iter().any(has_ranges) {
                    entries.skip_attributes(abbreviation.attributes())?;
                    continue;
                }
                for spec in abbreviation.attributes() {
                    let attribute = entries.read_attribute(*spec)?;
                    if !has_ranges(spec) {
                        continue;
                    }
                    let Some(list) = unit.attr_ranges_offset(attribute.value())? else { continue };
                    let mut list = unit.ranges(list)?;
                    while list.next()?.is_some() {
                        ranges += 1;
                        if ranges > limit {
                            return Ok(());
                        }
                    }
                }
            }
            Ok(())
        };
        let walked = walk();
        if inlined.len() > MAX_DEPTH {
            return Err(ElfError::malformed(".debug_info", "its functions nest too deep"));
        }
        if ranges > limit {
            return Err(ElfError::malformed(".debug_info", "its functions have too many ranges"));
        }
        self.ranges_left.set(self.ranges_left.get() - ranges);
        walked.map_err(damaged)
    }
}

pub(super) fn damaged(error: gimli::Error) -> ElfError {
    ElfError::malformed("DWARF", error.to_string())
}
