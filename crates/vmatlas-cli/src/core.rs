//! Core dumps as targets, also compressed ones.

use crate::output::words::printable;
use crate::target::Target;
use crate::trouble::Trouble;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::time::Duration;
use vmatlas::coredump::CoreDump;
use vmatlas::{KernelVersion, Kind, Mapping, Memory as _};
use vmatlas_linux::elf::ElfFile;
use vmatlas_linux::{CoreFile, file_with_build_id, within};

/// What an ELF file begins with.
pub(crate) const ELF: &[u8] = b"\x7fELF";

/// A core dump.
pub(crate) struct Core {
    pub(crate) dump: CoreDump<CoreFile>,
    /// The kernel it was written by, as its vDSO says.
    pub(crate) kernel: Option<KernelVersion>,
}

/// A file of a core.
pub(crate) struct FileNow {
    /// The file of today, which has the build id that the core has; or why there is none.
    pub(crate) elf: Result<ElfFile, String>,
    /// What to subtract from an address of the process to get one of the file.
    pub(crate) bias: u64,
    /// The build id in the core.
    pub(crate) build_id: Option<String>,
}

impl Core {
    /// The file, and whose core it is: `core: 1240 worker by signal 11`.
    pub(crate) fn title(&self, name: &str) -> String {
        let mut words = vec![format!("{}:", printable(name.as_bytes()))];
        words.extend(self.dump.pid().map(|pid| pid.to_string()));
        words.extend(self.dump.comm().map(printable));
        let signal = self.dump.crash().signal;
        words.extend(signal.map(|signal| format!("by signal {signal}")));
        match words.len() {
            1 => printable(name.as_bytes()),
            _ => words.join(" "),
        }
    }

    /// The file of which a row is a part: the file of today only if it is the same, by its build
    /// id. The vDSO is in the core itself.
    pub(crate) fn file_now(&self, row: &Mapping<'_>) -> Option<FileNow> {
        let image = self.dump.image_of(row)?;
        let name = printable(row.name);
        let elf = if row.kind() == Kind::Vdso {
            let mut bytes = vec![0; usize::try_from(row.range.size()).ok()?.min(MOST_VDSO)];
            let count = self.dump.read(row.range.start, &mut bytes);
            bytes.truncate(count);
            ElfFile::from_bytes(bytes).ok().flatten().ok_or_else(|| "it is damaged".to_owned())
        } else if let Some(id) = image.build_id.clone() {
            let path = row.file_name()?.path.into_owned();
            let opened = within(LIMIT, move || file_with_build_id(&path, &id));
            opened.unwrap_or_else(|| Err(format!("{name} does not answer")))
        } else {
            Err(format!("{name} has no build id in the core to know it by"))
        };
        let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(FileNow { elf, bias: image.facts.bias, build_id: image.build_id.as_ref().map(hex) })
    }
}

/// How long a file system may take to open a file.
const LIMIT: Duration = Duration::from_secs(3);
/// Larger than any vDSO.
const MOST_VDSO: usize = 1 << 20;

/// Reads a core dump from a regular file.
pub(crate) fn read(name: &str, file: File) -> Result<Target, Trouble> {
    let file = CoreFile::new(file).map_err(|error| Trouble::file(name, error))?;
    let dump = CoreDump::read(file).map_err(|error| Trouble::new(format!("{name}: {error}")))?;
    if dump.maps().is_empty() {
        let why = dump.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(Trouble::new(format!("{name}: a core dump without memory: {why}")));
    }
    let kernel = dump.images().iter().find_map(|image| image.kernel);
    let mut target = Target::of_rows(name, dump.maps().clone());
    target.core = Some(Box::new(Core { dump, kernel }));
    Ok(target)
}

/// Reads a core dump that comes in order, as from a pipe or a decompressor: it is put into a file
/// without a name first, for what is needed of it lies all over it.
pub(crate) fn read_stream(name: &str, input: impl Read) -> Result<Target, Trouble> {
    let mut file = unlinked().map_err(|error| {
        Trouble::new(format!("{name}: cannot make a temporary file for it: {error}"))
    })?;
    let spooled = spool(input, &mut file).map_err(|error| {
        Trouble::new(format!(
            "{name}: cannot write it to a temporary file: {error}; TMPDIR says where that is"
        ))
    })?;
    let mut target = read(name, file)?;
    if let Some(warning) = spooled {
        target.maps.warn(warning);
    }
    Ok(target)
}

/// The most bytes of a core dump that are taken from a stream, which may have no end.
const MOST: u64 = 256 << 30;
/// Blocks of zeros take no room in the file.
const BLOCK: usize = 4096;

/// A file without a name, so that nothing stays behind. Large ones belong in /var/tmp
/// (file-hierarchy(7)): /tmp may be memory.
fn unlinked() -> io::Result<File> {
    match std::env::var_os("TMPDIR") {
        Some(_) => tempfile::tempfile(),
        None => tempfile::tempfile_in("/var/tmp").or_else(|_| tempfile::tempfile()),
    }
}

/// Copies a stream; gives a warning if it ended early.
fn spool(mut input: impl Read, file: &mut File) -> io::Result<Option<String>> {
    let mut block = vec![0; 64 << 10];
    let mut length = 0;
    let warning = loop {
        let (count, error) = fill(&mut input, &mut block);
        for piece in block[..count].chunks(BLOCK) {
            if piece.iter().all(|&byte| byte == 0) {
                file.seek(SeekFrom::Current(piece.len() as i64))?;
            } else {
                file.write_all(piece)?;
            }
        }
        length += count as u64;
        if let Some(error) = error {
            break Some(format!("its bytes end after {length}, for they are damaged: {error}"));
        }
        if count < block.len() {
            break None;
        }
        if length >= MOST {
            break Some(format!("only the first {} GiB were read", MOST >> 30));
        }
    };
    file.set_len(length)?;
    Ok(warning)
}

/// Fills a block as far as there are bytes, and says what stopped it before.
fn fill(input: &mut impl Read, block: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < block.len() {
        match input.read(&mut block[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// What systemd-coredump and people compress cores with.
pub(crate) enum Compression {
    Zstd,
    Gzip,
    Lz4,
}

impl Compression {
    /// The format by what the bytes begin with; `None` for anything else.
    pub(crate) fn of(head: &[u8]) -> Option<Compression> {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Compression::Lz4),
            _ => None,
        }
    }

    /// The bytes that were compressed.
    pub(crate) fn decoder<'r>(&self, input: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Compression::Zstd => Box::new(zstd::Decoder::new(input)?),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        })
    }
}
