//! A snapshot that was read.

use super::header::Header;
use super::process::SavedProcess;
use super::tables::{LabelPart, Tables};
use std::collections::BTreeMap;
use vmatlas_maps::{AddressRange, Mapping, Maps, SmapsValue};

/// All processes of a machine at one time.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// What is known of it besides.
    pub header: Header,
    /// The checksum of its file.
    pub checksum: u32,
    /// Numbers about the machine by their names.
    pub facts: BTreeMap<String, u64>,
    /// The processes by ascending PID.
    pub processes: Vec<SavedProcess>,
    pub(super) tables: Tables,
}

impl Snapshot {
    /// The rows of the process at that place, with the fields of smaps that were kept; none if there
    /// is no such process.
    pub fn maps(&self, process: usize) -> Maps {
        let mut maps = Maps::default();
        let Some(process) = self.processes.get(process) else { return maps };
        let width = self.header.fields.len();
        let mut fields = process.fields.chunks(width.max(1));
        self.each_row(process, |mapping, _| {
            maps.push(&mapping);
            let values = fields.next().into_iter().flatten();
            for (name, value) in self.header.fields.iter().zip(values) {
                if let Some(value) = value {
                    maps.push_field(name.as_bytes(), &SmapsValue::Kib(*value / 1024));
                }
            }
        });
        maps
    }

    /// The labels of the process at that place, by ascending addresses.
    pub fn labels(&self, process: usize) -> Vec<(AddressRange, LabelPart)> {
        let mut labels = Vec::new();
        let Some(process) = self.processes.get(process) else { return labels };
        self.each_row(process, |mapping, parts| {
            for part in parts {
                let start = mapping.range.start.wrapping_add(part.offset);
                let range = AddressRange::sized(start, part.size);
                let range = range.and_then(|range| range.intersect(&mapping.range));
                labels.extend(range.map(|range| (range, *part)));
            }
        });
        labels
    }

    /// A string of a label; an empty one if there is none.
    pub fn string(&self, number: u32) -> &[u8] {
        self.tables.string(number).map_or(&[], |string| string)
    }

    fn each_row<'s>(
        &'s self,
        process: &SavedProcess,
        mut take: impl FnMut(Mapping<'s>, &'s [LabelPart]),
    ) {
        let mut end = 0u64;
        for row in &*process.rows {
            let Some(shape) = self.tables.shapes.get(row.shape as usize) else { continue };
            let start = end.wrapping_add(row.gap);
            end = start.wrapping_add(shape.size);
            // A row at the end of all addresses or beyond is one of a damaged file.
            let Some(range) = AddressRange::try_new(start, end) else { continue };
            let name = self.string(shape.name);
            let (perms, offset) = (shape.perms, shape.offset);
            let (device, inode) = (shape.device, shape.inode);
            take(Mapping { range, perms, offset, device, inode, name }, &shape.parts);
        }
    }
}
