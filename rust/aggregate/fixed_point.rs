//! A superaccumulator: the exact sum of any floats, as one fixed-point number over their whole
//! range.

use super::codec::{damaged, put_u64, take_count, take_u64};
use crate::error::Result;

/// 2098 bits from the smallest subnormal (2^-1074) to the greatest float, and room for 2^77 of
/// them.
const LIMBS: usize = 34;
const FRACTION: u32 = 52;
const HIDDEN: u64 = 1 << FRACTION;

/// An exact sum in two's complement, in units of 2^-1074; infinities are counted separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPoint {
    limbs: [u64; LIMBS],
    plus: u64,
    minus: u64,
}

impl FixedPoint {
    /// A sum of no values.
    pub fn new() -> FixedPoint {
        FixedPoint { limbs: [0; LIMBS], plus: 0, minus: 0 }
    }

    /// Adds a float that is not NaN.
    pub fn add(&mut self, x: f64) {
        match x {
            f64::INFINITY => self.plus = self.plus.wrapping_add(1),
            f64::NEG_INFINITY => self.minus = self.minus.wrapping_add(1),
            finite => self.add_finite(finite, finite.is_sign_negative()),
        }
    }

    /// Removes a float that was added before.
    pub fn subtract(&mut self, x: f64) {
        match x {
            f64::INFINITY => self.plus = self.plus.wrapping_sub(1),
            f64::NEG_INFINITY => self.minus = self.minus.wrapping_sub(1),
            finite => self.add_finite(finite, finite.is_sign_positive()),
        }
    }

    /// Adds the magnitude of `x`, or subtracts it.
    fn add_finite(&mut self, x: f64, negative: bool) {
        let exponent = (x.to_bits() >> FRACTION & 0x7ff) as usize;
        let fraction = x.to_bits() & (HIDDEN - 1);
        // Subnormals have no hidden bit and share the first exponent's place.
        let (mantissa, place) =
            if exponent == 0 { (fraction, 0) } else { (fraction | HIDDEN, exponent - 1) };
        let wide = u128::from(mantissa) << (place % 64);
        let (low, high) = (wide as u64, (wide >> 64) as u64);
        let first = place / 64;
        let step = if negative { u64::overflowing_sub } else { u64::overflowing_add };
        let mut carry = false;
        for (i, limb) in self.limbs[first..].iter_mut().enumerate() {
            let part = match i {
                0 => low,
                1 => high,
                _ if carry => 0,
                _ => break,
            };
            let (sum, over) = step(*limb, part);
            let (sum, again) = step(sum, u64::from(carry));
            (*limb, carry) = (sum, over | again);
        }
    }

    /// Adds all of another sum.
    pub fn merge(&mut self, other: &FixedPoint) {
        let mut carry = false;
        for (limb, part) in self.limbs.iter_mut().zip(other.limbs) {
            let (sum, over) = limb.overflowing_add(part);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over | again);
        }
        self.plus = self.plus.wrapping_add(other.plus);
        self.minus = self.minus.wrapping_add(other.minus);
    }

    /// The sum rounded once, to nearest and ties to even; zero is `+0.0`, `inf + -inf` NaN.
    pub fn value(&self) -> f64 {
        match (self.plus, self.minus) {
            (0, 0) => self.rounded(),
            (_, 0) => f64::INFINITY,
            (0, _) => f64::NEG_INFINITY,
            (_, _) => f64::NAN,
        }
    }

    /// The value of the finite part.
    fn rounded(&self) -> f64 {
        let negative = self.limbs[LIMBS - 1] >> 63 == 1;
        let mut magnitude = self.limbs;
        if negative {
            let mut carry = true;
            for limb in &mut magnitude {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        let Some(top) = magnitude.iter().rposition(|limb| *limb != 0) else { return 0.0 };
        let highest = top * 64 + 63 - magnitude[top].leading_zeros() as usize;
        let bits = match highest.checked_sub(FRACTION as usize) {
            // At most 53 bits at the bottom of the range: their own bit pattern, subnormal or not.
            None | Some(0) => magnitude[0],
            Some(shift) => {
                let mantissa = window(&magnitude, shift);
                let half = window(&magnitude, shift - 1) & 1 == 1;
                let sticky = half && any_below(&magnitude, shift - 1);
                // The hidden bit raises the exponent by one, and so does a carry out of rounding.
                ((shift as u64) << FRACTION)
                    + (mantissa & (2 * HIDDEN - 1))
                    + u64::from(half && (sticky || mantissa & 1 == 1))
            }
        };
        let magnitude = f64::from_bits(bits.min(f64::INFINITY.to_bits()));
        if negative { -magnitude } else { magnitude }
    }

    /// The sum as two floats, if they suffice: the rounded sum and the remainder.
    pub fn pair(&self) -> Option<(f64, f64)> {
        let hi = self.value();
        if !hi.is_finite() || self.plus != 0 || self.minus != 0 {
            return None;
        }
        let mut rest = self.clone();
        rest.subtract(hi);
        let lo = rest.rounded();
        rest.subtract(lo);
        (rest.limbs == [0; LIMBS]).then_some((hi, lo))
    }

    /// Appends the sum as bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.plus);
        put_u64(out, self.minus);
        self.limbs.iter().for_each(|limb| put_u64(out, *limb));
    }

    /// Reads a sum of `count` floats from the front of `bytes`.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Snapshot`] if no `count` floats have this sum, or if two floats would
    /// have sufficed to save it.
    pub fn load(bytes: &mut &[u8], count: u64) -> Result<FixedPoint> {
        let mut sum = FixedPoint::new();
        (sum.plus, sum.minus) = (take_count(bytes)?, take_count(bytes)?);
        for limb in &mut sum.limbs {
            *limb = take_u64(bytes)?;
        }
        // The greatest float is below 2^2098 units, so the bits above bound the number of values.
        let [.., low, high] = sum.limbs;
        let above = ((i128::from(high as i64) << 64) | i128::from(low)) >> (2098 - 2048);
        let count = i128::from(count);
        let finite = count - i128::from(sum.plus) - i128::from(sum.minus);
        let possible = finite >= 0 && above < finite.max(1) && above >= -finite;
        if possible && sum.pair().is_none() { Ok(sum) } else { Err(damaged("a float sum")) }
    }
}

/// 64 bits, starting at bit `start`.
fn window(limbs: &[u64; LIMBS], start: usize) -> u64 {
    let (limb, shift) = (start / 64, start % 64);
    let high = limbs.get(limb + 1).copied().unwrap_or(0);
    ((u128::from(high) << 64 | u128::from(limbs[limb])) >> shift) as u64
}

/// Whether any bit below `end` is set.
fn any_below(limbs: &[u64; LIMBS], end: usize) -> bool {
    let (limb, shift) = (end / 64, end % 64);
    limbs[..limb].iter().any(|l| *l != 0) || limbs[limb] & ((1 << shift) - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> FixedPoint {
        let mut sum = FixedPoint::new();
        values.iter().for_each(|v| sum.add(*v));
        sum
    }

    #[test]
    fn one_float_is_itself() {
        let tiny = f64::from_bits(1);
        for x in
            [0.0, 1.0, 0.1, tiny, f64::MIN_POSITIVE, f64::MIN_POSITIVE - tiny, f64::MAX, 3e-310]
        {
            assert_eq!(sum(&[x]).value().to_bits(), x.to_bits());
            assert_eq!(sum(&[-x]).value(), -x);
            assert_eq!(sum(&[x, -x]), FixedPoint::new());
        }
        assert_eq!(sum(&[-0.0]).value().to_bits(), 0);
    }

    #[test]
    fn rounding_is_to_nearest_and_ties_go_to_even() {
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]).value(), 1.0);
        assert_eq!(sum(&[1.0, ulp / 2.0, 1e-300]).value(), 1.0 + ulp);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]).value(), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0, -1e-300]).value(), 1.0 + ulp);
        assert_eq!(sum(&[-1.0, -ulp / 2.0, -1e-300]).value(), -1.0 - ulp);
        assert_eq!(sum(&[2.0 - ulp, ulp / 2.0]).value(), 2.0);
    }

    #[test]
    fn only_the_last_rounding_can_overflow() {
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX.to_bits() as f64]).value(), f64::MAX);
        assert_eq!(sum(&[-f64::MAX, -1e300]).value(), f64::NEG_INFINITY);
    }

    #[test]
    fn infinities_leave_no_trace() {
        let mut s = sum(&[1.0, f64::INFINITY, f64::NEG_INFINITY]);
        assert!(s.value().is_nan());
        s.subtract(f64::INFINITY);
        assert_eq!(s.value(), f64::NEG_INFINITY);
        s.subtract(f64::NEG_INFINITY);
        assert_eq!(s, sum(&[1.0]));
    }

    #[test]
    fn what_cannot_be_a_sum_is_not_read() {
        let mut out = Vec::new();
        sum(&[f64::MAX, f64::MAX, 1.0]).save(&mut out);
        assert_eq!(FixedPoint::load(&mut &out[..], 3), Ok(sum(&[f64::MAX, f64::MAX, 1.0])));
        assert!(FixedPoint::load(&mut &out[..], 1).is_err());
        out[8 * 35 + 7] = 0x40;
        assert!(FixedPoint::load(&mut &out[..], 3).is_err());
    }
}
