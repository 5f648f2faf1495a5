//! Prints the symbol and source line at an address. `symbol PID ADDRESS`
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [target, address] = &args[..] else { return Err("give a PID and an address".into()) };
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
    let atlas = vmatlas::open(&**target)?;
    let place = atlas.at(address);
    match place.symbol() {
        Some(symbol) => println!("{}+{:#x}", symbol.name(), symbol.offset()),
        None => println!("?"),
    }
    Ok(())
}
