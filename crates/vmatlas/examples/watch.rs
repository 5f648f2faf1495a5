//! Prints growth by purpose each second until the process ends. `watch PID`
use std::time::Duration;
use vmatlas::By;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("give a PID")?;
    for look in vmatlas::watch(target, Duration::from_secs(1))? {
        let look = look?;
        for growth in look.growth(By::Label).take(3) {
            println!("{:>6.1} s  {growth}", look.seconds());
        }
    }
    Ok(())
}
