//! What many processes have in common: strings, and rows without their addresses. A chain of
//! snapshots shares one table; each snapshot adds to it.

use std::sync::Arc;
use vmatlas_maps::{Device, Perms};
use vmatlas_space::bytes::Take;
#[cfg(feature = "write")]
use {std::collections::HashMap, vmatlas_space::bytes::Put};

/// The most strings, and the most bytes of them. Entry 0 is the empty string.
const MAX_STRINGS: usize = 1 << 22;
const MAX_STRING_BYTES: usize = 128 << 20;
/// The most rows without addresses.
const MAX_SHAPES: usize = 1 << 22;

/// How certain a label is: 0 for a guess, 1 for likely, 2 for certain.
pub type Confidence = u8;

/// A part of a row with a purpose of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelPart {
    /// Its start in bytes from the start of the row.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The numbers of the strings: group, text, evidence.
    pub group: u32,
    /// The full text.
    pub text: u32,
    /// The evidence.
    pub because: u32,
    /// How certain it is.
    pub confidence: Confidence,
}

/// A row without its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) size: u64,
    pub(super) perms: Perms,
    pub(super) offset: u64,
    pub(super) device: Device,
    pub(super) inode: u64,
    /// The number of its name.
    pub(super) name: u32,
    pub(super) parts: Box<[LabelPart]>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    strings: Vec<Arc<[u8]>>,
    string_bytes: usize,
    pub(super) shapes: Vec<Shape>,
    #[cfg(feature = "write")]
    string_numbers: HashMap<Arc<[u8]>, u32>,
    #[cfg(feature = "write")]
    shape_numbers: HashMap<Shape, u32>,
}

/// Numbers of whole pages are small.
pub(super) fn turned(pages: u64) -> u64 {
    pages.rotate_right(12)
}

impl Tables {
    pub(super) fn string(&self, number: u32) -> Option<&Arc<[u8]>> {
        static EMPTY: std::sync::LazyLock<Arc<[u8]>> = std::sync::LazyLock::new(|| Arc::from([]));
        match (number as usize).checked_sub(1) {
            None => Some(&EMPTY),
            Some(at) => self.strings.get(at),
        }
    }

    /// Adds the strings that a snapshot brings; `None` if the bytes are invalid.
    pub(super) fn read_strings(&mut self, mut take: Take<'_>) -> Option<()> {
        while !take.0.is_empty() {
            let string = take.bytes()?;
            self.string_bytes = self.string_bytes.saturating_add(string.len());
            if self.strings.len() >= MAX_STRINGS || self.string_bytes > MAX_STRING_BYTES {
                return None;
            }
            self.strings.push(string.into());
        }
        Some(())
    }

    /// Adds the rows that a snapshot brings; `None` if the bytes are invalid.
    pub(super) fn read_shapes(&mut self, mut take: Take<'_>) -> Option<()> {
        while !take.0.is_empty() {
            let size = take.uint()?.rotate_left(12);
            let perms = Perms([(); 4].map(|()| take.byte().unwrap_or(b'-')));
            let offset = take.uint()?.rotate_left(12);
            let device = Device::new(take.u32()?, take.u32()?);
            let inode = take.uint()?;
            let name = self.known(take.u32()?)?;
            let parts = (0..take.count()?).map(|_| self.read_part(&mut take));
            let parts = parts.collect::<Option<Box<[LabelPart]>>>()?;
            if self.shapes.len() >= MAX_SHAPES {
                return None;
            }
            self.shapes.push(Shape { size, perms, offset, device, inode, name, parts });
        }
        Some(())
    }

    fn read_part(&self, take: &mut Take<'_>) -> Option<LabelPart> {
        Some(LabelPart {
            offset: take.uint()?.rotate_left(12),
            size: take.uint()?.rotate_left(12),
            group: self.known(take.u32()?)?,
            text: self.known(take.u32()?)?,
            because: self.known(take.u32()?)?,
            confidence: take.byte().filter(|confidence| *confidence <= 2)?,
        })
    }

    fn known(&self, string: u32) -> Option<u32> {
        self.string(string).map(|_| string)
    }
}

#[cfg(feature = "write")]
impl Tables {
    /// How many strings and rows there are.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.strings.len(), self.shapes.len())
    }

    /// Finds the numbers of what was read.
    pub(super) fn index(&mut self) {
        let numbered = |(at, string): (usize, &Arc<[u8]>)| (string.clone(), at as u32 + 1);
        self.string_numbers = self.strings.iter().enumerate().map(numbered).collect();
        let numbered = |(at, shape): (usize, &Shape)| (shape.clone(), at as u32);
        self.shape_numbers = self.shapes.iter().enumerate().map(numbered).collect();
    }

    /// The number of a string; that of the empty one if there are too many.
    pub(super) fn number(&mut self, string: &[u8]) -> u32 {
        if string.is_empty() {
            return 0;
        }
        if let Some(number) = self.string_numbers.get(string) {
            return *number;
        }
        let bytes = self.string_bytes.saturating_add(string.len());
        if self.strings.len() >= MAX_STRINGS || bytes > MAX_STRING_BYTES {
            return 0;
        }
        self.string_bytes = bytes;
        let string: Arc<[u8]> = string.into();
        self.strings.push(string.clone());
        let number = self.strings.len() as u32;
        self.string_numbers.insert(string, number);
        number
    }

    /// The number of a row; `None` if there are too many.
    pub(super) fn shape(&mut self, shape: Shape) -> Option<u32> {
        if let Some(number) = self.shape_numbers.get(&shape) {
            return Some(*number);
        }
        if self.shapes.len() >= MAX_SHAPES {
            return None;
        }
        let number = self.shapes.len() as u32;
        self.shapes.push(shape.clone());
        self.shape_numbers.insert(shape, number);
        Some(number)
    }

    /// The strings and the rows that were added since there were so many.
    pub(super) fn added(&self, (strings, shapes): (usize, usize)) -> (Vec<u8>, Vec<u8>) {
        let (mut text, mut rows) = (Vec::new(), Vec::new());
        self.strings[strings..].iter().for_each(|string| text.put_bytes(string));
        for shape in &self.shapes[shapes..] {
            rows.put(turned(shape.size));
            rows.extend_from_slice(&shape.perms.0);
            rows.put(turned(shape.offset));
            rows.put(u64::from(shape.device.major));
            rows.put(u64::from(shape.device.minor));
            rows.put(shape.inode);
            rows.put(u64::from(shape.name));
            rows.put(shape.parts.len() as u64);
            for part in &shape.parts {
                rows.put(turned(part.offset));
                rows.put(turned(part.size));
                rows.put(u64::from(part.group));
                rows.put(u64::from(part.text));
                rows.put(u64::from(part.because));
                rows.push(part.confidence);
            }
        }
        (text, rows)
    }
}
