//! The types with 64-bit offsets, for columns with more text or items than 32 bits can address.

use std::sync::Arc;

use arrow_schema::DataType;

/// The type with 64-bit offsets for one with 32-bit offsets, inside of lists too.
pub fn large(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => Some(DataType::LargeUtf8),
        DataType::Binary | DataType::LargeBinary => Some(DataType::LargeBinary),
        DataType::List(item) | DataType::LargeList(item) => {
            let inner = large(item.data_type()).unwrap_or_else(|| item.data_type().clone());
            Some(DataType::LargeList(Arc::new(item.as_ref().clone().with_data_type(inner))))
        }
        _ => None,
    }
}
