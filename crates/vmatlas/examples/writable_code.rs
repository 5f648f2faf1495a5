//! Prints the writable and executable mappings of every process.
fn main() -> vmatlas::Result<()> {
    for process in vmatlas::processes()? {
        let atlas = match process.open() {
            Ok(atlas) => atlas,
            Err(error) if error.is_gone() => continue,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        for row in atlas.rows().filter(|row| row.perms.write() && row.perms.execute()) {
            println!("{} {}: {row}", process.pid(), process.name());
        }
    }
    Ok(())
}
