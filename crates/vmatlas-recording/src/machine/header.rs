//! The header of a snapshot, which is not compressed.

use super::read::SnapshotError;
#[cfg(feature = "write")]
use vmatlas_space::bytes::Put;
use vmatlas_space::bytes::Take;

/// The first bytes of every snapshot of a machine; the last one is the format version.
const MAGIC: [u8; 16] = *b"\x89vmatlas\r\n\x1a\nall\x01";
/// The most bytes of a header.
pub(super) const MAX_HEADER: usize = 64 << 10;
/// The most bytes of the contents, compressed or not.
pub(super) const MAX_CONTENTS: usize = 256 << 20;

/// Whether bytes begin as a snapshot of a machine does.
pub fn looks_like_snapshot(head: &[u8]) -> bool {
    head.starts_with(&MAGIC[..15])
}

/// The snapshot before, of which only the differences were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The name of its file in the same directory.
    pub name: String,
    /// The last four bytes of that file, its checksum.
    pub checksum: u32,
}

/// What is known of a snapshot without its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// When it was begun, in milliseconds since 1970.
    pub time_ms: u64,
    /// The kernel's number of this boot (`/proc/sys/kernel/random/boot_id`); zeroes if not known.
    pub boot: [u8; 16],
    /// The kernel's release, such as `6.18.1`; empty if not known.
    pub kernel: String,
    /// The size of a page in bytes.
    pub page_size: u64,
    /// The fields of smaps that are kept of each row; without any only sums were kept.
    pub fields: Vec<String>,
    /// The snapshots that have to be read before this one.
    pub chain: u64,
    /// The last of them.
    pub base: Option<Base>,
}

impl Header {
    /// Reads the header at the beginning of a file.
    ///
    /// # Errors
    /// [`SnapshotError`] if the bytes are of something else, of a newer format, or damaged.
    pub fn read(bytes: &[u8]) -> Result<Header, SnapshotError> {
        Header::split(bytes).map(|(header, _)| header)
    }

    /// The header and the bytes after it.
    pub(super) fn split(bytes: &[u8]) -> Result<(Header, &[u8]), SnapshotError> {
        if !looks_like_snapshot(bytes) {
            return Err(SnapshotError::NoSnapshot);
        }
        let rest = match bytes.get(15) {
            Some(version) if *version > MAGIC[15] => return Err(SnapshotError::Newer(*version)),
            _ => bytes.strip_prefix(&MAGIC).ok_or(SnapshotError::Damaged)?,
        };
        let mut take = Take(rest);
        let header = take.bytes().filter(|header| header.len() <= MAX_HEADER);
        let header = header.and_then(|header| Header::parse(&mut Take(header)));
        Ok((header.ok_or(SnapshotError::Damaged)?, take.0))
    }

    fn parse(take: &mut Take<'_>) -> Option<Header> {
        let text = |take: &mut Take<'_>| String::from_utf8(take.bytes()?.to_vec()).ok();
        let time_ms = take.uint()?;
        let boot = take.bytes()?.try_into().ok()?;
        let kernel = text(take)?;
        let page_size = take.uint()?;
        let fields = (0..take.count()?).map(|_| text(take)).collect::<Option<_>>()?;
        let chain = take.uint()?;
        let base = match take.bool()? {
            true => Some(Base { name: text(take)?, checksum: take.u32()? }),
            false => None,
        };
        take.0.is_empty().then_some(Header {
            time_ms,
            boot,
            kernel,
            page_size,
            fields,
            chain,
            base,
        })
    }

    /// The magic number and the header.
    #[cfg(feature = "write")]
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut header = Vec::new();
        header.put(self.time_ms);
        header.put_bytes(&self.boot);
        header.put_bytes(self.kernel.as_bytes());
        header.put(self.page_size);
        header.put(self.fields.len() as u64);
        self.fields.iter().for_each(|field| header.put_bytes(field.as_bytes()));
        header.put(self.chain);
        header.push(u8::from(self.base.is_some()));
        if let Some(base) = &self.base {
            header.put_bytes(base.name.as_bytes());
            header.put(u64::from(base.checksum));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.put_bytes(&header);
        bytes
    }
}
