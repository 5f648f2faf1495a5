//! Prints its own mappings, with `vmatlas-maps`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let maps = vmatlas_maps::Maps::parse(&std::fs::read("/proc/self/maps")?)?;
    for row in maps.iter() {
        println!("{} {} {}", row.range, row.perms, row.name_display());
    }
    Ok(())
}
