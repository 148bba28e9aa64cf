//! The common type of the columns of one name that a union brings together.

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::fit::{Fitted, fit};
use super::single::TextsFor;
use crate::error::Result;

/// The type in which a union carries columns of these types, whatever their order; or two of them
/// that have no common type.
///
/// Equal types stay, integers become i64, numbers with a float among them f64. u64 does not mix with
/// other integers alone: not all of its values are an i64.
pub fn common_type<'a>(types: &[&'a DataType]) -> Result<DataType, (&'a DataType, &'a DataType)> {
    let known: Vec<&DataType> =
        types.iter().copied().filter(|kind| **kind != DataType::Null).collect();
    let Some(&first) = known.first() else { return Ok(DataType::Null) };
    common(&known).ok_or_else(|| {
        let odd = known.iter().copied().find(|kind| common(&[first, kind]).is_none());
        // each goes with the first, but not all of them with one another
        (first, odd.unwrap_or(known[known.len() - 1]))
    })
}

/// The common type of types other than null, if they have one.
fn common(types: &[&DataType]) -> Option<DataType> {
    let all = |test: fn(&DataType) -> bool| types.iter().all(|kind| test(kind));
    if types.iter().all(|&kind| kind == types[0]) {
        Some(types[0].clone())
    } else if all(|kind| kind.is_integer() && *kind != DataType::UInt64) {
        Some(DataType::Int64)
    } else if all(|kind| kind.is_integer() || kind.is_floating())
        && types.iter().any(|kind| kind.is_floating())
    {
        Some(DataType::Float64)
    } else {
        None
    }
}

/// `array` in the type that [`common_type`] gave. Integers without an exact float are misfits.
pub fn in_common_type(array: &ArrayRef, to: &DataType) -> Result<Fitted> {
    fit(array, to, TextsFor::Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn numbers_have_a_common_type_in_any_order() {
        use DataType::*;
        let cases: [(&[DataType], Option<DataType>); 12] = [
            (&[], Some(Null)),
            (&[Null, Null], Some(Null)),
            (&[Int8, UInt32], Some(Int64)),
            (&[Int8, Int8], Some(Int8)),
            (&[Int8, Float32], Some(Float64)),
            (&[Float32, Float64], Some(Float64)),
            (&[Null, Utf8, Utf8], Some(Utf8)),
            (&[UInt64, Int64], None),
            (&[UInt64, Float64], Some(Float64)),
            (&[UInt64, Int64, Float64], Some(Float64)),
            (&[Int8, Int16, UInt64], None),
            (&[Int64, Float64, Utf8], None),
        ];
        for (types, expected) in cases {
            for turn in 0..types.len().max(1) {
                let turned: Vec<&DataType> = types[turn..].iter().chain(&types[..turn]).collect();
                assert_eq!(common_type(&turned).ok(), expected, "{turned:?}");
            }
        }
        assert_eq!(common_type(&[&Int8, &Int16, &UInt64]), Err((&Int8, &UInt64)));
        let big: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1]));
        assert_eq!(in_common_type(&big, &Float64).unwrap().misfits.len(), 1);
    }
}
