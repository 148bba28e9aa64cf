//! Row store: columns of rows that are needed later, found by the row's number.
//!
//! Rows lie in chunks in order of their numbers. A chunk is merged with the one before it when that
//! has shrunk to a comparable length, and copied when half of its rows are no longer needed. So `n`
//! rows lie in about `log n` chunks, and each is copied about `log n` times.

use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_schema::DataType;

use crate::block::take_columns;
use crate::error::{Error, Result};
use crate::wide;

/// Rows of adjacent numbers.
#[derive(Debug)]
struct StoreChunk {
    /// The number of each row, rising.
    numbers: Vec<u64>,
    needed: Vec<bool>,
    /// How many rows are needed.
    live: usize,
    columns: Vec<ArrayRef>,
}

impl StoreChunk {
    fn new(numbers: Vec<u64>, columns: Vec<ArrayRef>) -> StoreChunk {
        let live = numbers.len();
        StoreChunk { needed: vec![true; live], numbers, live, columns }
    }

    /// A copy of the needed rows.
    fn shrunk(self) -> Result<StoreChunk> {
        if self.live == self.numbers.len() {
            return Ok(self);
        }
        let kept: Vec<u32> =
            (0..self.numbers.len() as u32).filter(|&row| self.needed[row as usize]).collect();
        let numbers = kept.iter().map(|&row| self.numbers[row as usize]).collect();
        let columns = take_columns(&self.columns, &UInt32Array::from(kept))?;
        Ok(StoreChunk::new(numbers, columns))
    }
}

/// Columns of rows, found by number.
#[derive(Debug)]
pub struct RowStore {
    types: Vec<DataType>,
    chunks: Vec<StoreChunk>,
}

impl RowStore {
    /// A store for columns of these types.
    pub fn new(types: Vec<DataType>) -> RowStore {
        RowStore { types, chunks: vec![] }
    }

    /// The types of its columns; a column may lie in the large type of its own.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    /// Adds rows whose numbers rise and are above all others in the store.
    pub fn push(&mut self, numbers: Vec<u64>, columns: Vec<ArrayRef>) -> Result<()> {
        if !numbers.is_empty() {
            self.chunks.push(StoreChunk::new(numbers, columns));
        }
        self.tidy()
    }

    /// Removes rows.
    pub fn remove(&mut self, numbers: &[u64]) -> Result<()> {
        for &number in numbers {
            let (chunk, row) = self.place(number)?;
            let chunk = &mut self.chunks[chunk];
            if std::mem::take(&mut chunk.needed[row]) {
                chunk.live -= 1;
            }
        }
        if numbers.is_empty() { Ok(()) } else { self.tidy() }
    }

    /// Merges and copies chunks.
    fn tidy(&mut self) -> Result<()> {
        let mut done: Vec<StoreChunk> = Vec::with_capacity(self.chunks.len());
        for mut chunk in std::mem::take(&mut self.chunks).into_iter().filter(|c| c.live > 0) {
            if chunk.live <= chunk.numbers.len() / 2 {
                chunk = chunk.shrunk()?;
            }
            while let Some(before) = done.pop_if(|before| before.live <= 2 * chunk.live) {
                let (before, after) = (before.shrunk()?, chunk.shrunk()?);
                let column = |(a, b): (&ArrayRef, &ArrayRef)| wide::concat(&[a, b]);
                let columns = before.columns.iter().zip(&after.columns).map(column);
                let columns = columns.collect::<Result<_>>()?;
                chunk = StoreChunk::new([before.numbers, after.numbers].concat(), columns);
            }
            done.push(chunk);
        }
        self.chunks = done;
        Ok(())
    }

    fn place(&self, number: u64) -> Result<(usize, usize)> {
        let missing = || Error::Engine(format!("row {number} is not in the store"));
        let chunk = self.chunks.partition_point(|chunk| chunk.numbers[0] <= number);
        let chunk = chunk.checked_sub(1).ok_or_else(missing)?;
        let row = self.chunks[chunk].numbers.binary_search(&number).map_err(|_| missing())?;
        Ok((chunk, row))
    }

    /// The columns of rows, nulls for `None`. Rows from number `first` on are those of `block`,
    /// which are not in the store.
    pub fn columns(
        &self,
        rows: &[Option<u64>],
        first: u64,
        block: &[ArrayRef],
    ) -> Result<Vec<ArrayRef>> {
        let place = |&number: &Option<u64>| match number {
            None => Ok((0, 0)),
            Some(number) if number >= first => Ok((1, (number - first) as usize)),
            Some(number) => self.place(number).map(|(chunk, row)| (chunk + 2, row)),
        };
        let order = rows.iter().map(place).collect::<Result<Vec<_>>>()?;
        let column = |(k, data_type): (usize, &DataType)| {
            let null = new_null_array(data_type, 1);
            let own = match block.get(k) {
                Some(column) => column.clone(),
                None => new_null_array(data_type, 0),
            };
            let stored = self.chunks.iter().map(|chunk| chunk.columns[k].as_ref());
            let parts: Vec<&dyn Array> =
                [null.as_ref(), own.as_ref()].into_iter().chain(stored).collect();
            wide::pick(&parts, &order)
        };
        self.types.iter().enumerate().map(column).collect()
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let column = |column: &ArrayRef| column.get_array_memory_size();
        let of = |chunk: &StoreChunk| {
            chunk.numbers.capacity() * 9 + chunk.columns.iter().map(column).sum::<usize>()
        };
        self.chunks.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn columns(numbers: &[u64]) -> Vec<ArrayRef> {
        let whole: Int64Array = numbers.iter().map(|&n| (n % 5 > 0).then_some(n as i64)).collect();
        let text: StringArray = numbers.iter().map(|n| Some(format!("row {n}"))).collect();
        vec![Arc::new(whole), Arc::new(text)]
    }

    #[test]
    fn rows_are_found_by_number_and_chunks_are_few() {
        let mut store = RowStore::new(vec![DataType::Int64, DataType::Utf8]);
        let (mut needed, mut chance) = (vec![], 7_u64);
        for first in (0..3000).step_by(3) {
            let numbers: Vec<u64> = (first..first + 3).collect();
            store.push(numbers.clone(), columns(&numbers)).unwrap();
            needed.extend(numbers);
            chance = (chance * 1_103_515_245 + 12_345) % 2_147_483_648;
            let gone: Vec<u64> =
                needed.extract_if(.., |n| (*n + chance / 65_536) % 9 == 0).collect();
            store.remove(&gone).unwrap();
            assert!(store.chunks.len() <= 2 + needed.len().ilog2() as usize);
        }
        let rows: Vec<Option<u64>> =
            needed.iter().rev().map(|&n| Some(n)).chain([None, Some(9000)]).collect();
        let found = store.columns(&rows, 9000, &columns(&[9000])).unwrap();
        for (row, number) in rows.iter().enumerate() {
            let whole = found[0].as_primitive::<Int64Type>();
            let expected = number.filter(|n| n % 5 > 0).map(|n| n as i64);
            assert_eq!(whole.is_valid(row).then(|| whole.value(row)), expected);
            let text = crate::show::text(found[1].as_ref(), row);
            assert_eq!(text, number.map_or("null".into(), |n| format!("row {n}")));
        }
        assert!(store.remove(&[9000]).is_err());
        let none = store.columns(&[], 9000, &columns(&[])).unwrap();
        assert_eq!(
            none.iter().map(|c| c.data_type()).collect::<Vec<_>>(),
            store.types().iter().collect::<Vec<_>>()
        );
        store.remove(&needed).unwrap();
        assert!(store.chunks.is_empty() && store.bytes() == 0);
    }
}
