//! `var` and `std`: the variance and its root, of a sample (`ddof` 1) or of all there is (`ddof` 0).
//!
//! From exact sums, `(n * sum(x^2) - sum(x)^2) / (n * (n - ddof))`: nothing cancels. Null for `ddof`
//! values or fewer, NaN with an infinity.

use super::exact::Exact;
use super::powers::{OfPowers, Statistic, Sums};
use super::quotient::root;
use super::{Aggregate, Answer, Call, Kind};
use crate::error::{Error, Result};
use crate::expr::Literal;

/// `var` of numbers or bool, as f64.
pub const VAR: Kind = Kind { name: "var", about: "the variance of the values", build: variance };

/// `std` of numbers or bool, as f64.
pub const STD: Kind =
    Kind { name: "std", about: "the standard deviation of the values", build: deviation };

const TERMS: &[(u32, u32)] = &[(1, 0), (2, 0)];

/// What an infinite value makes of a statistic about the spread of values.
pub fn undefined(_: f64, _: f64) -> f64 {
    f64::NAN
}

/// The number of values that a sample's statistic subtracts from the number of values.
pub fn ddof(call: &Call<'_>) -> Result<i128> {
    match call.parameters()? {
        [Literal::Int(ddof @ 0..)] => Ok((*ddof).into()),
        [other] => {
            let hint = "write 1 for a sample, 0 for all that there is";
            Err(Error::Plan(format!("{} with ddof={other}\nhint: {hint}", call.kind)))
        }
    }
}

fn variance(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_] = call.arguments()?;
    let formula = |sums: &Sums| match spread(sums) {
        Some([above, below]) => sums.ratio(&above, &below, 2 * sums.scales[0]),
        None => Answer::Null,
    };
    OfPowers::boxed(call, Statistic { terms: TERMS, infinite: undefined, formula }, ddof(call)?)
}

fn deviation(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_] = call.arguments()?;
    let formula = |sums: &Sums| {
        let scale = Exact::ten_to(sums.scales[0].unsigned_abs()).squared();
        let found = spread(sums).and_then(|[above, below]| match sums.scales[0] {
            0 => root(&above, &below),
            ..0 => root(&(&above * &scale), &below),
            1.. => root(&above, &(&below * &scale)),
        });
        found.map_or(Answer::Null, Answer::F64)
    };
    OfPowers::boxed(call, Statistic { terms: TERMS, infinite: undefined, formula }, ddof(call)?)
}

/// The variance of unscaled values as a fraction.
fn spread(sums: &Sums) -> Option<[Exact; 2]> {
    let [one, two] = sums.all.first_chunk()?;
    let below = sums.rows * (sums.rows - sums.parameter);
    (below > 0).then(|| [&(&sums.n() * two) - &one.squared(), Exact::from(below)])
}
