//! Address: where a piece of state belongs.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use super::RANGES;

/// A range of keys within a part of the stream. It is the place of a slot among an operator's slots,
/// of a slot's rows among fired rows, and of a chunk in a snapshot.
///
/// Today every stream is one part, 0: the keys of all its partitions are divided by range alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Number of the part.
    pub part: u32,
    /// Number of the range, below [`RANGES`].
    pub range: u32,
}

impl Address {
    /// A range of part 0.
    pub const fn of_range(range: usize) -> Address {
        Address { part: 0, range: range as u32 }
    }

    /// All ranges of part 0, in order.
    pub fn all() -> impl Iterator<Item = Address> {
        (0..RANGES).map(Address::of_range)
    }

    /// The place of the range in an array of all ranges.
    #[inline]
    pub fn index(self) -> usize {
        self.range as usize
    }
}

/// As in the name of a chunk: `range`, or `part.range` if it is not of part 0.
impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.part {
            0 => write!(f, "{}", self.range),
            part => write!(f, "{part}.{}", self.range),
        }
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Address, ()> {
        let number = |text: &str| text.parse::<u32>().map_err(drop);
        let (part, range) = match text.split_once('.') {
            Some((part, range)) => (number(part)?, number(range)?),
            None => (0, number(text)?),
        };
        let address = Address { part, range };
        let is_valid = range < RANGES as u32 && address.to_string() == text;
        is_valid.then_some(address).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_address() {
        for part in [0, 1, u32::MAX] {
            for range in [0, 9, RANGES as u32 - 1] {
                let address = Address { part, range };
                assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
        assert_eq!(Address::of_range(7).to_string(), "7");
        for bad in ["", "x", "64", "-1", "0.3", "1.64", "1.2.3", "07", "+3", "1."] {
            assert_eq!(bad.parse::<Address>(), Err(()), "{bad}");
        }
    }
}
