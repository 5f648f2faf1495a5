//! Rows that another program wrapped in something come out as the rows.

use proptest::prelude::*;
use vmatlas_maps::{
    Group, Mapping, Maps, MapsReader, OwnedMapping, RowError, RowErrorKind, Sizes, Total, Totals,
    Warning, WarningKind, Wrapper, parse_row,
};

/// Rows of a program: files, one with a blank in its name, memory without names.
const ROWS: [&str; 8] = [
    "55d6f0a00000-55d6f0a01000 r--p 00000000 fe:00 1001                       /usr/bin/demo",
    "55d6f0a01000-55d6f0a05000 r-xp 00001000 fe:00 1001                       /usr/bin/demo",
    "55d6f0a05000-55d6f0a06000 rw-p 00005000 fe:00 1001                       /usr/bin/demo",
    "55d6f0a06000-55d6f0a07000 rw-p 00000000 00:00 0 ",
    "55d6f0a38000-55d6f0a59000 rw-p 00000000 00:00 0                          [heap]",
    "7f0000000000-7f0000001000 r-xp 00000000 fe:00 1002                       /usr/lib/lib with blank.so",
    "7f0000001000-7f0000002000 rw-s 00000000 00:01 84                         /dev/zero (deleted)",
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]",
];

/// Names with bytes that wrappers escape.
const ODD_NAMES: [&str; 8] = [
    "/x/say \"hi\"",
    "/x/it's",
    r"/x/dev\x2dmapper",
    r"/x/two\012lines",
    "/x/é ü",
    "/x/<a> & b",
    "/x/a, b; c]",
    "/x/back\\slash\\",
];

fn lines(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn plain() -> Vec<String> {
    ROWS.iter().map(|row| (*row).to_owned()).collect()
}

fn odd() -> Vec<String> {
    let mut rows = plain();
    for (index, name) in ODD_NAMES.iter().enumerate() {
        let start = 0x7f10_0000_0000_u64 + (index as u64) * 0x1000;
        rows.insert(
            7 + index,
            format!(
                "{:73}{name}",
                format!("{start:x}-{:x} r--p 00000000 fe:00 {index}7", start + 0x1000)
            ),
        );
    }
    rows
}

fn owned(maps: &Maps) -> Vec<OwnedMapping> {
    maps.iter().map(OwnedMapping::from).collect()
}

fn expected(rows: &[String]) -> Vec<OwnedMapping> {
    rows.iter().map(|row| OwnedMapping::from(parse_row(row.as_bytes()).unwrap())).collect()
}

/// Asserts that the rows come out of a text, whole and in pieces.
#[track_caller]
fn check(what: &str, rows: &[String], text: &[u8]) {
    let maps = MapsReader::read(text);
    let (found, expect) = (owned(&maps), expected(rows));
    if found != expect {
        let different = found.iter().zip(&expect).find(|(a, b)| a != b);
        panic!(
            "{what}: {} of {} rows, {different:?}, {:?}\n{}",
            found.len(),
            expect.len(),
            maps.warnings(),
            text.escape_ascii()
        );
    }
    let said = |warning: &Warning| {
        matches!(
            warning.kind,
            WarningKind::Wrapped(_) | WarningKind::CarriageReturns | WarningKind::Cut
        )
    };
    assert!(maps.warnings().iter().all(said), "{what}: {:?}", maps.warnings());
    let mut reader = MapsReader::default();
    text.chunks(7).for_each(|piece| reader.push(piece));
    let pieces = reader.finish();
    assert_eq!(owned(&pieces), expect, "{what}, in pieces");
    assert_eq!(pieces.warnings(), maps.warnings(), "{what}, in pieces");
}

fn each(rows: &[String], mut wrap: impl FnMut(usize, &str) -> String) -> Vec<u8> {
    rows.iter().enumerate().map(|(index, row)| wrap(index, row)).collect::<String>().into_bytes()
}

/// A literal of C, Go, Rust or logfmt.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            '"' | '\\' => literal.extend(['\\', character]),
            _ => literal.push(character),
        }
    }
    literal + "\""
}

/// The text of a literal, without its quotes.
fn inner(text: &str) -> String {
    let literal = quoted(text);
    literal[1..literal.len() - 1].to_owned()
}

/// repr() of Python, for bytes or a string.
fn python(text: &str, bytes: bool) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut literal = if bytes { format!("b{quote}") } else { quote.to_string() };
    for character in text.chars() {
        match character {
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            '\\' => literal.push_str("\\\\"),
            _ if character == quote => literal.extend(['\\', quote]),
            _ if bytes && !character.is_ascii() => {
                let mut utf8 = [0; 4];
                for byte in character.encode_utf8(&mut utf8).bytes() {
                    literal.push_str(&format!("\\x{byte:02x}"));
                }
            }
            _ => literal.push(character),
        }
    }
    literal.push(quote);
    literal
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// JSON with every character escaped that is no letter or digit.
fn json_escaped(text: &str) -> String {
    let mut literal = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => literal.push(byte as char),
            _ => literal.push_str(&format!("\\u{unit:04x}")),
        }
    }
    literal + "\""
}

/// Rows as pprint of Python writes strings that are longer than its lines: in pieces, which begin at
/// words.
fn pprint(rows: &[String], end: &str, bytes: bool) -> Vec<u8> {
    let mut text = String::from("[");
    for row in rows {
        let header = row.len().min(73);
        let mut pieces = vec![&row[..header]];
        pieces.extend(row[header..].split_inclusive(' '));
        let last = pieces.pop().unwrap();
        let last = format!("{last}{end}");
        let pieces = pieces.into_iter().map(|piece| python(piece, bytes));
        let pieces: Vec<String> = pieces.chain([python(&last, bytes)]).collect();
        text += &format!("{},\n ", pieces.join("\n "));
    }
    (text + "'more']\n").into_bytes()
}

/// Each kind of wrapper with the text of these rows in it.
fn wrapped(rows: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    let whole = lines(rows);
    let value =
        serde_json::json!({"error": {"kind": "SIGSEGV"}, "files": {"/proc/self/maps": rows}});
    let text = serde_json::json!({"pid": 7, "maps": whole, "comm": "demo"});
    let nested = serde_json::json!({"level": "info", "msg": text.to_string(), "time": "now"});
    let docker = |row: &str, stream: &str| {
        format!(
            "{}\n",
            serde_json::json!({"log": row, "stream": stream, "time": "2026-01-01T00:00:00Z"})
        )
    };
    let two: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            let middle = (0..=40).rev().find(|&at| row.is_char_boundary(at)).unwrap();
            row.split_at(middle)
        })
        .collect();
    let mut parts = String::new();
    let mut cri = String::new();
    for (a, b) in two {
        parts += &format!(
            "{{\"log\":{},\"stream\":\"stderr\"}}\n{{\"log\":{},\"stream\":\"stderr\"}}\n",
            json(a),
            json(&format!("{b}\n"))
        );
        cri += &format!(
            "2026-01-01T00:00:00.000000000Z stderr P {a}\n2026-01-01T00:00:00.000000001Z stdout F other\n2026-01-01T00:00:00.000000002Z stderr F {b}\n"
        );
    }
    vec![
        ("JSON array, pretty", serde_json::to_vec_pretty(&value).unwrap()),
        ("JSON array, compact", serde_json::to_vec(&value).unwrap()),
        ("JSON string", serde_json::to_vec(&text).unwrap()),
        ("JSON string, pretty", serde_json::to_vec_pretty(&text).unwrap()),
        ("JSON in JSON", serde_json::to_vec(&nested).unwrap()),
        ("JSON, all escaped", format!("{{\"maps\":{}}}", json_escaped(&whole)).into_bytes()),
        ("JSON with \\/", text.to_string().replace('/', "\\/").into_bytes()),
        ("JSON lines", each(rows, |_, row| format!("{{\"row\":{}}}\n", json(row)))),
        (
            "JSON lines, with level",
            each(rows, |_, row| {
                format!("{{\"level\":\"info\",\"msg\":{},\"pid\":7}}\n", json(row))
            }),
        ),
        (
            "JSON with CRLF in it",
            format!("{{\"maps\": {}}}\r\n", json(&whole.replace('\n', "\r\n"))).into_bytes(),
        ),
        ("Docker", each(rows, |_, row| docker(&format!("{row}\n"), "stderr"))),
        ("Docker, a terminal", each(rows, |_, row| docker(&format!("{row}\r\n"), "stdout"))),
        ("Docker, parts", parts.into_bytes()),
        ("CRI", each(rows, |_, row| format!("2026-01-01T00:00:00.000000000Z stdout F {row}\n"))),
        ("CRI, parts", cri.into_bytes()),
        ("compose", each(rows, |_, row| format!("svc-1  | {row}\n"))),
        ("kubectl", each(rows, |_, row| format!("[pod/web-7d9c-x2x/app] {row}\n"))),
        ("journal, short", each(rows, |_, row| format!("Jan 01 00:00:00 host app[123]: {row}\n"))),
        (
            "journal, iso",
            each(rows, |_, row| format!("2026-01-01T00:00:00+0000 host app[123]: {row}\n")),
        ),
        (
            "journal, json",
            each(rows, |_, row| {
                format!("{{\"_PID\":\"7\",\"MESSAGE\":{},\"PRIORITY\":\"6\"}}\n", json(row))
            }),
        ),
        (
            "journal, export",
            each(rows, |_, row| format!("__CURSOR=s=1\n_PID=7\nMESSAGE={row}\n\n")),
        ),
        (
            "dated lines",
            each(rows, |_, row| format!("2026-01-01 00:00:00,123 INFO [main] - {row}\n")),
        ),
        (
            "logcat",
            each(rows, |_, row| format!("01-01 00:00:00.000  123  123 I DEBUG   : {row}\n")),
        ),
        (
            "logfmt",
            format!("time=2026-01-01T00:00:00Z level=info msg={} pid=7\n", quoted(&whole))
                .into_bytes(),
        ),
        ("logfmt, lines", each(rows, |_, row| format!("level=info msg={} pid=7\n", quoted(row)))),
        ("C literals", each(rows, |_, row| format!("    {}\n", quoted(&format!("{row}\n"))))),
        (
            "C literals of an array",
            format!(
                "static const char *rows[] = {{\n{}}};\n",
                String::from_utf8(each(rows, |_, row| format!("    {},\n", quoted(row)))).unwrap()
            )
            .into_bytes(),
        ),
        ("C literals, joined in one line", each(rows, |_, row| quoted(&format!("{row}\n")))),
        ("C++ raw literal", format!("auto maps = R\"(\n{whole})\";\n").into_bytes()),
        (
            "Rust literal",
            format!(
                "const MAPS: &str = \"\\\n{}\";\n",
                rows.iter().map(|row| format!("{}\\n\\\n", inner(row))).collect::<String>()
            )
            .into_bytes(),
        ),
        ("Rust raw literal", format!("const MAPS: &str = r#\"{whole}\"#;\n").into_bytes()),
        ("Rust Debug", format!("rows = {rows:?}\n").into_bytes()),
        ("Java", each(rows, |_, row| format!("        + {}\n", quoted(&format!("{row}\n"))))),
        ("Go raw literal", format!("var maps = `{whole}`\n").into_bytes()),
        ("Python bytes", format!("{}\n", python(&whole, true)).into_bytes()),
        ("Python string", format!("maps = {}\n", python(&whole, false)).into_bytes()),
        ("Python pprint", pprint(rows, "", false)),
        ("Python pprint, bytes", pprint(rows, "", true)),
        ("Python pprint, lines", pprint(rows, "\n", false)),
        (
            "Python list",
            format!(
                "[{}]\n",
                rows.iter()
                    .map(|row| python(&format!("{row}\n"), false))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
            .into_bytes(),
        ),
        ("YAML", each(rows, |_, row| format!("- '{}'\n", row.replace('\'', "''")))),
        (
            "YAML block",
            format!(
                "maps: |\n{}",
                String::from_utf8(each(rows, |_, row| format!("  {row}\n"))).unwrap()
            )
            .into_bytes(),
        ),
        ("CSV", each(rows, |index, row| format!("{index},\"{}\",x\n", row.replace('"', "\"\"")))),
        (
            "XML",
            format!(
                "<?xml version=\"1.0\"?>\n<maps>\n{}</maps>\n",
                String::from_utf8(each(rows, |_, row| format!(
                    "  <row n=\"1\">{}</row>\n",
                    html(row)
                )))
                .unwrap()
            )
            .into_bytes(),
        ),
        (
            "XML in one line",
            format!(
                "<maps>{}</maps>",
                String::from_utf8(each(rows, |_, row| format!("<row>{}</row>", html(row))))
                    .unwrap()
            )
            .into_bytes(),
        ),
        (
            "XML attributes",
            format!(
                "<maps>\n{}</maps>\n",
                String::from_utf8(each(rows, |_, row| format!(
                    "  <row text=\"{}\"/>\n",
                    html(row).replace('"', "&quot;")
                )))
                .unwrap()
            )
            .into_bytes(),
        ),
        (
            "XML attribute with all",
            format!(
                "<maps text=\"{}\"/>\n",
                html(&whole).replace('"', "&#34;").replace('\n', "&#10;")
            )
            .into_bytes(),
        ),
        ("CDATA", format!("<maps><![CDATA[{whole}]]></maps>\n").into_bytes()),
        ("HTML pre", format!("<html><body>\n<pre>{}</pre>\n</body>\n", html(&whole)).into_bytes()),
        (
            "HTML code",
            format!("<!DOCTYPE html>\n<pre><code>{}</code></pre>\n", html(&whole)).into_bytes(),
        ),
        ("HTML br", each(rows, |_, row| format!("{}<br>\n", html(row)))),
        (
            "HTML br, one line",
            format!("<p>{}</p>", html(&whole).replace('\n', "<br/>")).into_bytes(),
        ),
        (
            "HTML table",
            format!(
                "<table>\n{}</table>\n",
                String::from_utf8(each(rows, |_, row| {
                    let mut cells =
                        row.splitn(6, ' ').map(|cell| format!("<td>{}</td>", html(cell.trim())));
                    format!("<tr>{}</tr>\n", cells.by_ref().collect::<String>())
                }))
                .unwrap()
            )
            .into_bytes(),
        ),
        ("HTML in JSON", json(&format!("<pre>{}</pre>", html(&whole))).into_bytes()),
        ("grep -n", each(rows, |index, row| format!("{}:{row}\n", index + 1))),
        ("grep -Hn", each(rows, |index, row| format!("/proc/123/maps:{}:{row}\n", index + 1))),
        ("grep -H", each(rows, |_, row| format!("a.maps:{row}\n"))),
        (
            "grep -n -C1",
            each(rows, |index, row| {
                format!("{}{}{row}\n", index + 1, if index == 3 { ':' } else { '-' })
            }),
        ),
        ("cat -n", each(rows, |index, row| format!("{:6}\t{row}\n", index + 1))),
        ("mail quote", each(rows, |_, row| format!("> {row}\n"))),
        (
            "grep --color",
            each(rows, |_, row| match row.split_once("usr") {
                Some((a, b)) => format!("{a}\x1b[01;31m\x1b[Kusr\x1b[m\x1b[K{b}\n"),
                None => format!("{row}\n"),
            }),
        ),
        ("colours", each(rows, |_, row| format!("\x1b[31m{row}\x1b[0m\n"))),
        ("colours behind", each(rows, |_, row| format!("{row}\x1b[0m\n"))),
        (
            "colours of fields",
            each(rows, |_, row| {
                let (addresses, rest) = row.split_once(' ').unwrap();
                format!(
                    "\x1b[1;34m{addresses}\x1b[m \x1b[32m{}\x1b[39;49m{}\n",
                    &rest[..4],
                    &rest[4..]
                )
            }),
        ),
        ("CRLF in a log", each(rows, |_, row| format!("app: {row}\r\n"))),
        (
            "Markdown table",
            format!(
                "| row |\n|---|\n{}",
                String::from_utf8(each(rows, |_, row| format!("| {row} |\n"))).unwrap()
            )
            .into_bytes(),
        ),
        ("Markdown code", each(rows, |_, row| format!("- `{row}`\n"))),
        ("Markdown fence", format!("```\n{whole}```\n").into_bytes()),
        (
            "syslog",
            format!("<6>Jan 1 00:00:00 host app: {}\n", whole.replace('\n', "#012")).into_bytes(),
        ),
        ("escaped line feeds", format!("app: {}\n", inner(&whole)).into_bytes()),
        ("UTF-16LE with BOM", utf16(&format!("\u{feff}{whole}"), false)),
        ("UTF-16LE", utf16(&whole, false)),
        ("UTF-16BE with BOM", utf16(&format!("\u{feff}{whole}"), true)),
        ("UTF-16BE", utf16(&whole, true)),
        ("UTF-16 JSON", utf16(&text.to_string(), false)),
        ("UTF-16 with CRLF", utf16(&whole.replace('\n', "\r\n"), false)),
        ("UTF-32", whole.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()),
        ("UTF-8 with BOM", format!("\u{feff}{whole}").into_bytes()),
        (
            "tabs before names",
            each(rows, |_, row| {
                let fields = 1 + row.match_indices(' ').nth(4).map_or(row.len(), |(at, _)| at);
                format!("x: {}\t\t{}\n", row[..fields].trim_end(), row[fields..].trim_start())
            }),
        ),
    ]
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    text.encode_utf16()
        .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect()
}

#[test]
fn rows_come_out_of_every_wrapper() {
    let rows = plain();
    for (what, text) in wrapped(&rows) {
        check(what, &rows, &text);
    }
}

#[test]
fn names_with_quotes_and_backslashes_come_out_too() {
    let rows = odd();
    for (what, text) in wrapped(&rows) {
        check(what, &rows, &text);
    }
}

#[test]
fn tabs_between_fields() {
    let rows = plain();
    let text = each(&rows, |_, row| {
        let mut fields = row.splitn(6, ' ').map(str::trim);
        let fields: Vec<&str> = fields.by_ref().collect();
        fields.join("\t") + "\n"
    });
    check("tabs", &rows, &text);
    let text = each(&rows, |_, row| {
        row.replacen("                          ", " \t\t\t", 1).replacen(
            "                       ",
            " \t\t\t",
            1,
        ) + "\n"
    });
    check("unexpand", &rows, &text);
}

#[test]
fn unbreakable_blanks() {
    let rows = plain();
    check(
        "in a text",
        &rows,
        &each(&rows, |_, row| format!("x: {}\n", row.replace(' ', "\u{a0}"))),
    );
    check(
        "in HTML",
        &rows,
        &each(&rows, |_, row| format!("<p>{}<br>\n", row.replace(' ', "\u{a0}"))),
    );
    check(
        "as references",
        &rows,
        &each(&rows, |_, row| format!("<p>{}</p>\n", row.replace(' ', "&nbsp;"))),
    );
}

#[test]
fn marks_of_cat() {
    let rows = plain();
    check("cat -A", &rows, &each(&rows, |_, row| format!("{row}$\n")));
    check("cat -A of a copy from Windows", &rows, &each(&rows, |_, row| format!("{row}^M$\n")));
    // Without a row that the kernel named it may be the name.
    let text = b"1000-2000 r--p 00000000 fe:00 7 /a$\n2000-3000 r--p 00000000 fe:00 7 /a$\n";
    let maps = MapsReader::read(text);
    assert_eq!(maps.get(0).unwrap().name, b"/a$");
    assert!(matches!(maps.warnings()[0].kind, WarningKind::NamesEndIn("$")));
}

#[test]
fn an_excerpt_without_its_first_quote() {
    let rows = plain();
    check("Rust", &rows, &each(&rows, |_, row| format!("{row}\\n\\\n")));
    check("quotes behind", &rows, &each(&rows, |_, row| format!("{row}\",\n")));
}

/// Only its header makes a text a mail.
#[test]
fn names_with_the_words_of_a_mail() {
    let text = "1000-2000 rw-p 00000000 fe:00 7 /srv/quoted-printable/qp.node\n\
                2000-3000 rw-p 00000000 fe:00 8 /app/x=41/lib.so\n";
    let maps = MapsReader::read(text.as_bytes());
    assert_eq!(maps.warnings(), []);
    assert_eq!(maps.get(1).unwrap().name, b"/app/x=41/lib.so");
}

#[test]
fn other_ends_of_lines() {
    let rows = plain();
    check("a frame", &rows, &each(&rows, |_, row| format!("│ {row} │\n")));
    check("RTF", &rows, &each(&rows, |_, row| format!("{row}\\par\n")));
    // Rows in a line with something else between them, and columns behind.
    for text in [rows.join("; "), rows.join("\r"), rows.join("\0"), rows.join(", ")] {
        let maps = MapsReader::read(text.as_bytes());
        assert!(
            matches!(maps.warnings()[0].kind, WarningKind::OddNames { .. } | WarningKind::Cut),
            "{text}"
        );
        assert!(
            maps.warnings().iter().any(|w| matches!(w.kind, WarningKind::OddNames { .. })),
            "{text}"
        );
    }
    let maps = MapsReader::read(&each(&rows, |index, row| format!("{row};{index}\n")));
    assert!(matches!(maps.warnings()[0].kind, WarningKind::OddNames { rows: 3, .. }));
}

#[test]
fn a_file_name_with_a_colour_is_a_name() {
    let text =
        b"1000-2000 r--p 00000000 fe:00 7 /a\x1b[31mb\n2000-3000 rw-p 00000000 00:00 0 [heap]\n";
    let maps = MapsReader::read(text);
    assert_eq!(maps.get(0).unwrap().name, b"/a\x1b[31mb");
    assert_eq!(maps.warnings(), []);
}

#[test]
fn a_quote_in_a_log_is_no_literal() {
    let text = b"it's here: \"x\n1000-2000 r--p 00000000 fe:00 7 /a\"b's\napp's 2000-3000 rw-p 00000000 00:00 0 [heap]\n";
    let maps = MapsReader::read(text);
    assert_eq!(maps.get(0).unwrap().name, b"/a\"b's");
    assert_eq!(maps.get(1).unwrap().name, b"[heap]");
    assert_eq!(maps.warnings(), []);
}

#[test]
fn rows_that_a_diff_removes_are_not_read() {
    let text = b"--- a\n+++ b\n@@ -1 +1 @@\n-1000-2000 r--p 00000000 fe:00 7 /a\n+1000-3000 r--p 00000000 fe:00 7 /a\n";
    let maps = MapsReader::read(text);
    assert_eq!(maps.len(), 1);
    assert!(matches!(maps.warnings()[0].kind, WarningKind::Wrapped(Wrapper::Diff)));
}

/// `git diff --word-diff` and `diff` without options.
#[test]
fn rows_that_other_diffs_remove_are_not_read() {
    let shown = |text: &str| {
        let maps = MapsReader::read(text.as_bytes());
        assert!(
            maps.warnings().iter().any(|w| w.kind == WarningKind::Wrapped(Wrapper::Diff)),
            "{text}"
        );
        let row = |row: Mapping<'_>| {
            format!("{:x} {}", row.range.start, String::from_utf8_lossy(row.name))
        };
        maps.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    let words = "diff --git a/a b/b\n@@ -1,3 +1,3 @@\n\
                 1000-2000 r--p 00000000 fe:00 7      /a\n\
                 [-2000-3000 r--p 00000000 fe:00 7      /a-]\n\
                 [-4000-5000-]{+4000-6000+} r--p 00000000 fe:00 7      /a\n\
                 7000-8000 r--p 00000000 fe:00 7      [-/a-]{+/b+}\n\
                 8000-9000 r--p 00000000 fe:00 7      /c[-d-]\n\
                 {+9000-a000 rw-p 00000000 00:00 0+} \n";
    assert_eq!(shown(words), "1000 /a, 4000 /a, 7000 /b, 8000 /c[-d-], 9000 ");
    let plain = "2d1\n< 1000-2000 r--p 00000000 fe:00 7     /a\n\
                 3c2\n< 3000-4000 r--p 00000000 fe:00 7     /b\n---\n\
                 > 3000-5000 r--p 00000000 fe:00 7     /b\n";
    assert_eq!(shown(plain), "3000 /b");
}

/// A hunk of a diff shows which lines are of the old file, whatever stands before their rows.
#[test]
fn rows_of_the_old_side_of_a_hunk_are_not_read() {
    let shown = |text: &str| {
        let maps = MapsReader::read(text.as_bytes());
        let rows: Vec<String> = maps
            .iter()
            .map(|row| format!("{:x} {}", row.range.start, String::from_utf8_lossy(row.name)))
            .collect();
        let is_noted = |warning: &Warning| {
            matches!(warning.kind, WarningKind::Wrapped(Wrapper::Diff | Wrapper::LeftSide))
        };
        assert!(maps.warnings().iter().any(is_noted), "{text}");
        rows.join(", ")
    };
    let row =
        |start: &str, name: &str| format!("{start}000-{start}800 r-xp 00000000 fe:00 7     {name}");
    let (a, b, c, d) = (row("1", "/a"), row("2", "/b"), row("2", "/c"), row("3", "/d"));
    for log in ["", "host app[77]: ", "    ", "a - b: "] {
        for quote in ["", "> ", "    "] {
            let quoted = |text: String| -> String {
                text.lines().map(|line| format!("{quote}{line}\n")).collect()
            };
            let (a, b, c, d) = (
                format!("{log}{a}"),
                format!("{log}{b}"),
                format!("{log}{c}"),
                format!("{log}{d}"),
            );
            let removed = format!("--- old\n+++ new\n@@ -1,3 +1,2 @@\n {a}\n-{b}\n {d}\n");
            assert_eq!(shown(&quoted(removed)), "1000 /a, 3000 /d");
            let unified = format!("@@ -1,3 +1,3 @@ x\n {a}\n-{b}\n+{c}\n {d}\n");
            assert_eq!(shown(&quoted(unified.clone())), "1000 /a, 2000 /c, 3000 /d");
            let coloured = unified.replace("@@ -", "\x1b[36m@@ -").replace("\n-", "\n\x1b[31m-");
            assert_eq!(shown(&quoted(coloured)), "1000 /a, 2000 /c, 3000 /d");
            let merged = format!(
                "diff --cc maps\n@@@ -1,2 -1,3 +1,3 @@@\n  {a}\n- {b}\n -{b}\n++{c}\n+ {d}\n"
            );
            assert_eq!(shown(&quoted(merged)), "1000 /a, 2000 /c, 3000 /d");
            let normal = format!("2c2\n< {b}\n---\n> {c}\n5a6\n> {d}\n");
            assert_eq!(shown(&quoted(normal)), "2000 /c, 3000 /d");
            let context = format!(
                "*** old\n--- new\n***************\n*** 1,3 ****\n  {a}\n! {b}\n  {d}\n--- 1,3 ----\n  {a}\n! {c}\n  {d}\n"
            );
            assert_eq!(shown(&quoted(context)), "1000 /a, 2000 /c, 3000 /d");
            let context =
                format!("***************\n*** 1,3 ****\n  {a}\n- {b}\n  {d}\n--- 1,2 ----\n");
            assert_eq!(shown(&quoted(context)), "1000 /a, 3000 /d");
        }
        let two = format!(
            "{log}{a}\t\t{log}{a}\n{log}{b}\t      |\t{log}{c}\n{log}{b}  <\n\t\t   >\t{log}{d}\n"
        );
        assert_eq!(shown(&two), "1000 /a, 2000 /c, 3000 /d");
    }
    // Behind the lines of a hunk, a `-` is no mark.
    let list = format!("@@ -1 +1 @@\n-{a}\n+{b}\ntext\n- host app: {d}\n");
    assert_eq!(shown(&list), "2000 /b, 3000 /d");
}

/// What stands before a row stands before its name in the next line, and before its fields.
#[test]
fn names_and_fields_behind_the_prefix_of_a_row_are_read() {
    let rows = "1000-2000 r-xp 00000000 fd:00 7\n/a\n3000-4000 rw-p 00000000 00:00 0\n[stack]\n";
    let smaps = "1000-2000 r-xp 00000000 fd:00 7 /a\nRss:                   4 kB\nPss: 1 kB\nVmFlags: rd\n\
                 3000-4000 rw-p 00000000 00:00 0 [stack]\nSize:                  4 kB\n";
    let behind = |prefix: &dyn Fn(usize) -> String, text: &str| -> Maps {
        let line = |(index, line)| format!("{}{line}\n", prefix(index));
        let text: String = text.lines().enumerate().map(line).collect();
        MapsReader::read(format!("text\n{text}").as_bytes())
    };
    let prefixes: [&dyn Fn(usize) -> String; 6] = [
        &|_| "> ".to_owned(),
        &|_| "> > ".to_owned(),
        &|index| " ".repeat(4 + index % 2),
        &|index| format!("Nov  {index} 12:{index:02}:00 host app[77]: "),
        &|index| format!("[{:5}.123] app: ", index * 50),
        &|index| format!("maps:{}:", index + 8),
    ];
    for prefix in prefixes {
        let maps = behind(prefix, rows);
        let names: Vec<_> = maps.iter().map(|row| row.name.to_vec()).collect();
        assert_eq!(names, [b"/a".to_vec(), b"[stack]".to_vec()], "{}", prefix(1));
        let maps = behind(prefix, smaps);
        assert_eq!(maps.warnings(), [], "{}", prefix(1));
        assert_eq!([0, 1].map(|row| maps.fields(row).count()), [3, 1], "{}", prefix(1));
    }
    let cut =
        MapsReader::read(b"1000-2000 r-xp 00000000 fd:00 7\n3000-4000 r-xp 00000000 fd:00 8 /a\n");
    insta::assert_snapshot!(cut.warnings()[0], @"1 row of a file has no name, which only kernels before 2.2 leave out: the text may lack it");
}

#[test]
fn damaged_and_cut_rows_behind_other_text_are_noted() {
    let log =
        |rows: &[&str]| rows.iter().map(|row| format!("host app[7]: {row}\n")).collect::<String>();
    let row = "55d6f0a01000-55d6f0a05000 r-xp 00001000 fe:00 1001     /usr/bin/demo";
    let shown = |text: &str| {
        let maps = MapsReader::read(text.as_bytes());
        maps.warnings().iter().map(|warning| format!("{warning}\n")).collect::<String>()
    };
    let damaged = log(&[
        row,
        "55d6f0a06000-55d6f0a07000 r-xp 00001",
        "55d6f0a08000-55d6f0a09000 r-x 0 fe:00 1 /a",
        row.replace("f0a", "f1a").as_str(),
    ]);
    let perms = "column 40: not a row: four permissions and a blank are expected, like r-xp\n";
    let offset = "not a row: a hexadecimal offset of at most 64 bits and a blank are expected\n";
    assert_eq!(shown(&damaged), format!("line 2, column 50: {offset}line 3, {perms}"));
    // Also behind what stands before no row.
    let other = damaged
        .replace("host app[7]: 55d6f0a06000", "other: 55d6f0a06000")
        .replace("r-xp 00001\n", "r-xp 00001x fe:00 1 /x\n");
    assert_eq!(shown(&other), format!("line 2, column 44: {offset}line 3, {perms}"));
    // Cut behind every byte of the last row, and before it.
    let whole = log(&[row, &row.replace("f0a", "f1a")]);
    let (first, _) = whole.split_at(whole.len() / 2);
    for end in first.len() + 1..whole.len() {
        assert!(
            shown(&whole[..end]).contains("the last line has no line feed"),
            "{}",
            &whole[..end]
        );
    }
    assert_eq!(shown(&whole), "");
}

/// A rollup has the sums of the rows beside it.
#[test]
fn a_rollup_beside_rows_is_in_no_sum() {
    let rows = "1000-2000 r--p 00000000 fe:00 7 /a\nSize: 4 kB\nRss:                   4 kB\n\
                3000-5000 rw-p 00000000 00:00 0 [heap]\nSize: 8 kB\nRss:                   8 kB\n";
    let rollup =
        "1000-5000 ---p 00000000 00:00 0    [rollup]\nRss:                  12 kB\nPss: 1 kB\n";
    for text in [format!("{rows}{rollup}"), format!("{rollup}{rows}")] {
        let maps = MapsReader::read(text.as_bytes());
        let warnings: Vec<_> = maps.warnings().iter().map(|warning| &warning.kind).collect();
        assert_eq!(warnings, [&WarningKind::RollupOfRows]);
        assert_eq!(maps.processes(), 1);
        let totals = Totals::sum(&maps, Group::Kind, |_| true);
        let Total { mappings, size, sizes: Sizes { rss, pss, .. }, .. } = totals.all;
        assert_eq!((mappings, size, rss, pss), (2, 0x3000, Some(12 << 10), None));
        assert_eq!(totals.groups.len(), 2);
    }
    let alone = Totals::sum(&MapsReader::read(rollup.as_bytes()), Group::Kind, |_| true).all;
    assert_eq!((alone.mappings, alone.size, alone.sizes.rss), (0, 0, Some(12 << 10)));
    // The rows of another process follow.
    let stack = "6000-7000 rw-p 00000000 00:00 0 [stack]\n";
    let two = MapsReader::read(format!("{rows}{stack}{rollup}{rows}").as_bytes());
    assert_eq!(two.processes(), 2);
}

/// Private memory is the sum of two fields, and known only if no row with resident memory lacks one.
#[test]
fn private_memory_is_unknown_if_a_field_is_missing() {
    let row = |start: u32, fields: &str| {
        format!("{start}000-{start}800 r--p 00000000 fe:00 7 /a\n{fields}")
    };
    let (rss, clean, dirty) = ("Rss: 8 kB\n", "Private_Clean: 4 kB\n", "Private_Dirty: 2 kB\n");
    let uss = |fields: &[&[&str]]| {
        let text: String =
            fields.iter().zip(1..).map(|(fields, start)| row(start, &fields.concat())).collect();
        Totals::sum(&MapsReader::read(text.as_bytes()), Group::Kind, |_| true).all.sizes.uss
    };
    assert_eq!(uss(&[&[rss, clean, dirty], &[rss, clean, dirty]]), Some(12 << 10));
    assert_eq!(uss(&[&[rss, dirty]]), None);
    assert_eq!(uss(&[&[rss, clean, dirty], &[rss], &[rss, clean, dirty]]), None);
    // A row without resident memory has no private one.
    assert_eq!(uss(&[&[rss, clean, dirty], &["Rss: 0 kB\n"], &[]]), Some(6 << 10));
}

#[test]
fn rows_of_a_tombstone_that_are_damaged_or_cut_are_noted() {
    let check = |rows: &str, count: usize, line: u64| {
        let text = format!("memory map:\n{rows}");
        let maps = MapsReader::read(text.as_bytes());
        assert_eq!(maps.len(), count, "{rows}");
        let bad = |warning: &Warning| {
            matches!(warning.kind, WarningKind::BadRow(RowError { kind: RowErrorKind::Size, .. }))
        };
        let lines: Vec<u64> = maps.warnings().iter().filter(|w| bad(w)).map(|w| w.line).collect();
        assert_eq!(lines, if line == 0 { vec![] } else { vec![line] }, "{rows}");
        maps.warnings().iter().any(|warning| warning.kind == WarningKind::Cut)
    };
    let row = "    ab2f4000-ab2f7fff r-x         0      4000  /system/bin/app\n";
    assert!(!check(row, 1, 0));
    // The size and the end differ.
    let other = "    12c00000-12e01fff rw-         0    201000  /dev/ashmem/space\n";
    check(&format!("{other}{row}"), 1, 2);
    check(&format!("{row}F DEBUG   : {}", other.trim_start()), 1, 3);
    for cut in [
        "    bebff000-",
        "    bebff000-bebff",
        "    bebff000-bebfffff",
        "    bebff000-bebfffff rw",
        "    bebff000-bebfffff rw- ",
        "    bebff000-bebfffff rw-         0   10",
    ] {
        assert!(check(&format!("{row}{cut}"), 1, 3), "{cut}");
        // In the middle of a log.
        check(&format!("{row}{cut}\n    more\n"), 1, 3);
    }
    // The name may go on.
    assert!(check(&format!("{row}    bebff000-bebfffff rw-         0      1000  [sta"), 2, 0));
    assert!(check(&format!("{row}    beb"), 1, 0));
    // Dates and numbers.
    for text in ["2026-11-30 10:00", "id 123456-7", "12-34 r-x", "page 100000-200000 of it"] {
        check(&format!("{text}\n"), 0, 0);
    }
}

#[test]
fn names_that_no_kernel_prints_are_named() {
    let text =
        b"1000-2000 r--p 00000000 00:00 0 [heap]\n2000-3000 rw-p 00000000 00:00 0 [stack]</b>\n";
    let maps = MapsReader::read(text);
    insta::assert_snapshot!(
        maps.warnings()[0],
        @"1 row has an unusual name, such as `[stack]</b>`: they may be wrapped in something, or damaged"
    );
}

#[test]
fn smaps_in_wrappers() {
    let smaps = "1000-2000 rw-p 00000000 00:00 0 \nSize:                  4 kB\nRss:                   0 kB\nVmFlags: rd wr \n";
    let docker: String = smaps
        .lines()
        .map(|line| format!("{{\"log\":{},\"stream\":\"stderr\"}}\n", json(&format!("{line}\n"))))
        .collect();
    let text = serde_json::json!({"smaps": smaps, "level": "info"}).to_string();
    let lines = serde_json::to_string_pretty(&smaps.lines().collect::<Vec<_>>()).unwrap();
    for text in [docker, text, lines, format!("<pre>\n{smaps}</pre>\n")] {
        let maps = MapsReader::read(text.as_bytes());
        assert_eq!((maps.len(), maps.fields(0).count()), (1, 3), "{text}");
    }
}

#[test]
fn a_long_json_string_is_read_whole() {
    let rows: Vec<String> = (0..20_000u64)
        .map(|n| format!("{:x}-{:x} r--p 00000000 fe:00 7                          /usr/lib/a file that has a name of some length", n << 13, (n << 13) + 4096))
        .collect();
    let text = serde_json::json!({"maps": lines(&rows)}).to_string();
    assert_eq!(owned(&MapsReader::read(text.as_bytes())), expected(&rows));
}

#[test]
fn work_on_hostile_lines_is_bounded() {
    let size = 1 << 17;
    for piece in [
        "\"",
        "'",
        "\\\"",
        "\"\\",
        "`",
        "<a",
        "<a \"",
        "&",
        "1-2 r--p 0 0:0 0\\n",
        "\"a\",",
        "'a' ",
        "a-",
        "1-2 r--p 0 0:0 0 \"",
        "\x1b[",
        "\x1b]",
        "r#\"",
        "######",
        "\\u{",
        "<![CDATA[",
        "{\"log\":\"",
        "|",
        "#012",
        "1-2 r--p 0 0:0 0 | ",
        "=",
        "-",
        "''",
        "\"\"\"",
        "x'1-2 r--p 0 0:0 0",
        "<b>1-2 r--p 0 0:0 0",
        "1'-",
    ] {
        let line = piece.repeat(size / piece.len());
        let begun = std::time::Instant::now();
        MapsReader::read(format!("x\n{line}\n{line}").as_bytes());
        MapsReader::read(
            format!("Content-Transfer-Encoding: quoted-printable\n{line}\n").as_bytes(),
        );
        // A machine may be busy; what is not linear takes minutes.
        assert!(begun.elapsed().as_secs() < 300, "{piece:?}");
    }
}

/// A name, of any characters. What looks like a tag is taken for one, with a note: a text does not
/// show which it is.
fn name() -> impl Strategy<Value = String> {
    let names = "/[ -~éß漢]{0,20}[!-~é]|\\[heap\\]|";
    let is_tag =
        |pair: [char; 2]| pair[0] == '<' && (pair[1].is_alphabetic() || "/!?".contains(pair[1]));
    names.prop_filter("a tag", move |name| {
        let second = name.chars().skip(1);
        !name.chars().zip(second).any(|(first, second)| is_tag([first, second]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rows_with_any_name_come_out_of_serializers(
        names in prop::collection::vec(name(), 1..6)
    ) {
        let rows: Vec<String> = names.iter().enumerate().map(|(n, name)| {
            let start = (n as u64 + 1) << 24;
            let device = if name.starts_with('/') { "fe:00 7" } else { "00:00 0" };
            let header = format!("{start:08x}-{:08x} r--p 00000000 {device} ", start + 4096);
            if name.is_empty() { header } else { format!("{header:73}{name}") }
        }).collect();
        let kinds = [
            "JSON array, pretty", "JSON array, compact", "JSON string", "JSON in JSON", "JSON, all escaped",
            "JSON lines, with level", "Docker", "Docker, parts", "logfmt", "logfmt, lines", "C literals of an array",
            "Rust Debug", "Python bytes", "Python string", "Python list", "Python pprint", "Python pprint, lines", "XML", "XML in one line",
            "XML attributes", "XML attribute with all", "UTF-16BE with BOM", "UTF-16LE with BOM",
        ];
        for (what, text) in wrapped(&rows).iter().filter(|(what, _)| kinds.contains(what)) {
            let maps = MapsReader::read(text);
            prop_assert_eq!(owned(&maps), expected(&rows), "{}: {}", what, text.escape_ascii());
        }
    }
}

#[test]
fn what_is_not_read_is_recognised() {
    let rows = lines(&plain());
    let array = serde_json::to_string(rows.as_bytes()).unwrap();
    let dump: String = rows
        .as_bytes()
        .chunks(16)
        .enumerate()
        .map(|(line, bytes)| {
            let pairs: Vec<String> = bytes
                .chunks(2)
                .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect())
                .collect();
            format!("{:08x}: {}\n", line * 16, pairs.join(" "))
        })
        .collect();
    for (text, expect) in [
        (
            "(00.11) 0xf7d30000-0xf7d31000 (4K) prot 0x3 flags 0x2 fdflags 0 st 0x41 off 0xb000 reg fp  shmid: 0x2\n",
            "the list of VMAs in a log of CRIU",
        ),
        (
            "app 1 [000] 1.0: PERF_RECORD_MMAP2 1/1: [0x5000(0x5000) @ 0x2000 08:02 17 0]: r-xp /a\n",
            "events of perf (`perf script --show-mmap-events`)",
        ),
        (
            "LEGEND: STACK | HEAP\n  Start    End Perm     Size Offset File\n  0x1000  0x2000 r--p  1000 0 /a\n",
            "pwndbg's `vmmap`",
        ),
        (
            "[ Legend:  Code | Heap | Stack ]\nStart  End  Offset  Perm Path\n0x1000 0x2000 0x0 r-- /a\n",
            "gef's `vmmap`",
        ),
        ("[0x0000000000001000-0x0000000000002000) r-x /a\n", "lldb's `memory region`"),
        (
            "maps=1000-2000+r--p+00000000+fe%3A00+7+%2Fa%0A",
            "rows in a URL or a form (percent-encoded)",
        ),
        (array.as_str(), "an array of the bytes of rows"),
        (dump.as_str(), "a hex dump"),
        ("maps: NTVkNmYwYTAwMDAwLTU1ZDZmMGEwMTAwMCByLS1wIDAwMDAwMDAw\n", "rows in base64"),
    ] {
        assert_eq!(Maps::parse(text.as_bytes()).unwrap_err().looks_like(), Some(expect), "{text}");
    }
}

#[test]
fn names_without_a_slash_are_files() {
    let row = parse_row(b"f3150000-f3de8000 r-xp 0 00:00 0   libart.so").unwrap();
    assert_eq!(row.kind().word(), "file");
    assert!(row.file_name().unwrap().ambiguous);
    assert_eq!(parse_row(b"1000-2000 r-xp 0 00:00 0 [odd]").unwrap().kind().word(), "special");
}

#[test]
fn rollups_are_no_mappings() {
    let one = "55def7fa4000-7fff73114000 ---p 00000000 00:00 0                          [rollup]\nRss:               70652 kB\n";
    let maps = MapsReader::read(one.as_bytes());
    assert_eq!((maps.processes(), maps.find(0x7f00_0000_0000).mapping), (1, None));
    // They lie below and above no address.
    for at in [0x1000, 0x7fff_ffff_f000] {
        let place = maps.find(at);
        assert_eq!((place.before, place.after), (None, None), "{at:x}");
    }
    let two = MapsReader::read(format!("{one}{one}").as_bytes());
    assert_eq!((two.processes(), two.len()), (2, 2));
    insta::assert_snapshot!(two.warnings()[0], @"these are 2 rollups: their sizes are not one sum");
}

#[test]
fn a_tombstone_of_xcrash() {
    let text = b"memory map:
    0000000012c00000-00000000133c0000 rw-        0   7c0000 [anon:dalvik-main space (region space)]
    00000000133c0000-0000000013dc0000 ---        0   a00000 >
    00000074b9bc5000-00000074b9be5000 r-x     1000    20000 /data/app/sample/lib/arm64/libxcrash.so
";
    let maps = MapsReader::read(text);
    assert_eq!(maps.len(), 3);
    assert_eq!(maps.get(1).unwrap().name, b"[anon:dalvik-main space (region space)]");
    assert_eq!(maps.get(1).unwrap().range.end, 0x13dc_0000);
    assert_eq!(maps.get(2).unwrap().perms.0, *b"r-x?");
}

#[test]
fn names_in_lines_of_their_own_are_joined() {
    // A mail whose lines were broken at the last blank that fits, and text wrapped at 72 columns.
    let parts = |end: &str, blank: &str| {
        let row = |row: &&str| match row.get(73..).filter(|name| !name.is_empty()) {
            Some(name) => format!("{}{end}\n{blank}{name}\n", row[..72].trim_ascii_end()),
            None => format!("{row}\n"),
        };
        ROWS.iter().map(row).collect::<String>()
    };
    for (end, blank) in [(" ", ""), ("", ""), ("        ", " ")] {
        let text = format!("Content-Type: text/plain; format=flowed\n\n{}", parts(end, blank));
        check("a mail", &plain(), text.as_bytes());
        let maps = MapsReader::read(text.as_bytes());
        assert_eq!(maps.warnings().last().unwrap().kind, WarningKind::Wrapped(Wrapper::Lines));
    }
    check("a listing", &plain(), parts("", "").as_bytes());
    // Other lines of a log are no names.
    let log = format!("a log\n{}\n/not/a/name\n{}\n[info] no name\n", ROWS[0], ROWS[3]);
    let maps = MapsReader::read(log.as_bytes());
    let names: Vec<_> = maps.iter().map(|row| row.name).collect();
    assert_eq!(names, [&b"/usr/bin/demo"[..], b""]);
    assert_eq!(maps.warnings(), []);
}

#[test]
fn names_that_a_terminal_broke_are_joined() {
    let terminal = |width: usize, behind: &str| {
        let row = |row: &&str| match row.split_at_checked(width) {
            Some((line, rest)) if !rest.is_empty() => format!("{line}\n{rest}\n"),
            _ => format!("{row}\n"),
        };
        let rows: String = ROWS.iter().map(row).collect();
        format!("$ cat /proc/4711/maps\n{rows}{behind}")
    };
    check("80 columns", &plain(), terminal(80, "").as_bytes());
    check("76 columns", &plain(), terminal(76, "$ exit\n").as_bytes());
    // Any width, if what stands behind can only be the rest of a path.
    let long = |width: usize, log: &str| {
        let name = "/nix/store/0c1ybk0sahvi3bm9gpz5a0nsk61xx3lq-demo-1.2/bin/demo";
        let row =
            |start: u32| format!("{start}000-{start}800 r-xp 00000000 fe:00 7{:33}{name}", "");
        let rows = [row(1), row(3), "5000-6000 rw-p 00000000 00:00 0 ".to_owned()];
        let broken = rows.each_ref().map(|row| format!("{log}{row}"));
        let broken = broken.map(|row| match row.split_at_checked(width) {
            Some((line, rest)) => format!("{line}\n{rest}"),
            None => row,
        });
        (rows, lines(&broken))
    };
    for (width, log) in [(75, ""), (85, ""), (94, "app: "), (105, ""), (113, "[1] ")] {
        let (rows, text) = long(width, log);
        check("any width", &rows, format!("$ cat maps\n{text}").as_bytes());
    }
    let (_, text) = long(85, "");
    let maps =
        MapsReader::read(format!("$ cat maps\n{}", text.replace("-demo", "- demo")).as_bytes());
    insta::assert_snapshot!(maps.warnings()[0], @"the 2 longest rows are of one length, with other lines behind them: their names may go on there");
    // Other lines stand between the rows of a log.
    let log: String = ROWS.iter().map(|row| format!("{row}\nnext\n")).collect();
    check("a log", &plain(), format!("a log\n{log}").as_bytes());
    let same = ROWS[..2].iter().map(|row| format!("{row}\nnext\n")).collect::<String>();
    check("rows of equal lengths", &plain()[..2], format!("a log\n{same}").as_bytes());
}
