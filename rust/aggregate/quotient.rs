//! Quotients of exact numbers, rounded once, and their square roots.

use super::exact::{Exact, step};

/// The float nearest to `one / two`; `None` if `two` is zero.
pub fn quotient(one: &Exact, two: &Exact) -> Option<f64> {
    let (digits, exponent) = divided(one, two)?;
    let value = rounded(digits, exponent);
    Some(if one.negative == two.negative { value } else { -value } + 0.0)
}

/// The square root of the float nearest to the magnitude of `one / two`, as if floats had no least
/// and no greatest exponent.
pub fn root(one: &Exact, two: &Exact) -> Option<f64> {
    let (digits, exponent) = divided(one, two)?;
    if digits == 0 {
        return Some(0.0);
    }
    let half = (exponent + 128).div_euclid(2);
    let root = rounded(digits, exponent - 2 * half).sqrt();
    // In two steps, each of which is a float; only the last one rounds.
    let first = half / 2;
    Some(root * 2f64.powi(first) * 2f64.powi(half - first))
}

/// The magnitude of a quotient as leading digits times 2^exponent. The last digit is set if the
/// quotient has more of them.
fn divided(one: &Exact, two: &Exact) -> Option<(u128, i32)> {
    let (exponent, shift) = (64 * (one.low - two.low), one.bits() as i32 - two.bits() as i32);
    match two.limbs[..] {
        [] => None,
        _ if one.is_zero() => Some((0, 0)),
        [divisor] => {
            let (digits, more) = divided_by_one(&one.limbs, divisor);
            Some((digits, exponent + more))
        }
        _ => Some((divided_by_many(one, two, shift), exponent + shift - DIGITS)),
    }
}

/// Digits of a long division behind the first one.
const DIGITS: i32 = 66;

/// Divides limb by limb; gives the digits and their exponent.
fn divided_by_one(limbs: &[u64], divisor: u64) -> (u128, i32) {
    let zeros = 3usize.saturating_sub(limbs.len());
    let mut rest = 0u128;
    let mut digits: Vec<u64> = vec![];
    for limb in limbs.iter().rev().chain(std::iter::repeat_n(&0, zeros)) {
        let part = rest << 64 | u128::from(*limb);
        rest = part % u128::from(divisor);
        let digit = (part / u128::from(divisor)) as u64;
        if digit > 0 || !digits.is_empty() {
            digits.push(digit);
        }
    }
    let (first, more) = digits.split_at(digits.len().min(2));
    let exact = rest == 0 && more.iter().all(|digit| *digit == 0);
    let leading = first.iter().fold(0, |all, digit| all << 64 | u128::from(*digit));
    (leading | u128::from(!exact), 64 * (more.len() as i32 - zeros as i32))
}

/// Divides bit by bit; the first number is `shift` bits longer than the second one.
fn divided_by_many(one: &Exact, two: &Exact, shift: i32) -> u128 {
    let len = one.limbs.len().max(two.limbs.len()) + 1;
    let mut rest = shifted(&one.limbs, (-shift).max(0) as usize, len);
    let divisor = shifted(&two.limbs, shift.max(0) as usize, len);
    let mut digits = 0u128;
    for _ in 0..=DIGITS {
        digits <<= 1;
        if rest.iter().rev().ge(divisor.iter().rev()) {
            step(&mut rest, &divisor, true);
            digits |= 1;
        }
        rest = shifted(&rest, 1, len);
    }
    digits | u128::from(rest.iter().any(|limb| *limb != 0))
}

/// Limbs, shifted to the left.
fn shifted(limbs: &[u64], by: usize, len: usize) -> Vec<u64> {
    let (places, shift) = (by / 64, by % 64);
    let limb = |i: usize| u128::from(limbs.get(i).copied().unwrap_or(0));
    let wide = |i: usize| limb(i) << 64 | if i > 0 { limb(i - 1) } else { 0 };
    let at = |i: usize| if i < places { 0 } else { (wide(i - places) >> (64 - shift)) as u64 };
    (0..len).map(at).collect()
}

/// The float nearest to digits times 2^exponent, ties to even; infinite beyond the greatest.
pub fn rounded(digits: u128, exponent: i32) -> f64 {
    let Some(top) = digits.checked_ilog2() else { return 0.0 };
    // The last place of the float: 53 bits, or fewer at the least exponent.
    let last = (exponent + top as i32 - 52).max(-1074);
    let mantissa = match last - exponent {
        drop @ 1..=127 => {
            let (kept, gone, half) = (digits >> drop, digits & ((1 << drop) - 1), 1 << (drop - 1));
            kept + u128::from(gone > half || (gone == half && kept & 1 == 1))
        }
        drop if drop > 127 => 0,
        drop => digits << -drop,
    };
    if last > 971 {
        return f64::INFINITY;
    }
    // The hidden bit raises the exponent by one, and so does a carry out of rounding.
    let bits = (((last + 1074) as u64) << 52) + mantissa as u64;
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::exact::{Term, WideSum};
    use super::*;

    fn number(values: &[f64]) -> Exact {
        let mut sum = WideSum::default();
        values.iter().for_each(|v| sum.add(&Term::float(*v)));
        sum.number()
    }

    fn float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |v| v.is_finite()),
            any::<i32>().prop_map(f64::from),
            (-1000i64..1000, 0i32..60).prop_map(|(m, e)| m as f64 * 0.5f64.powi(e)),
            prop::sample::select(vec![0.0, -0.0, 5e-324, -5e-324, f64::MAX, f64::MIN_POSITIVE]),
        ]
    }

    proptest! {
        #[test]
        fn quotients_of_floats_are_those_of_the_processor(one in float(), two in float()) {
            let found = quotient(&number(&[one]), &number(&[two]));
            let expected = if two == 0.0 { None } else { Some(one / two + 0.0) };
            prop_assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits));
        }

        #[test]
        fn long_division_is_short_division(one in float(), two in any::<u64>(), by in 1..3i32) {
            let (many, two) = (Exact::from(1i128 << 100), Exact::from(i128::from(two | 1)));
            let one = number(&[one]);
            let many = (0..by).fold(many, |all, _| &all + &(&all * &Exact::from((1i128 << 90) + 1)));
            let long = quotient(&(&one * &many), &(&two * &many));
            prop_assert_eq!(long.map(f64::to_bits), quotient(&one, &two).map(f64::to_bits));
        }

        #[test]
        fn products_and_roots_are_those_of_the_processor(one in float(), two in float()) {
            let mut sum = WideSum::default();
            let term = Term::float(one).times(&Term::float(two));
            sum.add(&term);
            let product = quotient(&sum.number(), &Exact::from(1)).unwrap();
            prop_assert_eq!(product.to_bits(), (one * two + 0.0).to_bits());
            prop_assert_eq!(sum.number(), &number(&[one]) * &number(&[two]));
            sum.subtract(&term);
            prop_assert!(sum.number().is_zero());
            let found = root(&number(&[one]), &Exact::from(1)).unwrap();
            prop_assert_eq!(found.to_bits(), one.abs().sqrt().to_bits());
        }

        #[test]
        fn sums_are_whole_numbers(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
            let (mut one, mut two) = (WideSum::default(), WideSum::default());
            let (left, right) = values.split_at(values.len() / 2);
            left.iter().for_each(|v| one.add(&Term::integer((*v).into())));
            right.iter().for_each(|v| two.add(&Term::integer((*v).into())));
            one.merge(&two);
            prop_assert_eq!(one.number().whole(), Some(total));
            prop_assert_eq!(one.number(), Exact::from(total));
            let mut saved = vec![];
            one.save(&mut saved);
            prop_assert_eq!(WideSum::load(&mut &saved[..]).unwrap().number(), Exact::from(total));
            right.iter().for_each(|v| one.subtract(&Term::integer((*v).into())));
            let rest: i128 = left.iter().map(|v| i128::from(*v)).sum();
            prop_assert_eq!((&Exact::from(total) - &two.number()).whole(), Some(rest));
            prop_assert_eq!(one.number().whole(), Some(rest));
        }
    }

    #[test]
    fn no_exponent_is_too_great_for_a_root() {
        let (great, small) = (number(&[1e300]), number(&[1e-300]));
        assert_eq!(root(&great.squared(), &Exact::from(1)), Some(1e300));
        assert_eq!(root(&small.squared(), &Exact::from(1)), Some(1e-300));
        assert_eq!(quotient(&great.squared(), &Exact::from(1)), Some(f64::INFINITY));
        assert_eq!(quotient(&small.squared(), &Exact::from(1)), Some(0.0));
        assert_eq!(quotient(&Exact::from(1), &Exact::ten_to(40)), Some(1e-40));
    }
}
