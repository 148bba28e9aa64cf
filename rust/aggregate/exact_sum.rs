//! Float sums without error: two doubles while they hold the sum exactly, a superaccumulator else.
//!
//! # Why the value depends on nothing but the rows
//! In a cell that owns no heap part, `hi + lo` *is* the sum: `two_sum` gives a rounded sum and its
//! exact error, and a step is taken only if the last error, the third component, is zero. One
//! addition of two doubles is correctly rounded by IEEE 754, so `hi + lo` computed in `f64` is the
//! correctly rounded exact sum, whichever of the many pairs with that sum the cell holds. The
//! superaccumulator rounds the same exact number by the same rule. So promotion, demotion, order,
//! merges and cuts cannot be seen in the value; the tests compare both over random sums.
//!
//! # Signed zero
//! A sum that is zero is `+0.0`, also that of `-0.0` alone: the sign of an exact zero would depend
//! on the order. `hi` and `lo` start at `+0.0` and an addition gives `-0.0` only from two of them.

use super::codec::{damaged, put_u64, take_count, take_u64};
use super::fixed_point::FixedPoint;
use super::heap::{Big, Heap};
use super::hot::{Cell, CellRef};
use crate::error::Result;
use crate::limits::DEMOTE_EVERY;

/// Words of a sum: hi, lo, number of rows. If a superaccumulator is used, its handle replaces hi,
/// and the top bit of the number is set.
pub const WORDS: usize = 3;
const HI: usize = 0;
const LO: usize = 1;
const COUNT: usize = 2;
const HANDLE: usize = HI;
const BIG: u64 = 1 << 63;

/// Sums of two doubles stay below this, which keeps every step of `two_sum` from overflowing:
/// either the other operand is below 2^1023, or the difference of both is exact (Sterbenz).
const LIMIT: f64 = f64::from_bits((1022 + 1023) << 52);

/// The rounded sum and its exact error (Knuth).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// Adds a value; NaN is skipped.
#[inline(always)]
pub fn add(cell: Cell<'_>, x: f64) {
    if step(cell.words, x) {
        cell.words[COUNT] += 1;
    } else {
        add_slow(cell, x);
    }
}

/// Removes a value that was added before.
#[inline(always)]
pub fn subtract(cell: Cell<'_>, x: f64) {
    if rows(cell.words) > 1 && step(cell.words, -x) {
        cell.words[COUNT] -= 1;
    } else {
        subtract_slow(cell, x);
    }
}

/// Adds in two doubles; returns false, and changes nothing, if they cannot represent the sum
/// exactly.
///
/// NaN and infinities fail the test against `LIMIT`. `lo` needs no test: it grows by at most 2^969
/// per step.
#[inline(always)]
fn step(words: &mut [u64], x: f64) -> bool {
    let (hi, error) = two_sum(f64::from_bits(words[HI]), x);
    let (lo, rest) = two_sum(f64::from_bits(words[LO]), error);
    let exact = words[COUNT] & BIG == 0 && rest == 0.0 && hi.abs() < LIMIT;
    if exact {
        words[HI] = hi.to_bits();
        words[LO] = lo.to_bits();
    }
    exact
}

#[inline(never)]
fn add_slow(cell: Cell<'_>, x: f64) {
    if !x.is_nan() {
        cell.words[COUNT] += 1;
        if let Some(big) = promote(cell.words, cell.heap) {
            big.add(x);
        }
    }
}

#[inline(never)]
fn subtract_slow(cell: Cell<'_>, x: f64) {
    if x.is_nan() || rows(cell.words) == 0 {
        return;
    }
    cell.words[COUNT] -= 1;
    if rows(cell.words) == 0 {
        return clear(cell);
    }
    if let Some(big) = promote(cell.words, cell.heap) {
        big.subtract(x);
        if x.is_infinite() || rows(cell.words).is_multiple_of(DEMOTE_EVERY as u64) {
            demote(cell);
        }
    }
}

/// The superaccumulator of a cell, created from its two doubles if needed.
fn promote<'a>(words: &mut [u64], heap: &'a mut Heap) -> Option<&'a mut FixedPoint> {
    if words[COUNT] & BIG == 0 {
        let mut big = FixedPoint::new();
        big.add(f64::from_bits(words[HI]));
        big.add(f64::from_bits(words[LO]));
        keep(words, heap, big);
    }
    heap.exact_mut(words[HANDLE] as u32)
}

/// Replaces the two doubles by a superaccumulator.
fn keep(words: &mut [u64], heap: &mut Heap, big: FixedPoint) {
    (words[HANDLE], words[LO]) = (heap.alloc(Big::Exact(Box::new(big))).into(), 0);
    words[COUNT] |= BIG;
}

/// Number of values in a cell.
#[inline(always)]
fn rows(words: &[u64]) -> u64 {
    words[COUNT] & !BIG
}

/// Returns to two doubles if they suffice, so that an outlier costs nothing once it has left.
fn demote(cell: Cell<'_>) {
    if let Some((hi, lo)) = big(cell.peek()).and_then(FixedPoint::pair) {
        cell.heap.free(cell.words[HANDLE] as u32);
        (cell.words[HI], cell.words[LO]) = (hi.to_bits(), lo.to_bits());
        cell.words[COUNT] &= !BIG;
    }
}

#[inline(always)]
fn big(cell: CellRef<'_>) -> Option<&FixedPoint> {
    if cell.words[COUNT] & BIG == 0 {
        return None;
    }
    match cell.heap.get(cell.words[HANDLE] as u32)? {
        Big::Exact(big) => Some(big),
        Big::Distinct(_) | Big::Bytes(_) | Big::Own(_) => None,
    }
}

/// Adds all values of another cell.
pub fn merge(into: Cell<'_>, from: CellRef<'_>) {
    into.words[COUNT] += rows(from.words);
    match big(from) {
        Some(other) => {
            if let Some(own) = promote(into.words, into.heap) {
                own.merge(other);
            }
        }
        None => {
            for x in [f64::from_bits(from.words[HI]), f64::from_bits(from.words[LO])] {
                if !step(into.words, x)
                    && let Some(own) = promote(into.words, into.heap)
                {
                    own.add(x);
                }
            }
        }
    }
}

/// Number of values.
#[inline(always)]
pub fn count(cell: CellRef<'_>) -> u64 {
    rows(cell.words)
}

/// The correctly rounded sum (`math.fsum`, with infinities by IEEE 754); `None` if there are no
/// values.
#[inline(always)]
pub fn value(cell: CellRef<'_>) -> Option<f64> {
    let pair = || f64::from_bits(cell.words[HI]) + f64::from_bits(cell.words[LO]);
    (rows(cell.words) > 0).then(|| big(cell).map_or_else(pair, FixedPoint::value))
}

/// Resets the cell.
pub fn clear(cell: Cell<'_>) {
    if cell.words[COUNT] & BIG != 0 {
        cell.heap.free(cell.words[HANDLE] as u32);
    }
    cell.words.fill(0);
}

/// Appends the count and the exact sum; the sum as (rounded sum, rest) if two doubles suffice.
pub fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
    put_u64(out, rows(cell.words));
    if rows(cell.words) == 0 {
        return;
    }
    let own = || Some(two_sum(f64::from_bits(cell.words[HI]), f64::from_bits(cell.words[LO])));
    let big = big(cell);
    match big.map_or_else(own, FixedPoint::pair) {
        Some((hi, lo)) => {
            out.push(0);
            put_u64(out, hi.to_bits());
            put_u64(out, lo.to_bits());
        }
        None => {
            out.push(1);
            big.into_iter().for_each(|big| big.save(out));
        }
    }
}

/// Loads what `save` wrote into an empty cell.
pub fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
    let count = take_count(bytes)?;
    if count == 0 {
        return Ok(());
    }
    let (tag, rest) = bytes.split_first().ok_or_else(|| damaged("it ends early"))?;
    *bytes = rest;
    match tag {
        0 => {
            let (hi, lo) = (take_u64(bytes)?, take_u64(bytes)?);
            let (a, b) = two_sum(f64::from_bits(hi), f64::from_bits(lo));
            if !a.is_finite() || (a.to_bits(), b.to_bits()) != (hi, lo) {
                return Err(damaged("a float sum"));
            }
            (cell.words[HI], cell.words[LO]) = (hi, lo);
        }
        1 => {
            let big = FixedPoint::load(bytes, count)?;
            keep(cell.words, cell.heap, big);
        }
        _ => return Err(damaged("a kind of float sum")),
    }
    cell.words[COUNT] |= count;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::hot::StateRows;
    use super::*;

    /// One row.
    struct TestSum(StateRows);

    impl TestSum {
        fn sum_of(values: &[f64]) -> TestSum {
            let mut hot = StateRows::new(WORDS);
            hot.push();
            let mut sum = TestSum(hot);
            values.iter().for_each(|v| add(sum.cell(), *v));
            sum
        }

        fn cell(&mut self) -> Cell<'_> {
            self.0.cell(0, 0, WORDS)
        }

        fn peek(&self) -> CellRef<'_> {
            self.0.peek(0, 0, WORDS)
        }

        fn saved(&self) -> Vec<u8> {
            let mut out = Vec::new();
            save(self.peek(), &mut out);
            out
        }
    }

    /// xorshift: fast enough for a million cases.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn float(state: &mut u64) -> f64 {
        let bits = random(state);
        match random(state) % 8 {
            0 => f64::from_bits(bits & !(0x7ff << 52) | (bits >> 52 & 3) << 52),
            1 => f64::from_bits(bits & !(0x7ff << 52) | (2043 + (bits >> 52 & 3)) << 52),
            2 => (bits as i64 >> 40) as f64,
            3 => (bits as i64 >> 44) as f64 * 0.5f64.powi((bits % 120) as i32),
            _ => f64::from_bits(bits & !(0x7ff << 52) | (963 + (bits >> 52 & 127)) << 52),
        }
    }

    #[test]
    fn a_million_sums_equal_the_superaccumulator() {
        let mut state = 0x9E37_79B9_7F4A_7C15;
        let mut promoted = 0;
        for _ in 0..1_000_000 {
            let values: [f64; 4] = std::array::from_fn(|_| float(&mut state));
            let values = &values[..1 + (random(&mut state) % 4) as usize];
            let mut exact = FixedPoint::new();
            values.iter().for_each(|v| exact.add(*v));
            let mut sum = TestSum::sum_of(values);
            promoted += u32::from(big(sum.peek()).is_some());
            assert_eq!(value(sum.peek()).unwrap().to_bits(), exact.value().to_bits(), "{values:?}");
            let last = values[values.len() - 1];
            exact.subtract(last);
            subtract(sum.cell(), last);
            let left = value(sum.peek()).unwrap_or(0.0);
            assert_eq!(left.to_bits(), exact.value().to_bits(), "{values:?}");
        }
        assert!((100_000..900_000).contains(&promoted), "{promoted}");
    }

    #[test]
    fn what_left_leaves_no_trace() {
        let cases: [(&[f64], &[f64], f64); 4] = [
            (&[0.01, 1e20, 1e40], &[1e40, 1e20], 0.01),
            (&[1.0, f64::INFINITY], &[f64::INFINITY], 1.0),
            (&[1.7e308, 1.7e308], &[1.7e308], 1.7e308),
            (&[0.1, 1e13, 0.2, 0.3], &[1e13, 0.1, 0.2], 0.3),
        ];
        for (values, left, expected) in cases {
            let mut sum = TestSum::sum_of(values);
            left.iter().for_each(|v| subtract(sum.cell(), *v));
            assert_eq!(value(sum.peek()), Some(expected));
            subtract(sum.cell(), expected);
            assert_eq!((value(sum.peek()), sum.peek().words), (None, &[0; WORDS][..]));
            assert!(sum.0.heap().is_empty());
        }
    }

    #[test]
    fn bytes_depend_on_the_exact_sum_alone() {
        let plain = TestSum::sum_of(&[0.1, 0.2, 0.3, 0.4]);
        let mut wild = TestSum::sum_of(&[1e300, 1e-300, 0.4, 0.3, 0.2, 0.1]);
        subtract(wild.cell(), 1e300);
        subtract(wild.cell(), 1e-300);
        let demoted = crate::limits::SMALL;
        assert!(demoted || big(wild.peek()).is_some());
        assert!(big(plain.peek()).is_none());
        assert_eq!(wild.saved(), plain.saved());
        demote(wild.cell());
        assert!(big(wild.peek()).is_none());
        assert_eq!(wild.saved(), plain.saved());
    }

    #[test]
    fn zero_has_no_sign_and_nan_is_skipped() {
        assert_eq!(value(TestSum::sum_of(&[-0.0, -0.0]).peek()).unwrap().to_bits(), 0);
        assert_eq!(value(TestSum::sum_of(&[f64::NAN]).peek()), None);
        let both = TestSum::sum_of(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        assert!(value(both.peek()).unwrap().is_nan());
        assert_eq!(count(both.peek()), 2);
    }
}
