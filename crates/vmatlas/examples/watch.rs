//! Prints growth by purpose each second until the process ends. `watch PID`
use std::time::{Duration, Instant};
use vmatlas::{Watch, WatchOptions, words};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("give a PID")?;
    let mut watch = Watch::of_targets(&[target], WatchOptions::default())?;
    let began = Instant::now();
    while let Some(look) = watch.look(began.elapsed())? {
        for total in look.totals.iter().filter(|total| total.since_last != 0).take(3) {
            let (change, key) =
                (words::change(total.since_last), words::printable(total.key.as_bytes()));
            println!("{:>6.1} s  {change} {key}", look.since.as_secs_f64());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
