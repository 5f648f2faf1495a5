//! The rows of a core dump: its segments joined with the file names.

use super::files::MappedFiles;
use super::headers::Segment;
use vmatlas_maps::Maps;
use vmatlas_maps::{AddressRange, Device, Mapping, Perms};

/// The names of rows without a file, by start address.
pub(super) type Names = [(u64, &'static [u8])];

/// Builds the rows. A segment that maps several files becomes several rows. A file without a
/// segment (gdb omits unreadable memory) becomes a row with unknown permissions.
///
/// gdb marks all memory readable, even guards, so the read permission of its rows is unknown (`?`).
pub(super) fn join(segments: &[Segment], files: &MappedFiles, names: &Names, of_gdb: bool) -> Maps {
    let mut join = Join { files, of_gdb, next: 0, end: 0, maps: Maps::default() };
    for segment in segments {
        join.files_until(segment.range.start);
        join.segment(segment, names);
    }
    join.files_until(u64::MAX);
    join.maps
}

struct Join<'a> {
    files: &'a MappedFiles,
    of_gdb: bool,
    /// Index of the next file mapping that has no row yet.
    next: usize,
    /// The end of the last row.
    end: u64,
    maps: Maps,
}

impl Join<'_> {
    /// Adds rows for the files without a segment below `limit`.
    fn files_until(&mut self, limit: u64) {
        while let Some(file) = self.files.rows.get(self.next) {
            if file.range.start >= limit {
                break;
            }
            let (start, end) = (file.range.start.max(self.end), file.range.end.min(limit));
            if start < end {
                self.file(start, end, Perms(*b"????"));
            }
            if file.range.end > limit {
                break;
            }
            self.next += 1;
        }
    }

    fn segment(&mut self, segment: &Segment, names: &Names) {
        let mut perms = perms(segment.flags);
        if self.of_gdb && !perms.write() {
            perms.0[0] = b'?';
        }
        let (mut start, end) = (segment.range.start, segment.range.end);
        while start < end {
            while self.files.rows.get(self.next).is_some_and(|file| file.range.end <= start) {
                self.next += 1;
            }
            let file = self.files.rows.get(self.next).map(|file| file.range);
            let part_end = match file {
                Some(file) if file.start <= start => {
                    let part_end = end.min(file.end);
                    self.file(start, part_end, perms);
                    part_end
                }
                file => {
                    let part_end = file.map_or(end, |file| end.min(file.start));
                    let name = names.iter().find(|(at, _)| *at == start).map(|(_, name)| *name);
                    self.push(start, part_end, perms, 0, name.unwrap_or_default());
                    part_end
                }
            };
            start = part_end;
        }
    }

    /// Adds a row for the next file.
    fn file(&mut self, start: u64, end: u64, perms: Perms) {
        let Some(file) = self.files.rows.get(self.next) else { return };
        let offset = file.offset.wrapping_add(start.wrapping_sub(file.range.start));
        let name = escaped(self.files.name(file));
        self.push(start, end, perms, offset, &name);
    }

    fn push(&mut self, start: u64, end: u64, perms: Perms, offset: u64, name: &[u8]) {
        self.end = end;
        let (range, device) = (AddressRange::new(start, end), Device::default());
        self.maps.push(&Mapping { range, perms, offset, device, inode: 0, name });
    }
}

/// The permissions of a segment. A core does not distinguish private from shared.
fn perms(flags: u32) -> Perms {
    let set = |flag, letter| if flags & flag == 0 { b'-' } else { letter };
    Perms([set(Segment::READ, b'r'), set(Segment::WRITE, b'w'), set(Segment::EXECUTE, b'x'), b'?'])
}

/// The name as maps prints it, with escaped line feeds.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\n' => escaped.extend_from_slice(br"\012"),
            byte => escaped.push(byte),
        }
    }
    escaped
}
