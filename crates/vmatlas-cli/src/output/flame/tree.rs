//! Stacks merged where they begin alike, and the frames of them that are drawn.

use std::collections::BTreeMap;

/// The most frames of a stack, with the root; the innermost beyond are left out.
const MAX_DEPTH: usize = 512;

/// A frame to draw.
#[derive(Debug, PartialEq)]
pub(super) struct Frame<'a> {
    /// `None` for several that are drawn together.
    pub(super) name: Option<&'a str>,
    /// How many are drawn together.
    pub(super) merged: usize,
    /// 0 for the root.
    pub(super) depth: usize,
    /// How many bytes lie left of it.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

struct Node<'a> {
    name: &'a str,
    /// With those of its children.
    bytes: u64,
    /// By name, in which order they are drawn.
    children: BTreeMap<&'a str, usize>,
}

/// Stacks merged where they begin alike. The first node is the root.
pub(super) struct Tree<'a>(Vec<Node<'a>>);

impl<'a> Tree<'a> {
    /// Reads lines of frames with `;` between, a blank, and bytes; other lines count nothing.
    pub(super) fn read(folded: &'a str) -> Tree<'a> {
        let mut nodes = vec![Node { name: "all", bytes: 0, children: BTreeMap::new() }];
        for line in folded.lines() {
            let Some((stack, bytes)) = line.rsplit_once(' ') else { continue };
            let Ok(bytes) = bytes.parse::<u64>() else { continue };
            // The root is the sum of all, so no sum can be larger than it.
            let Some(total) = nodes[0].bytes.checked_add(bytes) else { continue };
            nodes[0].bytes = total;
            let mut at = 0;
            for name in stack.split(';').take(MAX_DEPTH - 1) {
                let next = nodes.len();
                let child = *nodes[at].children.entry(name).or_insert(next);
                if child == next {
                    nodes.push(Node { name, bytes: 0, children: BTreeMap::new() });
                }
                nodes[child].bytes += bytes;
                at = child;
            }
        }
        Tree(nodes)
    }

    /// The bytes of all stacks.
    pub(super) fn total(&self) -> u64 {
        self.0[0].bytes
    }

    /// The frames from the root on, each before its callees, from left to right: at most `most` of
    /// at least `narrow` bytes each, the largest. The other callees of a frame are drawn as one, at
    /// the right.
    pub(super) fn frames(&self, most: usize, narrow: f64) -> Vec<Frame<'a>> {
        let mut sizes: Vec<u64> = self.0.iter().map(|node| node.bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let first_too_many = sizes.get(most).copied().unwrap_or(0);
        let drawn = |node: &Node<'_>| node.bytes as f64 >= narrow && node.bytes > first_too_many;
        let mut frames = Vec::new();
        // A child is never larger than its parent, so the callers of what is drawn are drawn.
        let mut open = vec![(Some(0), 0, 0)];
        let mut merged: Vec<(usize, u64)> = Vec::new();
        while let Some((at, depth, start)) = open.pop() {
            let Some(at) = at else {
                let (merged, bytes) = merged.pop().expect("one for each in `open`");
                frames.push(Frame { name: None, merged, depth, start, bytes });
                continue;
            };
            let node: &Node<'a> = &self.0[at];
            let (name, bytes) = (Some(node.name), node.bytes);
            frames.push(Frame { name, merged: 0, depth, start, bytes });
            let (wide, thin): (Vec<usize>, Vec<usize>) =
                node.children.values().partition(|&&child| drawn(&self.0[child]));
            let first = open.len();
            let mut start = start;
            for child in wide {
                open.push((Some(child), depth + 1, start));
                start += self.0[child].bytes;
            }
            let bytes = thin.iter().map(|&child| self.0[child].bytes).sum::<u64>();
            if bytes > 0 && bytes as f64 >= narrow {
                open.push((None, depth + 1, start));
                merged.push((thin.len(), bytes));
            }
            open[first..].reverse();
        }
        frames
    }
}
