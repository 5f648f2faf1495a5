//! Prints its own mappings, with `procfs`.

fn main() -> Result<(), procfs::ProcError> {
    for row in procfs::process::Process::myself()?.maps()? {
        let (start, end) = row.address;
        println!("{start:08x}-{end:08x} {} {:?}", row.perms.as_str(), row.pathname);
    }
    Ok(())
}
