//! `sum(x, weight)` and `mean(x, weight)`: each value counts as often as its weight says.
//!
//! Both are exact and rounded once. A mean whose weights add up to zero is null.

use arrow_schema::DataType;

use super::powers::{OfPowers, Statistic, Sums};
use super::{Aggregate, Answer, Call};
use crate::error::Result;

/// Maximum number of digits of a decimal.
const DIGITS: u8 = 38;

/// The sum of the values times their weights: i64 of integers, a decimal if one of the two is, f64 of
/// floats.
pub fn sum(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [x, weight] = call.plain()?;
    let scale = |argument: &DataType| match argument {
        DataType::Decimal128(_, scale) => Some(*scale),
        DataType::Float32 | DataType::Float64 => None,
        _ => Some(0),
    };
    let decimal = [x, weight].iter().any(|each| matches!(each, DataType::Decimal128(_, _)));
    let (output, formula): (_, fn(&Sums) -> _) = match (scale(x), scale(weight)) {
        (Some(one), Some(two)) if decimal && (0..=38).contains(&one.saturating_add(two)) => {
            (DataType::Decimal128(DIGITS, one + two), in_digits)
        }
        (Some(0), Some(0)) => (DataType::Int64, whole),
        _ => (DataType::Float64, float),
    };
    let infinite = |x: f64, weight: f64| x * weight;
    OfPowers::with_output(call, Statistic { terms: &[(1, 1)], infinite, formula }, 0, output)
}

fn whole(sums: &Sums) -> Answer<'static> {
    let whole = sums.all[0].whole().and_then(|sum| i64::try_from(sum).ok());
    whole.map_or(Answer::Overflow, Answer::I64)
}

fn in_digits(sums: &Sums) -> Answer<'static> {
    let fits = |sum: &i128| sum.unsigned_abs() < 10u128.pow(DIGITS.into());
    sums.all[0].whole().filter(fits).map_or(Answer::Overflow, Answer::I128)
}

fn float(sums: &Sums) -> Answer<'static> {
    sums.ratio(&sums.all[0], &1.into(), sums.scales[0] + sums.scales[1])
}

/// The sum of the values times their weights, divided by the sum of the weights.
pub fn mean(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_, _] = call.plain()?;
    let formula = |sums: &Sums| sums.ratio(&sums.all[0], &sums.all[1], sums.scales[0]);
    let infinite = |x: f64, weight: f64| if weight.is_finite() { x * weight } else { f64::NAN };
    let terms: &[(u32, u32)] = &[(1, 1), (0, 1)];
    OfPowers::boxed(call, Statistic { terms, infinite, formula }, 0)
}
