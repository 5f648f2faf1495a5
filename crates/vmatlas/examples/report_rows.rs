//! Prints the rows in a bug report, a core dump or any other file. `report_rows FILE`
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("give a file")?;
    // If the file has no row, the error names the format that it resembles.
    let atlas = vmatlas::open(Path::new(&path))?;
    for row in atlas.rows() {
        println!("{row}");
    }
    for note in atlas.notes() {
        eprintln!("{note}");
    }
    Ok(())
}
