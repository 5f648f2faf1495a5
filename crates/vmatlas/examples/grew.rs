//! Prints the rows that grew within some seconds. `grew PID SECONDS`
use std::time::Duration;
use vmatlas::{Needs, Open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [target, seconds] = &args[..] else { return Err("give a PID and seconds".into()) };
    let before = Open::new(&**target).needs(Needs::SIZES | Needs::LABELS).open()?;
    std::thread::sleep(Duration::from_secs_f64(seconds.parse()?));
    let after = before.again()?;
    for change in vmatlas::diff(&before, &after).by_growth() {
        println!("{change}");
    }
    Ok(())
}
