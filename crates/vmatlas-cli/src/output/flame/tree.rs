//! A tree of stacks merged by common callers, and the choice of frames to draw.

use std::collections::BTreeMap;

/// The most frames of a stack, with the root; deeper frames are left out.
const MAX_DEPTH: usize = 512;

/// A frame to draw.
#[derive(Debug, PartialEq)]
pub(super) struct Frame<'a> {
    /// The name; `None` for several merged frames.
    pub(super) name: Option<&'a str>,
    /// The number of merged frames.
    pub(super) merged: usize,
    /// The depth; 0 for the root.
    pub(super) depth: usize,
    /// The number of bytes to the left of the frame.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

struct Node<'a> {
    name: &'a str,
    /// The bytes of the node and its children.
    bytes: u64,
    /// The children by name, in drawing order.
    children: BTreeMap<&'a str, usize>,
}

/// Stacks merged by common callers. The first node is the root.
pub(super) struct Tree<'a>(Vec<Node<'a>>);

impl<'a> Tree<'a> {
    /// Parses folded stacks: frames separated by `;`, a blank, and bytes. Other lines are ignored.
    pub(super) fn read(folded: &'a str) -> Tree<'a> {
        let mut nodes = vec![Node { name: "all", bytes: 0, children: BTreeMap::new() }];
        for line in folded.lines() {
            let Some((stack, bytes)) = line.rsplit_once(' ') else { continue };
            let Ok(bytes) = bytes.parse::<u64>() else { continue };
            // The root is the total, so if it does not overflow, no other sum does.
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

    /// The total bytes of all stacks.
    pub(super) fn total(&self) -> u64 {
        self.0[0].bytes
    }

    /// Selects the frames to draw, from the root on, each before its callees, from left to right.
    /// It takes the largest ones: at most `most`, of at least `narrow` bytes each. The other
    /// callees of a frame are merged into one, at the right.
    pub(super) fn frames(&self, most: usize, narrow: f64) -> Vec<Frame<'a>> {
        let mut sizes: Vec<u64> = self.0.iter().map(|node| node.bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let first_too_many = sizes.get(most).copied().unwrap_or(0);
        let drawn = |node: &Node<'_>| node.bytes as f64 >= narrow && node.bytes > first_too_many;
        let mut frames = Vec::new();
        // A child is never larger than its parent, so the callers of each drawn frame are drawn,
        // too.
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
