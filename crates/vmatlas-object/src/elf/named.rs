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
        let strings = self.input.read("strings", strings.offset, strings.size, MAX_IMPORTS).ok()?;
        let is_named = |symbol: &Elf::Sym| {
            let name = strings.get(symbol.st_name(endian) as usize..).unwrap_or_default();
            let same = |wanted: &str| {
                name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
            };
            names.iter().any(|wanted| same(wanted))
        };
        let mut symbols = table::<Elf::Sym>(&symbols).iter();
        Some(symbols.any(|symbol| is_undefined(symbol) && is_named(symbol)))
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
        let mut ends = [false; 256];
        names
            .iter()
            .filter_map(|name| name.bytes().last())
            .for_each(|end| ends[end as usize] = true);
        let mut places = Places::default();
        let place = (strings.offset, strings.size);
        let read = self.input.pieces("strings", place, limit, longest, |start, bytes| {
            for end in memchr::memchr_iter(0, bytes) {
                let before = &bytes[..end];
                if before.last().is_none_or(|&last| !ends[usize::from(last)]) {
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
    words: Vec<u32>,
    /// Index in `words` of the first bucket.
    buckets: usize,
    bucket_count: u32,
    /// Index of the first hashed symbol in the table.
    first: u32,
}

impl GnuHash {
    fn of(file: &ElfFile) -> Option<GnuHash> {
        let section = file.section_of(SectionType::GNU_HASH)?;
        let bytes = file.input.read(".gnu.hash", section.offset, section.size, MAX_HASH).ok()?;
        let big = file.is_big_endian();
        let word = |bytes: &[u8; 4]| {
            if big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
        };
        let words: Vec<u32> = bytes.as_chunks().0.iter().map(word).collect();
        let [bucket_count, first, bloom_size, ..] = *words.as_slice() else { return None };
        let bloom_words = (bloom_size as usize).checked_mul(file.word_size() as usize / 32)?;
        let buckets = bloom_words.checked_add(4)?;
        (bucket_count != 0).then_some(GnuHash { words, buckets, bucket_count, first })
    }

    /// What `value` returns for the symbol of a name.
    fn find<Elf: FileHeader<Endian = Endianness>, T>(
        &self,
        file: &ElfFile,
        name: &str,
        value: &dyn Fn(&Elf::Sym) -> Option<T>,
    ) -> Option<T> {
        let hash = gnu_hash(name.as_bytes());
        let bucket = (hash % self.bucket_count) as usize;
        let chains = self.buckets.checked_add(self.bucket_count as usize)?;
        let start = *self.words.get(self.buckets.checked_add(bucket)?)?;
        let start = start.checked_sub(self.first)? as usize;
        for at in (start..).take(MAX_CHAIN) {
            let chained = *self.words.get(chains.checked_add(at)?)?;
            if chained | 1 == hash | 1 {
                let number = u64::from(self.first).checked_add(at as u64)?;
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
