use super::{MAX_FRAMES, fitting, grouped, svg, text};
use crate::output::flame::tree::Tree;

/// The frames of a graph as `depth start bytes name`.
fn drawn(folded: &str, most: usize, narrow: f64) -> Vec<String> {
    let frames = Tree::read(folded).frames(most, narrow);
    let shown = frames.iter().map(|frame| {
        let name = frame.name.map_or_else(|| format!("({})", frame.merged), str::to_owned);
        format!("{} {} {} {name}", frame.depth, frame.start, frame.bytes)
    });
    shown.collect()
}

#[test]
fn stacks_that_begin_alike_share_their_frames() {
    assert_eq!(
        drawn("a;b;mmap 10\na;c 5\nnonsense\na;b;brk 1\nz 4\n", 100, 0.0),
        ["0 0 20 all", "1 0 16 a", "2 0 11 b", "3 0 1 brk", "3 1 10 mmap", "2 11 5 c", "1 16 4 z",]
    );
}

#[test]
fn narrow_frames_and_those_beyond_the_most_are_one_each() {
    let folded = "a;b 100\na;c 1\na;d 1\na;e;f 1\nz 2\n";
    assert_eq!(
        drawn(folded, 100, 2.0),
        ["0 0 105 all", "1 0 103 a", "2 0 100 b", "2 100 3 (3)", "1 103 2 z"]
    );
    assert_eq!(
        drawn(folded, 3, 0.0),
        ["0 0 105 all", "1 0 103 a", "2 0 100 b", "2 100 3 (3)", "1 103 2 (1)"]
    );
}

#[test]
fn a_graph_is_bounded() {
    let many: String = (0..100_000).map(|n| format!("f{n};g{n};h{} 4096\n", n % 7)).collect();
    let deep = vec!["f"; 100_000].join(";") + " 1\n";
    let long = "x".repeat(1 << 20) + " 1\n";
    for folded in [many, deep, long] {
        let svg = svg("t", &folded).unwrap();
        assert!(svg.matches("<rect").count() <= 2 * MAX_FRAMES + 1);
        assert!(svg.len() < 16 << 20);
    }
    // The sum of the bytes overflows.
    let all = u64::MAX;
    assert!(svg("t", &format!("a {all}\nb {all}\n")).is_some());
    assert_eq!(svg("t", ""), None);
    assert_eq!(svg("t", "a;b 0\n"), None);
}

#[test]
fn nothing_of_a_name_is_more_than_text() {
    let name = "</title><script>alert('x')</script>]]>&amp\"\x1b[31m\u{fffe}\u{202e}";
    let svg = svg(name, &format!("{name};{name} 4096\n")).unwrap();
    assert_eq!(svg.matches("<script").count(), 1);
    assert_eq!(svg.matches("]]>").count(), 1);
    assert!(svg.chars().all(|letter| letter == '\n' || !letter.is_control()));
    let escaped = "&lt;/title&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;]]&gt;&amp;amp\
                   &quot;\\x1b[31m\\u{fffe}\\u{202e}";
    assert_eq!(text(name), escaped);
    assert_eq!(svg.matches(&format!("<title>{escaped} (4,096 bytes, 100.00%)</title>")).count(), 2);
}

#[test]
fn names_are_cut_to_their_frames() {
    assert_eq!(fitting("mmap", 20.0), None);
    assert_eq!(fitting("mmap", 60.0).as_deref(), Some("mmap"));
    assert_eq!(fitting("a_long_name", 60.0).as_deref(), Some("a_lon.."));
    assert_eq!(fitting("&lt;&lt;&lt;&lt;", 36.0).as_deref(), Some("&lt;&lt;&lt;&lt;"));
    assert_eq!(fitting("&lt;&lt;&lt;&lt;&lt;", 36.0).as_deref(), Some("&lt;&lt;.."));
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
