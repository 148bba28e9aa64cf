//! Membership in a set of constants.

use std::hash::Hash;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, ArrayRef, BooleanArray, GenericByteArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use hashbrown::HashSet;

use super::cast::ticks;
use crate::limits::AMONG_LIST_MAX;

/// Constants of one type, those that are null aside.
#[derive(Debug, Clone)]
pub struct ConstantSet {
    members: Members,
    has_null: bool,
}

#[derive(Debug, Clone)]
enum Members {
    Whole(Few<i64>),
    Bytes(Few<Box<[u8]>>),
}

#[derive(Debug, Clone)]
enum Few<T> {
    Listed(Vec<T>),
    Hashed(HashSet<T, foldhash::fast::FixedState>),
}

impl<T: Hash + Eq> Few<T> {
    fn new(members: Vec<T>) -> Few<T> {
        if members.len() <= AMONG_LIST_MAX {
            return Few::Listed(members);
        }
        Few::Hashed(members.into_iter().collect())
    }

    fn has<Q: Hash + Eq + ?Sized>(&self, value: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        match self {
            Few::Listed(members) => members.iter().any(|member| member.borrow() == value),
            Few::Hashed(members) => members.contains(value),
        }
    }
}

impl ConstantSet {
    /// The set of constants (arrays of one value, all of one type), where that type has one:
    /// integers, times, text and bytes.
    pub fn from_constants(constants: &[&ArrayRef]) -> Option<ConstantSet> {
        let data_type = constants.first()?.data_type();
        let there: Vec<&ArrayRef> =
            constants.iter().copied().filter(|array| array.is_valid(0)).collect();
        let bytes = |of: fn(&ArrayRef) -> Box<[u8]>| {
            Members::Bytes(Few::new(there.iter().map(|array| of(array)).collect()))
        };
        let members = match data_type {
            DataType::Utf8 => bytes(|array| array.as_string::<i32>().value(0).as_bytes().into()),
            DataType::Binary => bytes(|array| array.as_binary::<i32>().value(0).into()),
            DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Duration(_)
            | DataType::Time64(_) => {
                Members::Whole(Few::new(there.iter().map(|array| ticks(array).value(0)).collect()))
            }
            _ => return None,
        };
        Some(ConstantSet { members, has_null: there.len() < constants.len() })
    }

    /// Which values are in the set; null where the value is, or where only a null could decide.
    pub fn has(&self, array: &ArrayRef) -> BooleanArray {
        let found = match (&self.members, array.data_type()) {
            (Members::Whole(set), _) => {
                let ticks = ticks(array);
                let values: &[i64] = ticks.values();
                BooleanBuffer::collect_bool(values.len(), |i| set.has(&values[i]))
            }
            (Members::Bytes(set), DataType::Binary) => has_bytes(set, array.as_binary::<i32>()),
            (Members::Bytes(set), _) => has_bytes(set, array.as_string::<i32>()),
        };
        let valid = array.nulls().cloned();
        if !self.has_null {
            return BooleanArray::new(found, valid);
        }
        let decided = NullBuffer::new(found.clone());
        BooleanArray::new(found, NullBuffer::union(valid.as_ref(), Some(&decided)))
    }
}

fn has_bytes<T: ByteArrayType<Offset = i32>>(
    set: &Few<Box<[u8]>>,
    array: &GenericByteArray<T>,
) -> BooleanBuffer {
    BooleanBuffer::collect_bool(array.len(), |i| {
        let value: &[u8] = array.value(i).as_ref();
        set.has(value)
    })
}
