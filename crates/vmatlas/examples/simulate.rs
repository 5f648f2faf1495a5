//! Maps four pages, protects the second, and prints the rows that the kernel would show.
use vmatlas::AddressRange;
use vmatlas::space::{AddressSpace, KernelProfile, Mmap, Prot};

const PAGE: u64 = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut space = AddressSpace::new(KernelProfile::of("6.12".parse()?));
    let at = space.mmap(&Mmap::anonymous(4 * PAGE, Prot::READ | Prot::WRITE))?;
    space.mprotect(AddressRange::new(at + PAGE, at + 2 * PAGE), Prot::READ)?;
    let maps = space.maps();
    print!("{}", String::from_utf8_lossy(&maps.render(maps.format(), None)));
    Ok(())
}
