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
    let mut known = types.iter().copied().filter(|kind| **kind != DataType::Null);
    let Some(first) = known.next() else { return Ok(DataType::Null) };
    let Some(other) = known.clone().find(|&kind| kind != first) else { return Ok(first.clone()) };
    let all = |test: fn(&DataType) -> bool| test(first) && known.clone().all(test);
    let with_float = first.is_floating() || known.clone().any(DataType::is_floating);
    if all(|kind| kind.is_integer() && *kind != DataType::UInt64) {
        Ok(DataType::Int64)
    } else if with_float && all(|kind| kind.is_integer() || kind.is_floating()) {
        Ok(DataType::Float64)
    } else {
        let odd = known.find(|kind| common_type(&[first, kind]).is_err());
        Err((first, odd.unwrap_or(other)))
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
