//! The executed files, each read once for all processes.

use super::image::Image;
use crate::{ReadAt as _, Source};
use std::collections::HashMap;
use std::sync::Arc;
use vmatlas_maps::Device;

/// The origin of a mapping: a file, or an area that the kernel names, such as `[vdso]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backing {
    /// The device of the file's file system.
    pub device: Device,
    /// The inode number of the file on that device.
    pub inode: u64,
    /// The name that the kernel prints.
    pub name: Box<[u8]>,
}

/// Identifies a file of one name and state in frames and recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// An opened file that is mapped executable.
pub struct CodeFile {
    /// Its bytes.
    pub source: Source,
    /// Last modification, in seconds and nanoseconds since 1970. Together with the size it
    /// identifies the contents of an inode.
    pub modified: (i64, i64),
}

/// Identifies the contents of an inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    size: u64,
    modified: (i64, i64),
}

#[derive(Debug)]
struct Cached {
    image: Option<Arc<Image>>,
    /// The lookup count at the last use.
    used: u64,
}

/// The executed files. Files that no address space maps any more are kept while there is room.
#[derive(Debug)]
pub struct Images {
    ids: HashMap<(Arc<Backing>, State), FileId>,
    backings: Vec<Arc<Backing>>,
    images: HashMap<(Device, u64, State), Cached>,
    questions: u64,
    bytes: usize,
    /// Limit on the bytes of tables kept.
    limit: usize,
}

impl Images {
    /// Bytes of tables to keep. A desktop needs some 100 MB, a browser 60 MB.
    pub const MAX_BYTES: usize = 512 << 20;

    /// Keeps at most `limit` bytes of tables. Code of further files is walked by frame pointers.
    pub fn new(limit: usize) -> Images {
        Images {
            ids: HashMap::new(),
            backings: Vec::new(),
            images: HashMap::new(),
            questions: 0,
            bytes: 0,
            limit,
        }
    }

    /// The file that a number stands for.
    #[cfg(test)]
    pub(super) fn backing(&self, id: FileId) -> Option<&Backing> {
        self.backings.get(id.0 as usize).map(|backing| &**backing)
    }

    /// Adds a file that is being mapped executable.
    pub(super) fn of_file(
        &mut self,
        backing: &Arc<Backing>,
        file: Option<CodeFile>,
    ) -> (FileId, Option<Arc<Image>>) {
        let state = file.as_ref().map_or_else(State::default, |file| State {
            size: file.source.size().unwrap_or(0),
            modified: file.modified,
        });
        let id = self.id(backing, state);
        let image = file.and_then(|file| {
            self.image((backing.device, backing.inode, state), || Image::read(file.source))
        });
        (id, image)
    }

    /// Adds an ELF image that the kernel keeps in memory, from its bytes: the vDSO.
    pub(super) fn of_bytes(
        &mut self,
        backing: &Arc<Backing>,
        bytes: &[u8],
    ) -> (FileId, Option<Arc<Image>>) {
        let sum = i64::from(crc32fast::hash(bytes));
        let state = State { size: bytes.len() as u64, modified: (sum, 0) };
        let id = self.id(backing, state);
        let image = self.image((backing.device, backing.inode, state), || {
            Image::read(Box::new(bytes.to_vec()))
        });
        (id, image)
    }

    fn id(&mut self, backing: &Arc<Backing>, state: State) -> FileId {
        let next = FileId(u32::try_from(self.backings.len()).unwrap_or(u32::MAX));
        let id = *self.ids.entry((backing.clone(), state)).or_insert(next);
        if id == next {
            self.backings.push(backing.clone());
        }
        id
    }

    fn image(
        &mut self,
        key: (Device, u64, State),
        read: impl FnOnce() -> Option<Image>,
    ) -> Option<Arc<Image>> {
        self.questions += 1;
        if let Some(cached) = self.images.get_mut(&key) {
            cached.used = self.questions;
            return cached.image.clone();
        }
        let image = read().map(Arc::new);
        let size = image.as_deref().map_or(0, Image::size);
        self.make_room(size);
        if self.bytes + size > self.limit {
            return None;
        }
        self.bytes += size;
        let cached = Cached { image: image.clone(), used: self.questions };
        self.images.insert(key, cached);
        image
    }

    /// Drops unmapped files, least recently used first.
    fn make_room(&mut self, size: usize) {
        while self.bytes + size > self.limit {
            let unused = |cached: &Cached| {
                cached.image.as_ref().is_some_and(|image| Arc::strong_count(image) == 1)
            };
            let oldest = self.images.iter().filter(|(_, cached)| unused(cached));
            let Some((&key, _)) = oldest.min_by_key(|(_, cached)| cached.used) else { return };
            if let Some(Cached { image: Some(image), .. }) = self.images.remove(&key) {
                self.bytes = self.bytes.saturating_sub(image.size());
            }
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        Images::new(Images::MAX_BYTES)
    }
}
