//! Prints the five call stacks that mapped the most bytes. `origins RECORDING[@SECONDS]`
use vmatlas::{BlameBy, words};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("give a recording")?;
    let atlas = vmatlas::open(target)?;
    for origin in atlas.blame(BlameBy::Stack)?.iter().take(5) {
        println!(
            "{:>12} bytes by {} calls of {} threads",
            origin.bytes, origin.calls, origin.threads
        );
        for frame in &origin.frames {
            println!("             {}", words::function(frame));
        }
    }
    Ok(())
}
