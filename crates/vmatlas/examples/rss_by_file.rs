//! Prints resident and proportional memory by file, over all processes that may be read.
use vmatlas::{By, Needs, words::printable};

fn main() -> vmatlas::Result<()> {
    let machine = vmatlas::machine(Needs::SIZES)?;
    for total in machine.totals(By::File).iter().take(20) {
        let (rss, pss) = (total.rss.unwrap_or(0), total.pss.unwrap_or(0));
        println!("{rss:>12} {pss:>12} {:>4} {}", total.processes, printable(total.key.as_bytes()));
    }
    for (process, error) in machine.refused() {
        eprintln!("{}: {error}", process.pid());
    }
    Ok(())
}
