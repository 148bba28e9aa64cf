//! Expressions: what a user writes over the columns of a row, typed once and evaluated in columns.
//!
//! [`Expr`] is the tree as a plan carries it, [`check`] gives it types over a schema, and
//! [`Typed::eval`] and [`Typed::test`] run it. Logic is three-valued; integers compute in checked
//! 64 bits, floats in f64, decimals in 128 bits; a row whose value does not fit is told apart from
//! the others and is never a failure of the batch.

mod among;
mod arithmetic;
mod cast;
mod check;
mod compare;
mod messages;
mod eval;
mod kernels;
mod literal;
mod lost;
mod promote;
mod text;
mod tree;

pub use check::{Typed, check, check_condition};
pub use eval::{Evaluated, RowColumns};
pub use literal::Literal;
pub use lost::Lost;
pub use tree::{Comparison, Expr, Function, Operation};

#[cfg(test)]
mod tests;
