//! A flame graph as one SVG file. It is readable without scripts; with them it can be zoomed and
//! searched. Its root is at the top, where reading begins: stacks of interpreters are hundreds of
//! frames deep.
//!
//! Every name in the graph may come from a hostile process. Names are only ever XML text: the
//! script is the same for every graph, reads names as text and writes them as text.

mod tree;

use std::fmt::Write as _;
use tree::{Frame, Tree};
use vmatlas::words::printable;

/// The width of the picture, in pixels.
const WIDTH: f64 = 1200.0;
/// The margin left and right of the frames, in pixels.
const MARGIN: f64 = 10.0;
/// The height above the frames, in pixels: the title, the buttons, the frame under the pointer, and
/// the share of the search matches.
const ABOVE: f64 = 58.0;
/// The height of a frame with the gap to the next, in pixels.
const ROW: f64 = 17.0;
/// The width of a letter, in pixels. The font is monospaced, so text can be cut without measuring
/// it.
const LETTER: f64 = 7.25;
/// The least width of a frame that is drawn by itself, in pixels. Narrower ones are merged.
const NARROW: f64 = 0.1;
/// The most frames that are drawn by themselves.
const MAX_FRAMES: usize = 10_000;
/// The most letters of a name.
const MAX_NAME: usize = 500;

const STYLE: &str = "\
text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#111}\
#frames text{pointer-events:none}\
#frames g{cursor:pointer}\
#frames g:hover rect{stroke:#111;stroke-width:.7}\
#frames g.caller{opacity:.5}\
#frames g.found rect{fill:#d63ad6}\
.button{cursor:pointer;fill:#1a4e8a}\
.off{display:none}\
#title{font-size:16px}";

const SCRIPT: &str = include_str!("flame/flame.js");

/// Draws folded stacks. Each line holds frames separated by `;`, outermost first, then a blank and
/// the bytes. Returns `None` if there are no bytes.
pub(crate) fn svg(title: &str, folded: &str) -> Option<String> {
    let tree = Tree::read(folded);
    let total = tree.total();
    if total == 0 {
        return None;
    }
    let scale = (WIDTH - 2.0 * MARGIN) / total as f64;
    let frames = tree.frames(MAX_FRAMES, NARROW / scale);
    let rows = frames.iter().map(|frame| frame.depth).max().unwrap_or(0) + 1;
    let height = ABOVE + rows as f64 * ROW + MARGIN;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fbfaf5\"/>\n\
         <text id=\"title\" x=\"{}\" y=\"24\" text-anchor=\"middle\">{}</text>\n\
         <text id=\"reset\" class=\"button off\" x=\"{MARGIN}\" y=\"24\">Reset zoom</text>\n\
         <text id=\"search\" class=\"button off\" x=\"{}\" y=\"24\" text-anchor=\"end\">Search</text>\n\
         <text id=\"about\" x=\"{MARGIN}\" y=\"48\"></text>\n\
         <text id=\"found\" x=\"{}\" y=\"48\" text-anchor=\"end\"></text>\n\
         <g id=\"frames\" data-total=\"{total}\" data-left=\"{MARGIN}\" data-width=\"{}\" data-letter=\"{LETTER}\">\n",
            WIDTH / 2.0,
            text(title),
            WIDTH - MARGIN,
            WIDTH - MARGIN,
            WIDTH - 2.0 * MARGIN,
        ),
    );
    for frame in &frames {
        draw(&mut out, frame, total, scale);
    }
    push(&mut out, format_args!("</g>\n<script><![CDATA[\n{SCRIPT}]]></script>\n</svg>\n"));
    Some(out)
}

fn draw(out: &mut String, frame: &Frame<'_>, total: u64, scale: f64) {
    let (x, width) = (MARGIN + frame.start as f64 * scale, frame.bytes as f64 * scale);
    let y = ABOVE + frame.depth as f64 * ROW;
    let (name, colour) = match frame.name {
        Some(name) => (name.to_owned(), colour(name)),
        None => (format!("{} frames that are not drawn each", frame.merged), "#c8c8c8".to_owned()),
    };
    let name = text(&name);
    let class = if frame.name.is_none() { "class=\"merged\" " } else { "" };
    push(
        out,
        format_args!(
            "<g {class}data-start=\"{}\" data-bytes=\"{}\" data-depth=\"{}\"><title>{name} ({} bytes, {:.2}%)</title>\
         <rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" rx=\"1\" fill=\"{colour}\"/>",
            frame.start,
            frame.bytes,
            frame.depth,
            grouped(frame.bytes),
            frame.bytes as f64 * 100.0 / total as f64,
            ROW - 1.0,
        ),
    );
    if let Some(label) = fitting(&name, width) {
        push(out, format_args!("<text x=\"{:.2}\" y=\"{}\">{label}</text>", x + 3.0, y + 12.0));
    }
    out.push_str("</g>\n");
}

/// Cuts an escaped name to the width of a frame, exactly as the script does.
fn fitting(escaped: &str, width: f64) -> Option<String> {
    let room = ((width - 6.0) / LETTER).floor();
    if room < 3.0 {
        return None;
    }
    let room = room as usize;
    // An entity counts as one letter.
    let mut letters = Vec::new();
    let mut rest = escaped;
    while let Some(first) = rest.chars().next() {
        let entity = if first == '&' { rest.find(';').map_or(1, |end| end + 1) } else { 0 };
        let (letter, next) = rest.split_at(entity.max(first.len_utf8()));
        letters.push(letter);
        rest = next;
    }
    if letters.len() <= room {
        return Some(escaped.to_owned());
    }
    Some(letters[..room - 2].concat() + "..")
}

/// Escapes a name as short XML text without control characters.
fn text(name: &str) -> String {
    let printable = printable(name.as_bytes());
    let mut text = String::with_capacity(printable.len());
    for (at, letter) in printable.chars().enumerate() {
        if at == MAX_NAME {
            text.push('…');
            break;
        }
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            // XML does not allow these characters.
            '\u{fffe}' | '\u{ffff}' => text.extend(letter.escape_unicode()),
            letter => text.push(letter),
        }
    }
    text
}

/// A green or blue that depends only on the name.
fn colour(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let (a, b, c) = (hash >> 16 & 0xff, hash >> 32 & 0xff, hash >> 48 & 0xff);
    format!("#{:02x}{:02x}{:02x}", 90 + a * 70 / 255, 195 + b * 45 / 255, 110 + c * 110 / 255)
}

/// Formats a number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && at % 3 == digits.len() % 3 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a string takes all");
}

#[cfg(test)]
mod tests;
