//! `cov`, `corr`, `slope` and `intercept`: how two columns go together.
//!
//! A row without one of the two does not count. Null where nothing is defined: for `ddof` rows or
//! fewer (`cov`), or where one of the columns does not vary. NaN with an infinity.

use super::exact::Exact;
use super::powers::{OfPowers, Statistic, Sums};
use super::quotient::root;
use super::variance::{ddof, undefined};
use super::{Aggregate, Answer, Call, Kind};
use crate::error::Result;

/// `cov(x, y)`, as f64.
pub const COV: Kind =
    Kind { name: "cov", about: "the covariance of two columns", build: covariance };

/// `corr(x, y)`, as f64.
pub const CORR: Kind =
    Kind { name: "corr", about: "the correlation of two columns (Pearson)", build: correlation };

/// `slope(y, x)`, as f64.
pub const SLOPE: Kind = Kind {
    name: "slope",
    about: "the slope of the line of least squares: how much y rises with x",
    build: slope,
};

/// `intercept(y, x)`, as f64.
pub const INTERCEPT: Kind = Kind {
    name: "intercept",
    about: "where the line of least squares is at x = 0",
    build: intercept,
};

const LINE: &[(u32, u32)] = &[(1, 0), (0, 1), (1, 1), (0, 2)];

fn covariance(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_, _] = call.arguments()?;
    let terms: &[(u32, u32)] = &[(1, 0), (0, 1), (1, 1)];
    let formula = |sums: &Sums| {
        let below = sums.rows * (sums.rows - sums.parameter);
        if below <= 0 {
            return Answer::Null;
        }
        sums.ratio(&together(sums), &Exact::from(below), sums.scales[0] + sums.scales[1])
    };
    OfPowers::boxed(call, Statistic { terms, infinite: undefined, formula }, ddof(call)?)
}

fn correlation(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_, _] = call.plain()?;
    let terms: &[(u32, u32)] = &[(1, 0), (0, 1), (1, 1), (0, 2), (2, 0)];
    let formula = |sums: &Sums| {
        let together = together(sums);
        let alone = &spread(sums, 0, 4) * &spread(sums, 1, 3);
        let found = root(&together.squared(), &alone);
        found.map_or(Answer::Null, |root| {
            Answer::F64(if together.is_negative() { -root } else { root })
        })
    };
    OfPowers::boxed(call, Statistic { terms, infinite: undefined, formula }, 0)
}

fn slope(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_, _] = call.plain()?;
    let formula = |sums: &Sums| {
        let [y, x] = sums.scales;
        sums.ratio(&together(sums), &spread(sums, 1, 3), y - x)
    };
    OfPowers::boxed(call, Statistic { terms: LINE, infinite: undefined, formula }, 0)
}

fn intercept(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [_, _] = call.plain()?;
    let formula = |sums: &Sums| {
        let [y, x, both, squares] = [0, 1, 2, 3].map(|i| &sums.all[i]);
        let above = &(y * squares) - &(x * both);
        sums.ratio(&above, &spread(sums, 1, 3), sums.scales[0])
    };
    OfPowers::boxed(call, Statistic { terms: LINE, infinite: undefined, formula }, 0)
}

/// `n * sum(x * y) - sum(x) * sum(y)`.
fn together(sums: &Sums) -> Exact {
    &(&sums.n() * &sums.all[2]) - &(&sums.all[0] * &sums.all[1])
}

/// `n * sum(x^2) - sum(x)^2`, given which sums these are.
fn spread(sums: &Sums, one: usize, two: usize) -> Exact {
    &(&sums.n() * &sums.all[two]) - &sums.all[one].squared()
}
