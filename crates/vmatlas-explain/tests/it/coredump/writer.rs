//! Writes core dumps from elf(5) and core(5), including dumps that no kernel writes.

use vmatlas_maps::AddressRange;

/// A memory segment.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) start: u64,
    pub(crate) size: u64,
    /// The size in the header, if it differs from the actual size, which is 0.
    pub(crate) file_size: Option<u64>,
}

impl Load {
    pub(crate) fn new(start: u64, size: u64) -> Load {
        Load { start, size, file_size: None }
    }
}

pub(crate) struct Writer {
    pub(crate) word: usize,
    pub(crate) big_endian: bool,
    pub(crate) loads: Vec<Load>,
    /// Range, offset in pages of 4096 bytes, path.
    pub(crate) files: Vec<(AddressRange, u64, Vec<u8>)>,
    pub(crate) notes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(word: usize, big_endian: bool) -> Writer {
        Writer { word, big_endian, loads: Vec::new(), files: Vec::new(), notes: Vec::new() }
    }

    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        let bytes = value.to_le_bytes();
        let little = bytes[..size].iter().copied();
        if self.big_endian { little.rev().collect() } else { little.collect() }
    }

    fn put(&self, bytes: &mut Vec<u8>, values: &[(u64, usize)]) {
        values.iter().for_each(|&(value, size)| bytes.extend(self.number(value, size)));
    }

    /// Adds a note with any size field.
    pub(crate) fn raw_note(&mut self, name: &[u8], kind: u32, size: u32, bytes: &[u8]) {
        let mut note = Vec::new();
        self.put(&mut note, &[(name.len() as u64, 4), (size.into(), 4), (kind.into(), 4)]);
        for part in [name, bytes] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        self.notes.extend(note);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let word = self.word;
        let (header, entry, section) = if word == 8 { (64, 56, 64) } else { (52, 32, 40) };
        let count = self.loads.len() + 1;
        let table = entry * count;
        let mut notes = Writer { notes: self.notes.clone(), ..Writer::new(word, self.big_endian) };
        if !self.files.is_empty() {
            let mut note = Vec::new();
            self.put(&mut note, &[(self.files.len() as u64, word), (4096, word)]);
            for (range, page, _) in &self.files {
                self.put(&mut note, &[(range.start, word), (range.end, word), (*page, word)]);
            }
            for (.., name) in &self.files {
                note.extend(name);
                note.push(0);
            }
            notes.raw_note(b"CORE\0", 0x4649_4c45, note.len() as u32, &note);
        }
        let notes = notes.notes;
        let end = header + table + notes.len();
        let extended = count >= 0xffff;
        let shown = if extended { 0xffff } else { count };
        let sections = if extended { end } else { 0 };

        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([if word == 8 { 2 } else { 1 }, if self.big_endian { 2 } else { 1 }, 1]);
        bytes.resize(16, 0);
        let machine = if word == 8 { 62 } else { 3 };
        self.put(&mut bytes, &[(4, 2), (machine, 2), (1, 4), (0, word), (header as u64, word)]);
        self.put(&mut bytes, &[(sections as u64, word), (0, 4), (header as u64, 2)]);
        self.put(&mut bytes, &[(entry as u64, 2), (shown as u64, 2)]);
        self.put(&mut bytes, &[(section as u64, 2), (u64::from(extended), 2), (0, 2)]);
        assert_eq!(bytes.len(), header);

        // PT_NOTE, then a PT_LOAD with read and write permission.
        self.entry(&mut bytes, [4, 0, (header + table) as u64, 0, notes.len() as u64, 0]);
        for load in &self.loads {
            let file_size = load.file_size.unwrap_or(0);
            self.entry(&mut bytes, [1, 6, end as u64, load.start, file_size, load.size]);
        }
        bytes.extend(notes);
        if extended {
            // sh_info follows two 32-bit numbers, four words and a number.
            let mut header = Vec::new();
            self.put(&mut header, &[(0, 4), (0, 4), (0, word), (0, word), (0, word), (1, word)]);
            self.put(&mut header, &[(0, 4), (count as u64, 4), (0, word), (0, word)]);
            assert_eq!(header.len(), section);
            bytes.extend(header);
        }
        bytes
    }

    fn entry(&self, bytes: &mut Vec<u8>, [kind, flags, offset, start, held, size]: [u64; 6]) {
        let word = self.word;
        let places = [(offset, word), (start, word), (0, word), (held, word), (size, word)];
        self.put(bytes, &[(kind, 4)]);
        if word == 8 {
            self.put(bytes, &[(flags, 4)]);
        }
        self.put(bytes, &places);
        if word == 4 {
            self.put(bytes, &[(flags, 4)]);
        }
        self.put(bytes, &[(0x1000, word)]);
    }
}
