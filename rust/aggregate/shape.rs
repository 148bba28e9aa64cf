//! `skew` and `kurtosis`: of a sample, corrected for its size as in DuckDB and pandas, or of all
//! there is, as by default in Polars and SciPy. The kurtosis is that above the normal distribution's.
//!
//! Null for too few values and for values that are all equal, NaN with an infinity.

use super::exact::Exact;
use super::powers::{OfPowers, Statistic, Sums};
use super::quotient::root;
use super::variance::undefined;
use super::{Aggregate, Answer, Call, Kind};
use crate::error::{Error, Result};
use crate::expr::Literal;

/// `skew` of numbers or bool, as f64.
pub const SKEW: Kind = Kind {
    name: "skew",
    about: "how far the values lean to one side: the third standardized moment",
    build: skew,
};

/// `kurtosis` of numbers or bool, as f64.
pub const KURTOSIS: Kind = Kind {
    name: "kurtosis",
    about: "how heavy the tails are: the fourth standardized moment minus 3",
    build: kurtosis,
};

/// 1 for all that there is, 0 for a sample.
fn bias(call: &Call<'_>) -> Result<i128> {
    match call.parameters()? {
        [Literal::Bool(bias)] => Ok((*bias).into()),
        [other] => {
            let hint = "write True or False";
            Err(Error::Plan(format!("{} with bias={other}\nhint: {hint}", call.kind)))
        }
    }
}

fn skew(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_] = call.arguments()?;
    let terms: &[(u32, u32)] = &[(1, 0), (2, 0), (3, 0)];
    let formula = |sums: &Sums| {
        let (n, [_, two, three]) = (sums.rows, central(sums));
        let (mut above, mut below) = (three.squared(), &two.squared() * &two);
        if sums.parameter == 0 {
            above = &above * &Exact::from(n * (n - 1));
            below = &below * &Exact::from(n - 2).squared();
        }
        let found = root(&above, &below);
        found.map_or(Answer::Null, |root| {
            Answer::F64(if three.is_negative() { -root } else { root })
        })
    };
    OfPowers::boxed(call, Statistic { terms, infinite: undefined, formula }, bias(call)?)
}

fn kurtosis(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_] = call.arguments()?;
    let terms: &[(u32, u32)] = &[(1, 0), (2, 0), (3, 0), (4, 0)];
    let formula = |sums: &Sums| {
        let (n, [four, two, _]) = (sums.rows, central(sums));
        let square = two.squared();
        let excess = &four - &(&Exact::from(3) * &square);
        if sums.parameter == 1 {
            return sums.ratio(&excess, &square, 0);
        }
        let more = &(&Exact::from(n + 1) * &excess) + &(&Exact::from(6) * &square);
        let below = &Exact::from((n - 2) * (n - 3)) * &square;
        sums.ratio(&(&Exact::from(n - 1) * &more), &below, 0)
    };
    OfPowers::boxed(call, Statistic { terms, infinite: undefined, formula }, bias(call)?)
}

/// The fourth (or zero), second and third central moment, each times its power of the number of
/// values.
fn central(sums: &Sums) -> [Exact; 3] {
    let n = sums.n();
    let times =
        |k: i128, parts: &[&Exact]| parts.iter().fold(Exact::from(k), |all, part| &all * part);
    let (one, two, three) = (&sums.all[0], &sums.all[1], &sums.all[2]);
    let second = &times(1, &[&n, two]) - &one.squared();
    let third =
        &(&times(1, &[&n, &n, three]) - &times(3, &[&n, one, two])) + &times(2, &[one, one, one]);
    let fourth = sums.all.get(3).map(|four| {
        let first = &times(1, &[&n, &n, &n, four]) - &times(4, &[&n, &n, one, three]);
        let last = &times(6, &[&n, one, one, two]) - &times(3, &[one, one, one, one]);
        &first + &last
    });
    [fourth.unwrap_or_else(|| Exact::from(0)), second, third]
}
