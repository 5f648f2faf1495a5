//! Prints the base address and the file of libc. `libc_base PID`
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).unwrap_or("self".to_owned());
    let atlas = vmatlas::open(target)?;
    let libc = atlas.images().find(|image| image.name() == "libc.so.6").ok_or("no libc")?;
    let path = libc.path().ok_or("libc has no row")?;
    println!("{} at {:#x}", path.display(), libc.base());
    println!("build id {}", libc.build_id().unwrap_or_default());
    Ok(())
}
