//! Generated texts to parse that resemble large processes, the same in each run.
//!
//! The layout of rows is the kernel's (`show_map_vma`); the shapes are those of real processes
//! (libraries, thread stacks with guards, malloc arenas, mapped indexes and jars, deleted shared
//! memory, named memory) and of the rows that the captures of `testdata` hold.

use crate::answer::Answer;

const CAPTURES: [&[u8]; 2] = [
    include_bytes!("../../testdata/captures/zoo-x86_64-6.18.maps"),
    include_bytes!("../../testdata/captures/zoo-x86_64-6.12-anon-names.maps"),
];

/// A text and its right answer.
pub struct Text {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The answer, computed while the text was made and not by parsing it.
    pub answer: Answer,
}

/// Makes a text of this number of rows, like a process with rows of every kind.
pub fn mixed(rows: u64) -> Text {
    let mut maker = Maker { out: Vec::new(), answer: Answer::default(), at: 0, seed: 0x9e37_79b9 };
    maker.at = 0x55d0_c3a0_0000;
    maker.file(
        &["r--p", "r-xp", "r--p", "r--p", "rw-p"],
        "fe:00",
        271_503,
        "/usr/lib/jvm/bin/java",
    );
    maker.at += 0x1_0000;
    maker.row(0x2_1000, "rw-p", 0, "00:00", 0, b"[heap]");
    maker.at = 0x7000_0000_0000;
    let last = [("r--p", "[vvar]"), ("r--p", "[vvar_vclock]"), ("r-xp", "[vdso]")];
    let zoo: Vec<_> = CAPTURES.into_iter().flat_map(captured).collect();
    while maker.answer.rows + 12 < rows {
        // Rows of a kind come in groups.
        let (kind, some) = (maker.random(100), maker.random(8) + 1);
        for _ in 0..some {
            if maker.answer.rows + 12 < rows {
                maker.some(kind, &zoo);
            }
        }
    }
    while maker.answer.rows + 5 < rows {
        maker.at += 0x1000;
        maker.row(0x1000, "rw-p", 0, "00:00", 0, b"");
    }
    for (perms, name) in last {
        maker.row(0x4000, perms, 0, "00:00", 0, name.as_bytes());
    }
    maker.at = 0x7fff_a19c_5000;
    maker.row(0x2_1000, "rw-p", 0, "00:00", 0, b"[stack]");
    maker.at = 0xffff_ffff_ff60_0000;
    maker.row(0x1000, "--xp", 0, "00:00", 0, b"[vsyscall]");
    Text { bytes: maker.out, answer: maker.answer }
}

/// A row of a capture, without its addresses.
struct Captured {
    perms: &'static str,
    offset: u64,
    device: &'static str,
    inode: u64,
    name: &'static [u8],
}

fn captured(text: &'static [u8]) -> impl Iterator<Item = Captured> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(|line| {
        let header = line.get(..73).unwrap_or(line);
        let mut fields = std::str::from_utf8(header).expect("ASCII").split_ascii_whitespace();
        let mut field = || fields.next().expect("five fields");
        field();
        Captured {
            perms: field(),
            offset: u64::from_str_radix(field(), 16).expect("an offset"),
            device: field(),
            inode: field().parse().expect("an inode"),
            name: line.get(73..).unwrap_or_default(),
        }
    })
}

struct Maker {
    out: Vec<u8>,
    answer: Answer,
    at: u64,
    seed: u64,
}

impl Maker {
    /// A pseudorandom number below `below`, the same in each run (xorshift).
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// Adds a few rows of a kind.
    fn some(&mut self, kind: u64, zoo: &[Captured]) {
        let id = self.random(1 << 40);
        match kind {
            0..15 => {
                let (version, inode) = (id % 90, 260_000 + id % 90_000);
                let name = format!("/usr/lib/x86_64-linux-gnu/lib{:x}.so.0.{version}.1", id >> 22);
                self.file(&["r--p", "r-xp", "r--p", "r--p", "rw-p"], "fe:00", inode, &name);
                if id & 1 == 0 {
                    self.row(0x3000, "rw-p", 0, "00:00", 0, b"");
                }
            }
            15..50 => {
                self.row(0x1000, "---p", 0, "00:00", 0, b"");
                self.row(0x80_0000, "rw-p", 0, "00:00", 0, b"");
            }
            50..65 => {
                let used = 0x2_1000 + (id % 0x300) * 0x1000;
                self.row(used, "rw-p", 0, "00:00", 0, b"");
                self.row(0x400_0000 - used, "---p", 0, "00:00", 0, b"");
            }
            65..78 => {
                let name = format!(
                    "/var/lib/elasticsearch/indices/{id:010x}Qk2TzW7sRkuXw/{}/index/_{:x}.cfs",
                    id % 5,
                    id >> 20
                );
                let size = 0x1000 + (id % 0x4000) * 0x1000;
                self.row(size, "r--s", 0, "103:02", 7_340_032 + id % 1_000_000, name.as_bytes());
                if id & 7 == 0 {
                    let further = 0x1_4000_0000;
                    let inode = 7_340_032 + id % 1_000_000;
                    self.row(size, "r--s", further, "103:02", inode, name.as_bytes());
                }
            }
            78..84 => {
                let name = format!("/memfd:pulseaudio-{:x} (deleted)", id >> 24);
                self.row(0x4_0000, "rw-s", 0, "00:01", 1024 + id % 90_000, name.as_bytes());
            }
            84..88 => {
                let name = format!("/dev/shm/.org.chromium.Chromium.{:06x} (deleted)", id >> 16);
                self.row(0x1_0000, "rw-s", 0, "00:1b", 2 + id % 900, name.as_bytes());
            }
            88..92 => {
                let kind = ["v8", "libc_malloc", "dalvik-main space", " glibc: malloc arena"];
                let name = format!("[anon:{}]", kind[(id % 4) as usize]);
                self.row(0x4_0000, "rw-p", 0, "00:00", 0, name.as_bytes());
            }
            92..95 => {
                let name = format!("/app/node_modules/@scope/{id:x}/build/Release/binding.node");
                self.file(&["r-xp", "r--p", "rw-p"], "00:2a", 40_000_000_000 + id, &name);
            }
            _ => {
                let row = &zoo[(id % zoo.len() as u64) as usize];
                self.row(0x2000, row.perms, row.offset, row.device, row.inode, row.name);
            }
        }
        self.at += 0x1000 * self.random(3);
    }

    /// Adds the segments of a file.
    fn file(&mut self, perms: &[&str], device: &str, inode: u64, name: &str) {
        let mut offset = 0;
        for perms in perms {
            let size = 0x1000 * (1 + self.random(300));
            self.row(size, perms, offset, device, inode, name.as_bytes());
            offset += size;
        }
    }

    fn row(&mut self, size: u64, perms: &str, offset: u64, device: &str, inode: u64, name: &[u8]) {
        let (start, end) = (self.at, self.at + size);
        let mut header = format!("{start:08x}-{end:08x} {perms} {offset:08x} {device} {inode} ");
        if !name.is_empty() {
            header = format!("{header:<73}");
        }
        self.out.extend_from_slice(header.as_bytes());
        self.out.extend_from_slice(name);
        self.out.push(b'\n');
        self.answer.add(start, end, offset, inode, name.len());
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_what_is_read_plainly() {
        for rows in [200, 7_000] {
            let text = mixed(rows);
            assert_eq!(text.answer.rows, rows);
            assert_eq!(Answer::naive(&text.bytes), text.answer);
            assert_eq!(mixed(rows).bytes, text.bytes);
        }
    }
}
