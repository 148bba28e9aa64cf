//! Numbers of any size without error: whole numbers times powers of two, sums of them that can be
//! changed in place.
//!
//! A float is such a number, and so is a product of several; so the sums of powers and products of
//! floats are exact in their whole range, overflow nothing, and forget what was removed.

use std::ops::{Add, Mul, Sub};

use super::codec::{damaged, put_u64, take_count, take_u64};
use crate::error::Result;

/// Limbs of a product of four values of 128 bits.
const TERM_LIMBS: usize = 8;
/// Limbs lie between these positions: four factors of at least 2^-1074 and at most 2^1024 each, and
/// any number of rows.
const LIMBS_END: i32 = 80;

/// A product of up to four numbers: a sign, a magnitude and a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    negative: bool,
    limbs: [u64; TERM_LIMBS],
    len: usize,
    shift: i32,
}

impl Term {
    /// The number 1.
    pub const ONE: Term =
        Term { negative: false, limbs: [1, 0, 0, 0, 0, 0, 0, 0], len: 1, shift: 0 };

    /// A whole number.
    pub fn integer(value: i128) -> Term {
        let magnitude = value.unsigned_abs();
        Term::new(value < 0, [magnitude as u64, (magnitude >> 64) as u64], 0)
    }

    /// A float that is finite.
    pub fn float(value: f64) -> Term {
        let (exponent, fraction) = ((value.to_bits() >> 52 & 0x7ff) as i32, value.to_bits() << 12);
        let mantissa = fraction >> 12 | u64::from(exponent > 0) << 52;
        let zeros = mantissa.trailing_zeros().min(63);
        let shift = exponent.max(1) - 1075 + zeros as i32;
        Term::new(value.is_sign_negative(), [mantissa >> zeros, 0], shift)
    }

    fn new(negative: bool, [low, high]: [u64; 2], shift: i32) -> Term {
        let len = if high > 0 { 2 } else { usize::from(low > 0) };
        Term { negative, limbs: [low, high, 0, 0, 0, 0, 0, 0], len, shift }
    }

    /// The product of two.
    #[must_use]
    pub fn times(&self, other: &Term) -> Term {
        let mut limbs = [0; TERM_LIMBS];
        let len = (self.len + other.len).min(TERM_LIMBS);
        multiply(&mut limbs[..len], &self.limbs[..self.len], &other.limbs[..other.len]);
        let len = len - usize::from(len > 0 && limbs[len - 1] == 0);
        let negative = self.negative != other.negative;
        Term { negative, limbs, len, shift: self.shift + other.shift }
    }
}

/// Adds the product of two magnitudes to zeroed limbs.
fn multiply(out: &mut [u64], one: &[u64], two: &[u64]) {
    for (i, &a) in one.iter().enumerate() {
        let mut carry = 0u128;
        for (to, &b) in out[i..].iter_mut().zip(two) {
            carry += u128::from(a) * u128::from(b) + u128::from(*to);
            *to = carry as u64;
            carry >>= 64;
        }
        if let Some(to) = out.get_mut(i + two.len()) {
            *to = carry as u64;
        }
    }
}

/// Adds or subtracts limbs in two's complement, from the first on.
pub fn step(limbs: &mut [u64], parts: &[u64], subtract: bool) {
    let one = if subtract { u64::overflowing_sub } else { u64::overflowing_add };
    let mut carry = false;
    for (i, limb) in limbs.iter_mut().enumerate() {
        if i >= parts.len() && !carry {
            break;
        }
        let (sum, over) = one(*limb, parts.get(i).copied().unwrap_or(0));
        let (sum, again) = one(sum, u64::from(carry));
        (*limb, carry) = (sum, over | again);
    }
}

/// A sum of terms in two's complement, as wide as its values need.
#[derive(Clone, Debug, Default)]
pub struct WideSum {
    /// The limb at position 0 counts ones; the first one is at this position.
    low: i32,
    limbs: Vec<u64>,
}

impl WideSum {
    /// Adds a term.
    pub fn add(&mut self, term: &Term) {
        self.change(term, term.negative);
    }

    /// Removes a term that was added before.
    pub fn subtract(&mut self, term: &Term) {
        self.change(term, !term.negative);
        if self.limbs.len() > 2 * TERM_LIMBS {
            self.trim();
        }
    }

    fn change(&mut self, term: &Term, subtract: bool) {
        if term.len == 0 {
            return;
        }
        let (at, shift) = (term.shift.div_euclid(64), term.shift.rem_euclid(64));
        let mut parts = [0; TERM_LIMBS + 1];
        for (i, limb) in term.limbs[..term.len].iter().enumerate() {
            let wide = u128::from(*limb) << shift;
            parts[i] |= wide as u64;
            parts[i + 1] = (wide >> 64) as u64;
        }
        let len = term.len + 1;
        self.cover(at, at + len as i32);
        step(&mut self.limbs[(at - self.low) as usize..], &parts[..len], subtract);
    }

    /// Adds all of another sum.
    pub fn merge(&mut self, other: &WideSum) {
        if other.limbs.is_empty() {
            return;
        }
        let end = other.low + other.limbs.len() as i32;
        self.cover(other.low, end);
        let mut parts = other.limbs.clone();
        let high = self.low + self.limbs.len() as i32;
        parts.resize((high - other.low) as usize, other.sign());
        step(&mut self.limbs[(other.low - self.low) as usize..], &parts, false);
    }

    /// The limb that all limbs above the last one would be.
    fn sign(&self) -> u64 {
        self.limbs.last().map_or(0, |&last| (last as i64 >> 63) as u64)
    }

    /// Makes room for limbs from `start` to `end`, and for a carry.
    fn cover(&mut self, start: i32, end: i32) {
        if self.limbs.is_empty() {
            self.low = start;
        }
        if start < self.low {
            let more = (self.low - start) as usize;
            self.limbs.splice(..0, std::iter::repeat_n(0, more));
            self.low = start;
        }
        let sign = self.sign();
        let len = (end - self.low) as usize + 1;
        if self.limbs.len() < len {
            self.limbs.resize(len, sign);
        }
        // The carry of a sum of two numbers stays inside the last limb.
        if self.limbs.last().is_some_and(|&last| last.wrapping_add(1 << 62) >> 63 == 1) {
            self.limbs.push(sign);
        }
    }

    /// Removes limbs that say nothing.
    fn trim(&mut self) {
        while let [.., before, last] = self.limbs[..]
            && last == (before as i64 >> 63) as u64
        {
            self.limbs.pop();
        }
        let zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        self.limbs.drain(..zeros);
        self.low = if self.limbs.is_empty() { 0 } else { self.low + zeros as i32 };
        if self.limbs.capacity() > 2 * TERM_LIMBS + 2 * self.limbs.len() {
            self.limbs.shrink_to_fit();
        }
    }

    /// Memory held outside `self`, in bytes.
    pub fn bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<u64>()
    }

    /// The sum as a number.
    pub fn number(&self) -> Exact {
        let negative = self.sign() > 0;
        let mut limbs = self.limbs.clone();
        if negative {
            negate(&mut limbs);
        }
        Exact { negative, limbs, low: self.low }.trimmed()
    }

    /// Appends the sum as bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        let mut short = self.clone();
        short.trim();
        put_u64(out, short.limbs.len() as u64);
        put_u64(out, i64::from(short.low) as u64);
        short.limbs.iter().for_each(|limb| put_u64(out, *limb));
    }

    /// Reads what `save` wrote.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Snapshot`] for a sum that no values have.
    pub fn load(bytes: &mut &[u8]) -> Result<WideSum> {
        let (len, low) = (take_count(bytes)?, take_u64(bytes)? as i64);
        let end = i64::from(LIMBS_END);
        if low < -end || low.saturating_add(len as i64) > end {
            return Err(damaged("an exact sum"));
        }
        let limbs: Result<Vec<u64>> = (0..len).map(|_| take_u64(bytes)).collect();
        Ok(WideSum { low: low as i32, limbs: limbs? })
    }
}

fn negate(limbs: &mut [u64]) {
    let mut carry = true;
    for limb in limbs {
        (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
    }
}

/// A number: a magnitude times 2^(64 `low`), with a sign. Zero has no limbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Whether it is below zero.
    pub negative: bool,
    /// The magnitude, the lowest limb first; neither the first nor the last one is zero.
    pub limbs: Vec<u64>,
    /// The position of the first limb.
    pub low: i32,
}

impl From<i128> for Exact {
    fn from(value: i128) -> Exact {
        let magnitude = value.unsigned_abs();
        let limbs = vec![magnitude as u64, (magnitude >> 64) as u64];
        Exact { negative: value < 0, limbs, low: 0 }.trimmed()
    }
}

impl Mul for &Exact {
    type Output = Exact;

    fn mul(self, other: &Exact) -> Exact {
        let mut limbs = vec![0; self.limbs.len() + other.limbs.len()];
        multiply(&mut limbs, &self.limbs, &other.limbs);
        let negative = self.negative != other.negative;
        Exact { negative, limbs, low: self.low + other.low }.trimmed()
    }
}

impl Add for &Exact {
    type Output = Exact;

    fn add(self, other: &Exact) -> Exact {
        self.plus(other, false)
    }
}

impl Sub for &Exact {
    type Output = Exact;

    fn sub(self, other: &Exact) -> Exact {
        self.plus(other, true)
    }
}

impl Exact {
    /// 10 to a power.
    pub fn ten_to(power: u32) -> Exact {
        let ten = Exact::from(10);
        (0..power).fold(Exact::from(1), |all, _| &all * &ten)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The product with itself.
    #[must_use]
    pub fn squared(&self) -> Exact {
        self * self
    }

    /// The whole number, if it is one that fits.
    pub fn whole(&self) -> Option<i128> {
        if self.low < 0 || self.low as usize + self.limbs.len() > 2 {
            return self.is_zero().then_some(0);
        }
        let parts = self.limbs.iter().rev().fold(0, |all, limb| all << 64 | u128::from(*limb));
        let magnitude = parts << (64 * self.low);
        match i128::try_from(magnitude) {
            Ok(value) => Some(if self.negative { -value } else { value }),
            Err(_) => None,
        }
    }

    fn trimmed(mut self) -> Exact {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        let zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        self.limbs.drain(..zeros);
        self.low = if self.limbs.is_empty() { 0 } else { self.low + zeros as i32 };
        self.negative &= !self.limbs.is_empty();
        self
    }

    fn plus(&self, other: &Exact, subtract: bool) -> Exact {
        if other.is_zero() {
            return self.clone();
        }
        let mut sum = WideSum::default();
        for (each, subtract) in [(self, self.negative), (other, other.negative != subtract)] {
            if !each.is_zero() {
                sum.cover(each.low, each.low + each.limbs.len() as i32);
                step(&mut sum.limbs[(each.low - sum.low) as usize..], &each.limbs, subtract);
            }
        }
        sum.number()
    }

    /// The number of bits of the magnitude.
    pub fn bits(&self) -> usize {
        64 * self.limbs.len() - self.limbs.last().map_or(0, |last| last.leading_zeros() as usize)
    }
}
