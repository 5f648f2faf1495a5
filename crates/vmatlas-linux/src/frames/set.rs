//! Sets of page frames, each with a number from the one who collected them.

/// Frames of a block of the bitmap: 128 MiB of pages of 4 KiB, in 4 KiB.
const BLOCK: u64 = 32 << 10;
const WORDS: usize = (BLOCK / 64) as usize;

/// A block of the bitmap.
struct Block {
    words: [u64; WORDS],
    /// The number of frames before each word; filled when the set is complete.
    before: [u16; WORDS],
    /// The number of frames before the block.
    first: usize,
}

/// A set of frames in the making.
#[derive(Default)]
pub struct FrameSetBuilder {
    blocks: Vec<Option<Box<Block>>>,
    /// Each frame as it was added, with its number.
    added: Vec<(u64, u32)>,
}

/// Frames, each with a place from 0 in their order, and a number. It takes 16 bytes for each frame
/// while it is made, then 4 and some bits.
pub struct FrameSet {
    blocks: Vec<Option<Box<Block>>>,
    numbers: Vec<u32>,
}

impl FrameSetBuilder {
    /// Adds a frame with a number; of a frame that is added several times the first counts.
    pub fn add(&mut self, frame: u64, number: u32) {
        let Ok(block) = usize::try_from(frame / BLOCK) else { return };
        if block >= self.blocks.len() {
            self.blocks.resize_with(block + 1, || None);
        }
        let new = || Box::new(Block { words: [0; WORDS], before: [0; WORDS], first: 0 });
        let block = self.blocks[block].get_or_insert_with(new);
        let (word, bit) = ((frame % BLOCK / 64) as usize, 1 << (frame % 64));
        if block.words[word] & bit == 0 {
            block.words[word] |= bit;
            self.added.push((frame, number));
        }
    }

    /// The set.
    pub fn finish(self) -> FrameSet {
        let FrameSetBuilder { mut blocks, added } = self;
        let mut first = 0;
        for block in blocks.iter_mut().flatten() {
            block.first = first;
            let mut before = 0u16;
            for (word, place) in block.words.iter().zip(&mut block.before) {
                *place = before;
                before += word.count_ones() as u16;
            }
            first += usize::from(before);
        }
        let mut set = FrameSet { blocks, numbers: vec![0; added.len()] };
        for (frame, number) in added {
            if let Some(place) = set.place(frame) {
                set.numbers[place] = number;
            }
        }
        set
    }
}

impl FrameSet {
    /// The number of frames.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The place of a frame in the order of all frames; `None` if the set does not have it.
    #[inline]
    pub fn place(&self, frame: u64) -> Option<usize> {
        let block = self.blocks.get(usize::try_from(frame / BLOCK).ok()?)?.as_ref()?;
        let (word, bit) = ((frame % BLOCK / 64) as usize, 1u64 << (frame % 64));
        let bits = block.words[word];
        let below = (bits & (bit - 1)).count_ones() as usize;
        (bits & bit != 0).then_some(block.first + usize::from(block.before[word]) + below)
    }

    /// The number of the frame at a place.
    pub fn number(&self, place: usize) -> u32 {
        self.numbers[place]
    }

    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = u64> + '_ {
        let blocks =
            self.blocks.iter().enumerate().filter_map(|(at, block)| Some((at, block.as_ref()?)));
        blocks.flat_map(|(at, block)| {
            let first = at as u64 * BLOCK;
            block.words.iter().enumerate().flat_map(move |(word, &bits)| {
                let first = first + word as u64 * 64;
                (0..64).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| first + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::FrameSetBuilder;

    #[test]
    fn places_are_in_order() {
        // By a simple generator: frames of three far regions, some of them twice.
        let mut state = 7u64;
        let mut frames = Vec::new();
        for _ in 0..5000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            frames.push((state >> 33) % 3 * 1_000_000 + (state >> 40) % 40_000 + 1);
        }
        let mut builder = FrameSetBuilder::default();
        frames.iter().enumerate().for_each(|(at, frame)| builder.add(*frame, at as u32));
        let set = builder.finish();
        let mut sorted = frames.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(set.len(), sorted.len());
        assert!(set.frames().eq(sorted.iter().copied()));
        for (place, frame) in sorted.iter().enumerate() {
            assert_eq!(set.place(*frame), Some(place));
            let first = frames.iter().position(|other| other == frame).unwrap();
            assert_eq!(set.number(place), first as u32);
        }
        for frame in [0, 41_000, 999_999, 3_000_000, u64::MAX] {
            assert_eq!(set.place(frame), None);
        }
        assert!(FrameSetBuilder::default().finish().is_empty());
    }
}
