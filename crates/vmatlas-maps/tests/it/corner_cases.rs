//! Rows that are easily misread, and how each is parsed.

use std::fmt::Write as _;
use std::path::PathBuf;

#[test]
fn each_row_is_understood() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corner-cases.txt");
    let text = std::fs::read(&path).unwrap();
    let mut shown = String::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let blank = line.iter().position(|&b| b == b' ').unwrap();
        let (number, line) = (&line[..blank], &line[blank + 1..]);
        let row = vmatlas_maps::parse_row(line)
            .unwrap_or_else(|error| panic!("{}: {error}", line.escape_ascii()));
        let mut say = |text: String| shown.write_str(&text).unwrap();
        say(format!(
            "{}: {:?} {} @{:x} {} {}",
            number.escape_ascii(),
            row.kind(),
            row.perms,
            row.offset,
            row.device,
            row.inode
        ));
        if let Some(file) = row.file_name() {
            let deleted =
                file.deleted.map_or("perhaps deleted".to_owned(), |d| format!("deleted={d}"));
            let sure = if file.ambiguous { "ambiguous" } else { "plain" };
            say(format!(" {deleted} {sure} {:.80}", file.path.escape_ascii().to_string()));
        } else {
            say(format!(" {}", row.name.escape_ascii()));
        }
        say("\n".to_owned());
    }
    insta::assert_snapshot!(shown);
}
