//! Prints size and resident memory by purpose. `by_label PID`
use vmatlas::{By, Needs, Open, words::printable};

fn main() -> vmatlas::Result<()> {
    let target = std::env::args().nth(1).unwrap_or("self".to_owned());
    let atlas = Open::new(target).needs(Needs::SIZES).deep(true).open()?;
    for total in atlas.totals(By::Label) {
        let key = printable(total.key.as_bytes());
        println!("{:>12} {:>12} {key}", total.size, total.rss.unwrap_or(0));
    }
    println!("unexplained: {}", atlas.unexplained().rss.unwrap_or(0));
    Ok(())
}
