//! Names of findings that stay the same: without addresses, process IDs and sizes.

use super::process::AuditedProcess;
use vmatlas_explain::audit::Finding;

/// The fingerprint of a finding: the program by its build ID, otherwise its path or name; the rule;
/// the path of the file or what the memory is for. 32 hexadecimal digits.
pub(super) fn of(process: &AuditedProcess, finding: &Finding) -> String {
    let program = match (&process.build_id, process.exe.as_slice()) {
        (Some(build_id), _) => build_id.as_bytes(),
        (None, b"") => &process.comm,
        (None, path) => path,
    };
    let mut hash = Fnv::new();
    for part in [program, finding.rule.id.as_bytes(), &finding.subject] {
        hash.add(&(part.len() as u64).to_le_bytes());
        hash.add(part);
    }
    format!("{:032x}", hash.0)
}

/// The hash FNV-1a of 128 bits (draft-eastlake-fnv): the same on every machine and in every version.
struct Fnv(u128);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte))
                .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fnv;

    /// From the list of test vectors of the draft.
    #[test]
    fn known_hashes() {
        let of = |bytes: &[u8]| {
            let mut hash = Fnv::new();
            hash.add(bytes);
            hash.0
        };
        assert_eq!(of(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(of(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
