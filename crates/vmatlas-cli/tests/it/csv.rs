//! Tests comma-separated values of other commands than `show`.

use crate::live::Sleeper;
use crate::vmatlas::{vmatlas, vmatlas_with_input};

/// The heading and the rows.
fn table(text: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(text.as_bytes());
    let record = |record: ::csv::StringRecord| record.iter().map(str::to_owned).collect();
    reader.records().map(|row| record(row.unwrap())).collect()
}

#[test]
fn addresses_are_rows() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid();
    let shown = vmatlas(&["show", &pid, "--csv", "--where", "name = '[stack]'"]).text();
    let start = &table(&shown)[1][0];
    let run = vmatlas(&["at", &pid, start, "10", "--csv"]);
    let rows = table(&run.text());
    assert_eq!((run.status, rows.len()), (1, 3), "{}", run.text());
    let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    assert_eq!((&rows[1][column("address")], &rows[1][column("start")]), (start, start));
    assert_eq!(rows[1][column("name")], "[stack]");
    assert_eq!(rows[1][column("confidence")], "certain");
    assert_eq!(rows[2][column("mapped")], "false");
}

#[test]
fn differences_are_rows() {
    let old = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&old, "1000-2000 r--p 00000000 00:00 0 \n4000-5000 r--p 00000000 fe:00 7 /y\n")
        .unwrap();
    let new = b"1000-3000 r--p 00000000 00:00 0 \n8000-9000 r--p 00000000 fe:00 7 /y\na000-b000 rw-p 00000000 fe:00 9 /z\n";
    let run = vmatlas_with_input(&["diff", old.path().to_str().unwrap(), "-", "--csv"], new);
    let rows = table(&run.text());
    let change: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!((run.status, change), (1, vec!["change", "added", "changed", "moved"]));
    let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    assert_eq!(rows[1][column("to_name")], "/z");
    assert_eq!(rows[2][column("what")], "size");
    assert_eq!((&*rows[2][column("from_size")], &*rows[2][column("to_size")]), ("4096", "8192"));
    assert_eq!(
        (&*rows[3][column("from_start")], &*rows[3][column("to_start")]),
        ("0x4000", "0x8000")
    );
    let json =
        vmatlas_with_input(&["diff", old.path().to_str().unwrap(), "-", "--json"], new).json();
    assert_eq!(json["moved"][0]["to"]["start"], "0x8000");
}

#[test]
fn origins_are_rows() {
    let log = "strace/child.log";
    let run = vmatlas(&["blame", log, "-q", "--csv"]);
    let rows = table(&run.text());
    let document = vmatlas(&["blame", log, "-q", "--json"]).json();
    let origins = document["mappings"].as_array().unwrap().iter();
    let origins: usize = origins.map(|row| row["origins"].as_array().unwrap().len()).sum();
    assert_eq!(rows.len(), 1 + origins);
    assert_eq!(rows[0][..3], ["start", "end", "bytes"]);
    let life = vmatlas(&["blame", log, "-q", "--csv", "1000"]);
    assert_eq!(life.status, 2);
    assert!(life.stderr.contains("not the life of an address"), "{}", life.stderr);
}

#[test]
fn process_and_name_are_columns_and_fields_of_filters() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid();
    let run =
        vmatlas(&["show", &pid, "--csv", "--columns", "pid,comm,name", "--where", "comm = sleep"]);
    let rows = table(&run.text());
    assert!(rows.len() > 5);
    assert!(rows[1..].iter().all(|row| row[..2] == [pid.as_str(), "sleep"]), "{rows:?}");
    let none = vmatlas(&["show", &pid, "--csv", "--where", "pid = 1"]);
    assert_eq!(table(&none.text()).len(), 1);
}
