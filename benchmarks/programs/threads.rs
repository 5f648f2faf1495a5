//! Starts eight threads. Each fills and drops vectors of all sizes and starts short threads.

fn work(seed: u64) -> u64 {
    let mut random = seed + 1;
    let mut sum = 0;
    for round in 0..400 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = 1 << (8 + (random >> 33) % 12);
        let numbers: Vec<u64> = (0..size).map(|number| number ^ random).collect();
        sum += numbers.iter().fold(0, |sum: u64, number| sum.wrapping_add(number >> 60));
        if round % 40 == 0 {
            sum += std::thread::spawn(move || random % 7).join().unwrap();
        }
    }
    sum
}

fn main() {
    let threads: Vec<_> = (0..8).map(|seed| std::thread::spawn(move || work(seed))).collect();
    println!("{}", threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>());
}
