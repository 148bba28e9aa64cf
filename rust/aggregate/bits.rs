//! `bit_and`, `bit_or` and `bit_xor` of integers, in their own type.

use arrow_schema::DataType;

use super::codec::{put_u64, take_count, take_u64};
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `bit_and` of integers.
pub const AND: Kind = Kind {
    name: "bit_and",
    about: "the bits that all values have",
    build: |call| build(call, BitFold::And),
};

/// `bit_or` of integers.
pub const OR: Kind = Kind {
    name: "bit_or",
    about: "the bits that one of the values has",
    build: |call| build(call, BitFold::Or),
};

/// `bit_xor` of integers.
pub const XOR: Kind = Kind {
    name: "bit_xor",
    about: "the bits that an odd number of values has",
    build: |call| build(call, BitFold::Xor),
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum BitFold {
    And,
    Or,
    Xor,
}

fn build(call: &Call<'_>, how: BitFold) -> Result<Box<dyn Aggregate>> {
    match call.plain()? {
        [output] if output.is_integer() || output.is_null() => {
            Ok(Box::new(Bits { how, output: output.clone() }))
        }
        [other] => Err(call.refuse(other, &format!("{} takes integers", call.kind))),
    }
}

/// State: the bits, and the number of values. All integers fit 64 bits, with or without a sign.
#[derive(Debug)]
struct Bits {
    how: BitFold,
    output: DataType,
}

const BITS: usize = 0;
const ROWS: usize = 1;

fn bits(args: &[Value<'_>]) -> Option<u64> {
    match args[0] {
        Value::I64(v) => Some(v as u64),
        Value::I128(v) => Some(v as u64),
        Value::Unit | Value::F64(_) | Value::Bytes(_) => None,
    }
}

impl Bits {
    fn add(&self, words: &mut [u64], bits: u64, rows: u64) {
        words[BITS] = match self.how {
            BitFold::And if words[ROWS] == 0 => bits,
            BitFold::And => words[BITS] & bits,
            BitFold::Or => words[BITS] | bits,
            BitFold::Xor => words[BITS] ^ bits,
        };
        words[ROWS] += rows;
    }
}

impl Aggregate for Bits {
    fn words(&self) -> usize {
        2
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        if let Some(bits) = bits(args) {
            self.add(cell.words, bits, 1);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if from.words[ROWS] > 0 {
            self.add(into.words, from.words[BITS], from.words[ROWS]);
        }
    }

    fn inverts(&self) -> bool {
        self.how == BitFold::Xor
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        match (self.how, bits(args)) {
            (BitFold::Xor, Some(bits)) => {
                cell.words[BITS] ^= bits;
                cell.words[ROWS] = cell.words[ROWS].saturating_sub(1);
                if cell.words[ROWS] == 0 {
                    cell.words[BITS] = 0;
                }
                Retract::Done
            }
            (_, None) => Retract::Done,
            (BitFold::And | BitFold::Or, Some(_)) => Retract::Stale,
        }
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        let bits = cell.words[BITS];
        match Class::for_type(&self.output) {
            _ if cell.words[ROWS] == 0 => Answer::Null,
            Class::I128 => Answer::I128(bits.into()),
            _ => Answer::I64(bits as i64),
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        put_u64(out, cell.words[ROWS]);
        put_u64(out, cell.words[BITS]);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let (rows, bits) = (take_count(bytes)?, take_u64(bytes)?);
        cell.words.copy_from_slice(&[if rows > 0 { bits } else { 0 }, rows]);
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words.fill(0);
    }
}
