//! `.gnu_debugdata`: an embedded ELF file, compressed with xz, whose `.symtab` has the functions
//! that `.dynsym` lacks (GDB manual, "MiniDebugInfo").

use xz4rust::{XzDecoder, XzNextBlockResult};

use super::{ElfError, ElfFile, SectionType};

const PLACE: &str = ".gnu_debugdata";
/// Compressed size. The largest programs of a distribution have a few MiB.
const MAX_COMPRESSED: u64 = 64 << 20;
/// Uncompressed size. The largest programs have some tens of MiB.
const MAX_SIZE: u64 = 512 << 20;
/// Size of the decoder's dictionary. `xz -9` needs 64 MiB.
const MAX_DICTIONARY: usize = 64 << 20;

impl ElfFile {
    /// The embedded file, read once.
    pub(super) fn debug_data(&self) -> Result<Option<&ElfFile>, &ElfError> {
        let data = self.debug_data.get_or_init(|| {
            let mut sections = self.sections().iter();
            let Some(section) = sections.find(|s| s.name == PLACE && s.kind != SectionType::NOBITS)
            else {
                return Ok(None);
            };
            let bytes = self.input.read(PLACE, section.offset, section.size, MAX_COMPRESSED)?;
            let left = self.input.budget.left() / 2;
            let bytes =
                match decompress(&bytes, left.min(MAX_SIZE)) {
                    // Notes that the budget is exceeded.
                    Err(ElfError::TooLarge { size, .. }) if left < MAX_SIZE => {
                        return Err(self.input.budget.take(PLACE, 2 * size).err().unwrap_or(
                            ElfError::TooLarge { place: PLACE.into(), size, limit: left },
                        ));
                    }
                    bytes => bytes?,
                };
            let lease = self.input.budget.take(PLACE, bytes.len() as u64)?;
            let inner = ElfFile::read_within(bytes, self.input.budget.clone())?
                .ok_or_else(|| ElfError::malformed(PLACE, "there is no ELF file in it"))?;
            Ok(Some((Box::new(inner), lease)))
        });
        Ok(data.as_ref()?.as_ref().map(|(elf, _)| &**elf))
    }
}

/// Decompresses at most `limit` bytes: the output grows by copying, so it takes twice that.
fn decompress(mut input: &[u8], limit: u64) -> Result<Vec<u8>, ElfError> {
    let mut decoder = XzDecoder::in_heap_with_alloc_dict_size(1 << 20, MAX_DICTIONARY);
    let mut output = Vec::new();
    let mut block = vec![0; 256 << 10];
    loop {
        let result = decoder
            .decode(input, &mut block)
            .map_err(|error| ElfError::malformed(PLACE, error.to_string()))?;
        input = &input[result.input_consumed()..];
        output.extend_from_slice(&block[..result.output_produced()]);
        if output.len() as u64 > limit {
            let size = output.len() as u64;
            return Err(ElfError::TooLarge { place: PLACE.into(), size, limit });
        }
        if let XzNextBlockResult::EndOfStream(..) = result {
            return Ok(output);
        }
        if !result.made_progress() {
            return Err(ElfError::malformed(PLACE, "it ends in the middle"));
        }
    }
}
