//! Integer sums in two's complement, wide enough that no number of rows can overflow them.

use super::codec::{damaged, put_u64, take_count, take_u64};
use super::hot::{Cell, CellRef};
use crate::error::Result;

/// A sum in `LIMBS` words followed by the number of rows.
///
/// Two limbs hold 2^63 values of up to 64 bits; three hold as many decimals.
#[derive(Debug)]
pub struct IntegerSum<const LIMBS: usize>;

/// 10^38: the absolute value of a decimal is below this.
const DECIMAL_END: u128 = 10u128.pow(38);

impl<const LIMBS: usize> IntegerSum<LIMBS> {
    /// Words of a cell.
    pub const WORDS: usize = LIMBS + 1;

    /// Adds a value.
    #[inline(always)]
    pub fn add(words: &mut [u64], value: i128) {
        Self::add_limbs(words, Self::widen(value));
        words[LIMBS] += 1;
    }

    /// Removes a value that was added before.
    #[inline(always)]
    pub fn subtract(words: &mut [u64], value: i128) {
        let mut carry = true;
        let negated = Self::widen(value).map(|limb| {
            let (limb, over) = (!limb).overflowing_add(u64::from(carry));
            carry = over;
            limb
        });
        Self::add_limbs(words, negated);
        words[LIMBS] = words[LIMBS].saturating_sub(1);
    }

    /// Adds all values of another cell.
    pub fn merge(into: &mut [u64], from: &[u64]) {
        Self::add_limbs(into, std::array::from_fn(|i| from[i]));
        into[LIMBS] += from[LIMBS];
    }

    #[inline(always)]
    fn widen(value: i128) -> [u64; LIMBS] {
        std::array::from_fn(|i| (value >> (64 * i).min(127)) as u64)
    }

    #[inline(always)]
    fn add_limbs(words: &mut [u64], parts: [u64; LIMBS]) {
        let mut carry = false;
        for (limb, part) in words.iter_mut().zip(parts) {
            let (sum, over) = limb.overflowing_add(part);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over | again);
        }
    }

    /// Number of rows.
    pub fn count(words: &[u64]) -> u64 {
        words[LIMBS]
    }

    /// The sum, or `None` if it does not fit.
    pub fn total(words: &[u64]) -> Option<i128> {
        let low = (u128::from(words[1]) << 64 | u128::from(words[0])) as i128;
        let sign = if low < 0 { u64::MAX } else { 0 };
        words[2..LIMBS].iter().all(|limb| *limb == sign).then_some(low)
    }

    /// The sum as an unscaled decimal of 38 digits, or `None` if it has more.
    pub fn decimal(words: &[u64]) -> Option<i128> {
        Self::total(words).filter(|total| total.unsigned_abs() < DECIMAL_END)
    }

    /// The float nearest to sum / 10^scale.
    pub fn scaled(words: &[u64], scale: i8) -> f64 {
        match Self::total(words) {
            Some(total) if scale == 0 => total as f64,
            // Both operands are exact as floats, so the quotient is rounded only once.
            Some(total) if total.unsigned_abs() < 1 << 53 && (1..=22).contains(&scale) => {
                total as f64 / 10u128.pow(scale as u32) as f64
            }
            _ => nearest(words, LIMBS, scale),
        }
    }

    /// Appends count and sum.
    pub fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[LIMBS]);
        if cell.words[LIMBS] > 0 {
            cell.words[..LIMBS].iter().for_each(|limb| put_u64(out, *limb));
        }
    }

    /// Reads what `save` wrote.
    pub fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let count = take_count(bytes)?;
        if count == 0 {
            return Ok(());
        }
        let mut limbs = [0; LIMBS];
        for limb in &mut limbs {
            *limb = take_u64(bytes)?;
        }
        // The highest limb counts multiples of the largest possible value.
        let high = limbs[LIMBS - 1] as i64;
        if high.unsigned_abs() > count {
            return Err(damaged("an integer sum"));
        }
        cell.words[..LIMBS].copy_from_slice(&limbs);
        cell.words[LIMBS] = count;
        Ok(())
    }
}

/// The float nearest to sum / 10^scale for a sum of any width, computed from its digits.
fn nearest(words: &[u64], limbs: usize, scale: i8) -> f64 {
    const CHUNK: u128 = 10u128.pow(19);
    let negative = words[limbs - 1] >> 63 == 1;
    let mut carry = negative;
    let mut magnitude: Vec<u64> = words[..limbs].to_vec();
    for limb in magnitude.iter_mut().filter(|_| negative) {
        (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
    }
    let mut digits = String::new();
    while magnitude.iter().any(|limb| *limb != 0) {
        let mut rest = 0u128;
        for limb in magnitude.iter_mut().rev() {
            let part = rest << 64 | u128::from(*limb);
            *limb = (part / CHUNK) as u64;
            rest = part % CHUNK;
        }
        digits.insert_str(0, &format!("{rest:019}"));
    }
    let sign = if negative { "-" } else { "" };
    format!("{sign}0{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum<const LIMBS: usize>(values: &[i128]) -> Vec<u64> {
        let mut words = vec![0; LIMBS + 1];
        values.iter().for_each(|v| IntegerSum::<LIMBS>::add(&mut words, *v));
        words
    }

    #[test]
    fn beyond_128_bits_and_back() {
        let most = DECIMAL_END as i128 - 1;
        let mut words = sum::<3>(&[most, most, -5, most]);
        assert_eq!(IntegerSum::<3>::total(&words), None);
        assert_eq!(IntegerSum::<3>::scaled(&words, 38), 3.0);
        IntegerSum::<3>::subtract(&mut words, most);
        IntegerSum::<3>::subtract(&mut words, most);
        assert_eq!(IntegerSum::<3>::decimal(&words), Some(most - 5));
        let mut low = sum::<3>(&[-most, -most, -most]);
        assert_eq!((IntegerSum::<3>::total(&low), IntegerSum::<3>::scaled(&low, 38)), (None, -3.0));
        IntegerSum::<3>::merge(&mut low, &sum::<3>(&[most, most, most, 7]));
        assert_eq!(low, sum::<3>(&[7, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_scaled_sum_is_rounded_once() {
        assert_eq!(IntegerSum::<3>::scaled(&sum::<3>(&[10]), 2), 0.1);
        assert_eq!(IntegerSum::<3>::scaled(&sum::<3>(&[-1]), 22), -1e-22);
        assert_eq!(IntegerSum::<3>::scaled(&sum::<3>(&[7]), -3), 7000.0);
        assert_eq!(
            IntegerSum::<3>::scaled(&sum::<3>(&[9_007_199_254_740_993]), 0),
            9_007_199_254_740_992.0
        );
        assert_eq!(
            IntegerSum::<3>::scaled(&sum::<3>(&[90_071_992_547_409_935]), 1),
            9_007_199_254_740_994.0
        );
        assert_eq!(IntegerSum::<3>::scaled(&sum::<3>(&[0]), 30), 0.0);
    }
}
