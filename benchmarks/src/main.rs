//! x
use benchmarks::*;
use std::time::Instant;
fn main() {
    let n: u64 = std::env::args().nth(1).map_or(7000, |a| a.parse().unwrap());
    let rounds: usize = std::env::args().nth(2).map_or(21, |a| a.parse().unwrap());
    let only = std::env::args().nth(3);
    let t = text::mixed(n);
    if only.as_deref() == Some("dump") {
        use std::io::Write;
        std::io::stdout().write_all(&t.bytes).unwrap();
        return;
    }
    let subset: Vec<u8> = t
        .bytes
        .split_inclusive(|&b| b == b'\n')
        .filter(|l| answer::Answer::naive(l) == peers::procfs::parse(l).unwrap_or_default())
        .flatten()
        .copied()
        .collect();
    println!(
        "{} bytes, {} of {} rows for procfs",
        t.bytes.len(),
        answer::Answer::naive(&subset).rows,
        n
    );
    type C = (&'static str, fn(&[u8]) -> Result<answer::Answer, String>);
    let cs: [C; 4] = [
        ("rows", peers::vmatlas::rows),
        ("maps", peers::vmatlas::maps),
        ("procfs", peers::procfs::parse),
        ("rsprocmaps", peers::rsprocmaps::parse),
    ];
    let mut times = vec![vec![]; 4];
    let want = answer::Answer::naive(&subset);
    for _ in 0..rounds {
        for (i, (name, c)) in cs.iter().enumerate() {
            if only.as_deref().is_some_and(|o| o != *name) {
                continue;
            }
            let s = Instant::now();
            let a = c(&subset).unwrap();
            let e = s.elapsed().as_nanos() as f64;
            assert_eq!(a, want, "{name}");
            times[i].push(e / want.rows as f64);
        }
    }
    for (i, (name, _)) in cs.iter().enumerate() {
        if times[i].is_empty() {
            continue;
        }
        times[i].sort_by(f64::total_cmp);
        println!("{name}: median {:.1} min {:.1}", times[i][times[i].len() / 2], times[i][0]);
    }
}
