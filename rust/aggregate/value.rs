//! The input and output values of aggregates, independent of Arrow.

use std::fmt::Debug;
use std::ops::Deref;

use arrow_schema::DataType;

/// The greatest number of arguments of an aggregate.
pub const ARGUMENTS_MAX: usize = 2;

/// One item for each argument of an aggregate, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerArgument<T> {
    /// One argument, or none: an aggregate without arguments has one of class [`Class::Unit`].
    One([T; 1]),
    /// Two arguments.
    Two([T; 2]),
}

/// The arguments of one row.
pub type Args<'a> = PerArgument<Value<'a>>;

impl<T> PerArgument<T> {
    /// Applies a function to each item.
    #[inline(always)]
    pub fn map<R>(self, mut of: impl FnMut(T) -> R) -> PerArgument<R> {
        match self {
            PerArgument::One([one]) => PerArgument::One([of(one)]),
            PerArgument::Two([one, two]) => PerArgument::Two([of(one), of(two)]),
        }
    }
}

impl<T> Deref for PerArgument<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        match self {
            PerArgument::One(one) => one,
            PerArgument::Two(two) => two,
        }
    }
}

/// One argument of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A row that counts without a value of its own: `count()`.
    Unit,
    /// Integers, bool (0 or 1), dates, timestamps and durations, in the unit of their column.
    I64(i64),
    /// u64 and decimals, the latter as their unscaled integer.
    I128(i128),
    /// Floats of both widths.
    F64(f64),
    /// Text and binary.
    Bytes(&'a [u8]),
}

/// The answer of an aggregate over the rows it has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// No row had a value.
    Null,
    /// The output type cannot hold the answer: written as null and recorded.
    Overflow,
    /// See [`Value::I64`].
    I64(i64),
    /// See [`Value::I128`].
    I128(i128),
    /// See [`Value::F64`].
    F64(f64),
    /// See [`Value::Bytes`].
    Bytes(&'a [u8]),
    /// A list.
    List(&'a dyn ListValues),
}

/// The items of a list, in order.
pub trait ListValues: Debug {
    /// Calls `visit` with each item.
    fn each(&self, visit: &mut dyn FnMut(Value<'_>));
}

impl PartialEq for dyn ListValues + '_ {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// A row's position in its key's history: by event time, then arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Event time in microseconds.
    pub time: i64,
    /// Ordinal of arrival.
    pub seq: u64,
}

/// The variant of [`Value`] that represents a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// [`Value::Unit`]: no argument, or one of which only the presence matters (lists).
    Unit,
    /// [`Value::I64`].
    I64,
    /// [`Value::I128`].
    I128,
    /// [`Value::F64`].
    F64,
    /// [`Value::Bytes`].
    Bytes,
}

/// The classes of an aggregate's arguments.
pub type Classes = PerArgument<Class>;

impl Classes {
    /// The classes of arguments of these types.
    ///
    /// # Panics
    ///
    /// For more than [`ARGUMENTS_MAX`] types; the graph refuses such aggregates.
    pub fn for_types(types: &[DataType]) -> Classes {
        match types {
            [] => PerArgument::One([Class::Unit]),
            [one] => PerArgument::One([Class::for_type(one)]),
            [one, two] => PerArgument::Two([Class::for_type(one), Class::for_type(two)]),
            _ => panic!("more than {ARGUMENTS_MAX} arguments"),
        }
    }
}

impl Class {
    /// The class of an (already internal_type) Arrow type.
    pub fn for_type(data_type: &DataType) -> Class {
        match data_type {
            DataType::Null
            | DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(_, _)
            | DataType::Duration(_) => Class::I64,
            DataType::UInt64 | DataType::Decimal128(_, _) => Class::I128,
            DataType::Float32 | DataType::Float64 => Class::F64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                Class::Bytes
            }
            _ => Class::Unit,
        }
    }
}

impl<'a> From<Value<'a>> for Answer<'a> {
    /// Converts a value to an answer; `Unit` becomes null.
    fn from(value: Value<'a>) -> Answer<'a> {
        match value {
            Value::Unit => Answer::Null,
            Value::I64(v) => Answer::I64(v),
            Value::I128(v) => Answer::I128(v),
            Value::F64(v) => Answer::F64(v),
            Value::Bytes(v) => Answer::Bytes(v),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_by_time_then_arrival() {
        let at = |time, seq| Moment { time, seq };
        assert!(at(-1, 9) < at(0, 0));
        assert!(at(0, 1) < at(0, 2));
    }
}
