//! Numbers out of the bytes that a fuzzer gives; zeros once there are no more.

/// Bytes that have not been used yet.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Starts with all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// Takes a number of milliseconds.
    pub fn millis(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }

    /// Takes a number from 0 to 65,535.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// Takes all that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
