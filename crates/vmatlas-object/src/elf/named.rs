//! Addresses of symbols by name.

use object::{
    Endianness, elf,
    read::elf::{FileHeader, Sym},
};

use super::{
    ElfFile, Section, SectionType,
    header::{Class, Elf32, Elf64, table},
};

/// The hash table of 100,000 symbols takes 1 MiB.
const MAX_HASH: u64 = 16 << 20;
/// Programs import some thousand symbols, and name some 100,000 in one table.
const MAX_IMPORTS: u64 = 16 << 20;
/// Few symbols share a bucket, but the file is not trusted.
const MAX_CHAIN: usize = 4096;

impl ElfFile {
    /// The vaddrs of those of `names` that the file defines, in the order of `names`. Dynamic
    /// symbols are found through `.gnu.hash`, as the dynamic linker finds them, with few reads.
    /// Names not found there are searched in all of `.symtab`, if that has at most `table` bytes.
    ///
    /// A damaged table counts as empty.
    pub fn symbols_named(&self, names: &[&'static str], table: u64) -> Vec<(&'static str, u64)> {
        match self.header.class {
            Class::Elf32 => self.named::<Elf32>(names, table),
            Class::Elf64 => self.named::<Elf64>(names, table),
        }
    }

    /// Whether the file imports any function of these names from another file; `None` if that is
    /// unknown, such as without section headers. A static program imports nothing.
    pub fn imports_any(&self, names: &[&str]) -> Option<bool> {
        match self.header.class {
            Class::Elf32 => self.imports::<Elf32>(names),
            Class::Elf64 => self.imports::<Elf64>(names),
        }
    }

    fn imports<Elf: FileHeader<Endian = Endianness>>(&self, names: &[&str]) -> Option<bool> {
        if self.sections().is_empty() {
            return None;
        }
        let Some(symbols) = self.section_of(SectionType::DYNSYM) else { return Some(false) };
        let strings = self.sections().get(symbols.link as usize)?;
        let endian = self.header.endian;
        let is_undefined = |symbol: &Elf::Sym| symbol.st_shndx(endian) == elf::SHN_UNDEF;
        let hash = GnuHash::of(self);
        // .gnu.hash also has imports whose address the program takes, if its own is fixed.
        let undefined = |symbol: &Elf::Sym| is_undefined(symbol).then_some(());
        let has = |hash: &GnuHash, name| hash.find::<Elf, _>(self, name, &undefined).is_some();
        if hash.as_ref().is_some_and(|hash| names.iter().any(|name| has(hash, name))) {
            return Some(true);
        }
        // Other imports precede the symbols that it has; if it is empty, its first one is 1.
        let size = size_of::<Elf::Sym>() as u64;
        let first = hash.map(|hash| u64::from(hash.first)).filter(|&first| first > 1);
        let first = first.unwrap_or(u64::MAX);
        let length = symbols.size.min(first.saturating_mul(size));
        let symbols = self.input.read("symbols", symbols.offset, length, MAX_IMPORTS).ok()?;
        let symbols = table::<Elf::Sym>(&symbols).iter().filter(|symbol| is_undefined(symbol));
        let mut offsets: Vec<u32> = symbols.map(|symbol| symbol.st_name(endian)).collect();
        offsets.sort_unstable();
        self.is_one_named(&offsets, strings, names)
    }

    /// Whether one of the strings at these sorted offsets of a table is one of `names`. Reads only
    /// the parts of the table where they are.
    fn is_one_named(&self, offsets: &[u32], strings: &Section, names: &[&str]) -> Option<bool> {
        /// The names of imports are near each other.
        const PART: u64 = 4096;
        self.input.check("strings", strings.offset, strings.size, MAX_IMPORTS).ok()?;
        let longest = names.iter().map(|name| name.len()).max()? as u64 + 1;
        let (mut start, mut part) = (0, Vec::new());
        for offset in offsets.iter().copied().map(u64::from) {
            let end = offset.saturating_add(longest).min(strings.size);
            if end > start + part.len() as u64 {
                let size = strings.size.saturating_sub(offset).min(PART);
                let at = strings.offset.checked_add(offset)?;
                part = self.input.read("strings", at, size, PART).ok()?;
                start = offset;
            }
            let name = part.get(offset.saturating_sub(start) as usize..).unwrap_or_default();
            let same = |wanted: &&str| {
                name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
            };
            if names.iter().any(same) {
                return Some(true);
            }
        }
        Some(false)
    }

    fn named<Elf: FileHeader<Endian = Endianness>>(
        &self,
        names: &[&'static str],
        table: u64,
    ) -> Vec<(&'static str, u64)> {
        let hash = GnuHash::of(self);
        let defined = |symbol: &Elf::Sym| self.defined::<Elf>(symbol);
        let dynamic = |name: &str| hash.as_ref()?.find::<Elf, _>(self, name, &defined);
        let mut found: Vec<Option<u64>> = names.iter().map(|name| dynamic(name)).collect();
        if table > 0 && found.iter().any(Option::is_none) {
            self.look_in_symtab::<Elf>(names, &mut found, table);
        }
        let named = names.iter().zip(found);
        named.filter_map(|(name, vaddr)| Some((*name, vaddr?))).collect()
    }

    fn look_in_symtab<Elf: FileHeader<Endian = Endianness>>(
        &self,
        names: &[&'static str],
        found: &mut [Option<u64>],
        limit: u64,
    ) {
        let Some(section) = self.section_of(SectionType::SYMTAB) else { return };
        let Some(strings) = self.sections().get(section.link as usize) else { return };
        // C++ names are long, so the limit is larger.
        let Some(places) = self.places_of_names(names, strings, limit.saturating_mul(16)) else {
            return;
        };
        if places.is_empty() {
            return;
        }
        let size = section.size - section.size % size_of::<Elf::Sym>() as u64;
        // A damaged table counts as empty.
        let _ = self.input.pieces("symbols", (section.offset, size), limit, 0, |_, bytes| {
            for symbol in table::<Elf::Sym>(bytes) {
                let Some(wanted) = places.get(symbol.st_name(self.header.endian)) else { continue };
                if let Some(found) = found.get_mut(wanted)
                    && found.is_none()
                {
                    *found = self.defined::<Elf>(symbol);
                }
            }
        });
    }

    /// The offsets in a table of strings at which one of `names` is; `None` if the table cannot be
    /// read. Linkers let a name be the end of a longer one.
    fn places_of_names(&self, names: &[&str], strings: &Section, limit: u64) -> Option<Places> {
        let longest = names.iter().map(|name| name.len()).max()?;
        let ends = Ends::of(names);
        let mut places = Places::default();
        let place = (strings.offset, strings.size);
        let read = self.input.pieces("strings", place, limit, longest, |start, bytes| {
            for end in memchr::memchr_iter(0, bytes) {
                let before = &bytes[..end];
                if !ends.may_end(before) {
                    continue;
                }
                for (wanted, name) in names.iter().enumerate() {
                    if before.ends_with(name.as_bytes()) {
                        places.add(start + (end - name.len()) as u64, wanted);
                    }
                }
            }
        });
        places.of.sort_unstable();
        // What two pieces share was seen twice.
        places.of.dedup();
        read.ok().map(|()| places)
    }

    fn section_of(&self, kind: SectionType) -> Option<&Section> {
        self.sections().iter().find(|section| section.kind == kind)
    }

    /// The vaddr of a function or data symbol that this file defines.
    fn defined<Elf: FileHeader<Endian = Endianness>>(&self, symbol: &Elf::Sym) -> Option<u64> {
        let endian = self.header.endian;
        let shown = matches!(
            symbol.st_type(),
            elf::STT_FUNC | elf::STT_GNU_IFUNC | elf::STT_OBJECT | elf::STT_NOTYPE
        );
        let absent =
            matches!(symbol.st_shndx(endian), elf::SHN_UNDEF | elf::SHN_ABS | elf::SHN_COMMON);
        (shown && !absent).then(|| symbol.st_value(endian).into())
    }
}

/// The last two bytes of some names, a bit each: few other names end so.
struct Ends(Vec<u64>);

impl Ends {
    fn of(names: &[&str]) -> Ends {
        let mut ends = Ends(vec![0; (1 << 16) / 64]);
        for name in names {
            match name.as_bytes() {
                [.., before, last] => {
                    let end = u16::from_ne_bytes([*before, *last]);
                    ends.0[usize::from(end / 64)] |= 1 << (end % 64);
                }
                _ => ends.0.fill(u64::MAX),
            }
        }
        ends
    }

    /// Whether a text may end with one of the names.
    fn may_end(&self, text: &[u8]) -> bool {
        text.last_chunk().is_none_or(|end| {
            let end = u16::from_ne_bytes(*end);
            self.0[usize::from(end / 64)] >> (end % 64) & 1 == 1
        })
    }
}

/// The places of some names in a table of strings.
#[derive(Default)]
struct Places {
    /// The offset, and the index of the name; sorted by offset.
    of: Vec<(u32, usize)>,
}

/// The most places to keep. Few names end with one of the names that are searched.
const MAX_PLACES: usize = 1 << 16;

impl Places {
    fn add(&mut self, offset: u64, name: usize) {
        if let Ok(offset) = u32::try_from(offset)
            && self.of.len() < MAX_PLACES
        {
            self.of.push((offset, name));
        }
    }

    fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The index of the name at an offset.
    fn get(&self, offset: u32) -> Option<usize> {
        let at = self.of.binary_search_by_key(&offset, |place| place.0).ok()?;
        Some(self.of[at].1)
    }
}

/// `.gnu.hash`, see <https://sourceware.org/gnu-gabi/program-loading-and-dynamic-linking.txt>.
struct GnuHash {
    /// All of it, if it is small.
    bytes: Vec<u8>,
    offset: u64,
    size: u64,
    bucket_count: u32,
    /// Index of the first hashed symbol in the table.
    first: u32,
    bloom_size: u32,
    bloom_shift: u32,
}

/// A table of at most so many bytes is read at once.
const SMALL_HASH: u64 = 32 << 10;

impl GnuHash {
    fn of(file: &ElfFile) -> Option<GnuHash> {
        let section = file.section_of(SectionType::GNU_HASH)?;
        let (offset, size) = (section.offset, section.size);
        let small = size.min(SMALL_HASH);
        file.input.check(".gnu.hash", offset, size, MAX_HASH).ok()?;
        let read = if small == size { size } else { 16 };
        let bytes = file.input.read(".gnu.hash", offset, read, small).ok()?;
        let (bucket_count, first, bloom_size, bloom_shift) = (0, 0, 0, 0);
        let hash = GnuHash { bytes, offset, size, bucket_count, first, bloom_size, bloom_shift };
        let word = |at| hash.word(file, at);
        let (bucket_count, first) = (word(0)?, word(1)?);
        let (bloom_size, bloom_shift) = (word(2)?, word(3)?);
        (bucket_count != 0).then_some(GnuHash {
            bucket_count,
            first,
            bloom_size,
            bloom_shift,
            ..hash
        })
    }

    /// The word at an index.
    fn word(&self, file: &ElfFile, at: u64) -> Option<u32> {
        let start = at.checked_mul(4).filter(|start| start + 4 <= self.size)?;
        let word = match self.bytes.get(start as usize..).and_then(<[u8]>::first_chunk) {
            Some(word) => *word,
            None => {
                let read = file.input.read(".gnu.hash", self.offset.checked_add(start)?, 4, 4);
                *read.ok()?.first_chunk()?
            }
        };
        Some(if file.is_big_endian() { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }

    /// Index of the first bucket.
    fn buckets(&self, file: &ElfFile) -> u64 {
        4 + u64::from(self.bloom_size) * u64::from(file.word_size() / 32)
    }

    /// Whether the filter excludes a hash; no if it cannot be read.
    fn excludes(&self, file: &ElfFile, hash: u32) -> bool {
        let bits = file.word_size();
        if !self.bloom_size.is_power_of_two() {
            return false;
        }
        let at = u64::from(hash / bits % self.bloom_size);
        let of_word = u64::from(bits / 32);
        // The words of a filter of 64 bits have its byte order.
        let is_set = |hash: u32| {
            let bit = hash % bits;
            let half = if file.is_big_endian() {
                of_word - 1 - u64::from(bit / 32)
            } else {
                u64::from(bit / 32)
            };
            self.word(file, 4 + at * of_word + half).is_none_or(|word| word >> (bit % 32) & 1 == 1)
        };
        !is_set(hash) || !is_set(hash.checked_shr(self.bloom_shift).unwrap_or(0))
    }

    /// What `value` returns for the symbol of a name.
    fn find<Elf: FileHeader<Endian = Endianness>, T>(
        &self,
        file: &ElfFile,
        name: &str,
        value: &dyn Fn(&Elf::Sym) -> Option<T>,
    ) -> Option<T> {
        let hash = gnu_hash(name.as_bytes());
        if self.excludes(file, hash) {
            return None;
        }
        let buckets = self.buckets(file);
        let chains = buckets + u64::from(self.bucket_count);
        let start = self.word(file, buckets + u64::from(hash % self.bucket_count))?;
        let start = u64::from(start.checked_sub(self.first)?);
        for at in (start..).take(MAX_CHAIN) {
            let chained = self.word(file, chains.checked_add(at)?)?;
            if chained | 1 == hash | 1 {
                let number = u64::from(self.first).checked_add(at)?;
                let symbol = self.symbol::<Elf>(file, number, name);
                if let Some(found) = symbol.and_then(|symbol| value(&symbol)) {
                    return Some(found);
                }
            }
            if chained & 1 == 1 {
                return None;
            }
        }
        None
    }

    /// Dynamic symbol `number`, if it has the name.
    fn symbol<Elf: FileHeader<Endian = Endianness>>(
        &self,
        file: &ElfFile,
        number: u64,
        name: &str,
    ) -> Option<Elf::Sym> {
        let symbols = file.section_of(SectionType::DYNSYM)?;
        let strings = file.sections().get(symbols.link as usize)?;
        let size = size_of::<Elf::Sym>() as u64;
        let offset = symbols.offset.checked_add(number.checked_mul(size)?)?;
        let bytes = file.input.read("symbol", offset, size, size).ok()?;
        let symbol = *table::<Elf::Sym>(&bytes).first()?;
        let offset = strings.offset.checked_add(symbol.st_name(file.header.endian).into())?;
        let length = name.len() as u64 + 1;
        let found = file.input.read("symbol's name", offset, length, length).ok()?;
        let same = found.split_last() == Some((&0, name.as_bytes()));
        same.then_some(symbol)
    }
}

fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &b| hash.wrapping_mul(33).wrapping_add(b.into()))
}
