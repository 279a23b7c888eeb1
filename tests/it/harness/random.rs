//! Random numbers that a test can be run with again.

use std::ops::Range;

use super::Tested;

/// Sets the seed of every test of a run.
const VARIABLE: &str = "PALIADIN_TEST_SEED";

/// A generator (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A generator whose seed is printed, so that a failure can be repeated.
    pub fn seeded() -> Tested<Self> {
        Self::seeded_by(VARIABLE)
    }

    /// The same, with the seed that this variable sets.
    pub fn seeded_by(variable: &str) -> Tested<Self> {
        let seed = match std::env::var(variable) {
            Ok(seed) => seed.parse()?,
            Err(_) => getrandom::u64()?,
        };
        println!("seed: {variable}={seed}");
        Ok(Self(seed | 1))
    }

    /// Another generator, whose numbers this one decides.
    pub fn fork(&mut self) -> Self {
        Self(self.number() | 1)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number of a range.
    pub fn below(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// Whether it is that one of so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(0..times) == 0
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(0..all.len() as u64) as usize]
    }

    /// Exactly so many bytes of printable text with newlines, of characters of one to four bytes.
    pub fn printable(&mut self, bytes: usize) -> String {
        const BLOCKS: [(u32, u32); 7] = [
            (0x20, 0x7f),
            (0x20, 0x7f),
            (0xa1, 0x180),
            (0x391, 0x3a2),
            (0x4e00, 0x9fa0),
            (0x3041, 0x3097),
            (0x1f600, 0x1f640),
        ];
        let mut text = String::with_capacity(bytes);
        while text.len() < bytes {
            let (from, to) = BLOCKS[self.below(0..BLOCKS.len() as u64) as usize];
            let code = self.below(u64::from(from)..u64::from(to)) as u32;
            let next = if self.below(0..60) == 0 { '\n' } else { char::from_u32(code).unwrap_or('?') };
            text.push(if text.len() + next.len_utf8() > bytes { '.' } else { next });
        }
        text
    }
}
