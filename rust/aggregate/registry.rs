//! Registry: the aggregates that a plan can name, and how they are built for types and parameters.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use arrow_schema::DataType;

use super::*;
use crate::error::{Error, Result};
use crate::expr::Literal;
use crate::schema::named;

/// The built-in aggregates.
pub const KINDS: &[Kind] = &[
    count::KIND,
    sum::KIND,
    mean::KIND,
    min_max::MIN,
    min_max::MAX,
    count_distinct::KIND,
    first_last::FIRST,
    first_last::LAST,
    arg_min_max::ARG_MIN,
    arg_min_max::ARG_MAX,
    any_all::ANY,
    any_all::ALL,
    bits::AND,
    bits::OR,
    bits::XOR,
    variance::VAR,
    variance::STD,
    shape::SKEW,
    shape::KURTOSIS,
    regression::COV,
    regression::CORR,
    regression::SLOPE,
    regression::INTERCEPT,
    sum_distinct::KIND,
    product::KIND,
    frequent::MODE,
    frequent::TOP_K,
    histogram::KIND,
    quantile::KIND,
    array_agg::KIND,
];

/// A built-in aggregate, before the types of its arguments are known.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in a plan.
    pub name: &'static str,
    /// What it computes, in one line.
    pub about: &'static str,
    /// Builds it for a call, or explains why it cannot ([`Error::Plan`]).
    pub build: fn(&Call<'_>) -> Result<Box<dyn Aggregate>>,
}

/// How a plan calls an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name of the aggregate.
    pub kind: &'a str,
    /// The types of its arguments.
    pub types: &'a [DataType],
    /// Its parameters, which are the same for all rows.
    pub parameters: &'a [Literal],
}

impl<'a> Call<'a> {
    /// The types of exactly `N` arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for another number of arguments.
    pub fn arguments<const N: usize>(&self) -> Result<&'a [DataType; N]> {
        self.types.try_into().map_err(|_| self.miscounted("argument", N, self.types.len()))
    }

    /// Exactly `N` parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for another number of parameters.
    pub fn parameters<const N: usize>(&self) -> Result<&'a [Literal; N]> {
        let found = self.parameters.len();
        self.parameters.try_into().map_err(|_| self.miscounted("parameter", N, found))
    }

    /// The types of exactly `N` arguments of an aggregate without parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for another number of arguments, or for parameters.
    pub fn plain<const N: usize>(&self) -> Result<&'a [DataType; N]> {
        let [] = self.parameters()?;
        self.arguments()
    }

    fn miscounted(&self, what: &str, expected: usize, found: usize) -> Error {
        let expected = match expected {
            0 => format!("no {what}s"),
            1 => format!("one {what}"),
            n => format!("{n} {what}s"),
        };
        Error::Plan(format!("{} takes {expected}, not {found}", self.kind))
    }

    /// The error for an argument type that the aggregate does not accept.
    pub fn refuse(&self, argument: &DataType, hint: &str) -> Error {
        Error::Plan(format!("{} of {}\nhint: {hint}", self.kind, named(argument)))
    }
}

/// Builds an aggregate for a call, or explains why it cannot ([`Error::Plan`]).
pub type Builder = Arc<dyn Fn(&Call<'_>) -> Result<Box<dyn Aggregate>> + Send + Sync>;

/// The aggregates that the plans of an engine can name: the built-in ones, and those that were
/// added.
#[derive(Clone)]
pub struct Registry {
    kinds: Vec<(String, Builder)>,
}

impl Default for Registry {
    /// The built-in aggregates.
    fn default() -> Registry {
        let kind = |kind: &Kind| (kind.name.to_string(), Arc::new(kind.build) as Builder);
        Registry { kinds: KINDS.iter().map(kind).collect() }
    }
}

impl Debug for Registry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Registry {
    /// Adds an aggregate under a name.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if there is an aggregate of that name.
    pub fn add(&mut self, name: &str, builder: Builder) -> Result<()> {
        if self.names().any(|known| known == name) {
            return Err(Error::Plan(format!("there is an aggregate \"{name}\" already")));
        }
        self.kinds.push((name.into(), builder));
        Ok(())
    }

    /// The names of the aggregates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|(name, _)| name.as_str())
    }

    /// The builder of an aggregate.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for an unknown name.
    pub fn builder(&self, kind: &str) -> Result<&Builder> {
        let found = self.kinds.iter().find(|(name, _)| name == kind);
        found.map(|(_, builder)| builder).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Error::Plan(format!("unknown aggregate \"{kind}\"\nhint: there are {names}"))
        })
    }

    /// Builds an aggregate.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for an unknown name, a wrong number of arguments or parameters, a type that
    /// it does not accept, or a parameter out of range.
    pub fn build(&self, call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
        self.builder(call.kind)?(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_told() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|k| k.name != kind.name), "{}", kind.name);
            assert!(!kind.about.is_empty());
        }
        let error = build("medial", &[DataType::Int64]).unwrap_err();
        assert!(
            error.message().starts_with("unknown aggregate \"medial\"\nhint: there are count,")
        );
        let mut registry = Registry::default();
        let again = registry.add("sum", Arc::new(sum::KIND.build)).unwrap_err();
        assert_eq!(again.message(), "there is an aggregate \"sum\" already");
        registry.add("total", Arc::new(sum::KIND.build)).unwrap();
        assert!(registry.builder("total").is_ok() && format!("{registry:?}").contains("\"total\""));
    }

    #[test]
    fn wrong_arguments_are_refused_with_a_hint() {
        let sum = build("sum", &[DataType::Utf8]).unwrap_err();
        assert!(sum.message().starts_with("sum of str\nhint: "), "{sum}");
        assert_eq!(build("sum", &[]).unwrap_err().message(), "sum takes one argument, not 0");
        assert!(build("count", &[DataType::Int64, DataType::Int64]).is_err());
        assert!(build("mean", &[DataType::Date32]).is_err());
        assert!(build("max", &[DataType::new_list(DataType::Int64, true)]).is_err());
        let (types, parameters) = ([DataType::Int64], [Literal::Int(3)]);
        let call = Call { kind: "sum", types: &types, parameters: &parameters };
        let error = Registry::default().build(&call).unwrap_err();
        assert_eq!(error.message(), "sum takes no parameters, not 1");
    }
}
