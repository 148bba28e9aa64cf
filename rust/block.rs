//! Block: rows of one stream within one step, with the metadata that decides what happens to them.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::SchemaRef;

use crate::error::{Error, Result};
use crate::expr::RowColumns;
use crate::origin::{Origin, Origins};
use crate::time::Micros;

/// The window of a fired row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing {
    /// Inclusive start.
    pub start: Micros,
    /// Exclusive end.
    pub end: Micros,
    /// How many times the window has fired before for this key.
    pub revision: i64,
}

impl Firing {
    /// For rows that were not fired.
    pub const NONE: Firing = Firing { start: Micros::MAX, end: Micros::MAX, revision: 0 };
}

/// The metadata of each row, stored beside its columns.
#[derive(Debug, Clone, Default)]
pub struct RowMeta {
    /// Event time, microseconds.
    pub time: Vec<Micros>,
    /// Order of arrival; a fired row has the `seq` of the row that closed its window.
    pub seq: Vec<u64>,
    /// The watermark of the row's own partition, which decides whether it is late.
    pub judge: Vec<Micros>,
    /// Where the rows came from.
    pub origins: Origins,
    /// The window of each row, for streams of fired rows.
    pub firing: Option<Vec<Firing>>,
    /// Rows that were behind the watermark when they were answered.
    pub late: Option<Vec<bool>>,
}

impl RowMeta {
    /// The metadata of the selected rows, in that order.
    pub fn take(&self, rows: &[u32]) -> RowMeta {
        fn pick<T: Copy>(from: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| from[row as usize]).collect()
        }
        RowMeta {
            time: pick(&self.time, rows),
            seq: pick(&self.seq, rows),
            judge: pick(&self.judge, rows),
            origins: self.origins.take(rows),
            firing: self.firing.as_ref().map(|all| pick(all, rows)),
            late: self.late.as_ref().map(|all| pick(all, rows)),
        }
    }

    /// Where a row came from.
    pub fn origin(&self, row: usize) -> Origin {
        self.origins.origin(row, self.seq[row])
    }

    /// The window of a row; for a row that was not fired, an empty one at the end of time.
    pub fn firing_of(&self, row: usize) -> Firing {
        self.firing.as_ref().map_or(Firing::NONE, |firing| firing[row])
    }

    /// The same metadata with these rows marked as late.
    pub fn marked_late(self: &Arc<RowMeta>, rows: &[u32]) -> Arc<RowMeta> {
        if rows.is_empty() {
            return self.clone();
        }
        let mut meta = RowMeta::clone(self);
        let late = meta.late.get_or_insert_with(|| vec![false; self.time.len()]);
        rows.iter().for_each(|&row| late[row as usize] = true);
        Arc::new(meta)
    }

    /// Whether the row was late.
    pub fn is_late(&self, row: usize) -> bool {
        self.late.as_ref().is_some_and(|late| late[row])
    }
}

/// Rows of one stream within one step.
#[derive(Debug, Clone)]
pub struct Block {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The columns, in internal types.
    pub columns: Vec<ArrayRef>,
    /// The metadata of each row.
    pub meta: Arc<RowMeta>,
}

impl Block {
    /// A block without rows.
    pub fn empty(schema: &SchemaRef) -> Block {
        let columns =
            schema.fields().iter().map(|f| arrow_array::new_empty_array(f.data_type())).collect();
        Block { schema: schema.clone(), columns, meta: Arc::default() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.meta.time.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Concatenates blocks with the same columns, using `concat` per column.
    pub fn together(
        blocks: &[&Block],
        concat: impl Fn(&[&dyn Array]) -> Result<ArrayRef>,
    ) -> Result<Block> {
        let [first, ..] = blocks else {
            return Err(Error::Engine("no blocks to put together".into()));
        };
        let column = |k: usize| {
            concat(&blocks.iter().map(|block| block.columns[k].as_ref()).collect::<Vec<_>>())
        };
        let columns: Result<Vec<ArrayRef>> = (0..first.columns.len()).map(column).collect();
        let (mut meta, mut origins) = (RowMeta::default(), vec![]);
        let fired = blocks.iter().any(|block| block.meta.firing.is_some());
        for block in blocks {
            let more = &block.meta;
            meta.time.extend(&more.time);
            meta.seq.extend(&more.seq);
            meta.judge.extend(&more.judge);
            origins.extend((0..block.len()).map(|row| more.origin(row)));
            let late = (0..block.len()).map(|row| more.is_late(row));
            meta.late.get_or_insert_default().extend(late);
            if fired {
                let firing = (0..block.len()).map(|row| more.firing_of(row));
                meta.firing.get_or_insert_default().extend(firing);
            }
        }
        meta.origins = Origins::Each(origins);
        Ok(Block { schema: first.schema.clone(), columns: columns?, meta: Arc::new(meta) })
    }

    /// The selected rows, in that order.
    pub fn take(&self, rows: &[u32]) -> Result<Block> {
        let at = UInt32Array::from(rows.to_vec());
        let columns = take_columns(&self.columns, &at)?;
        Ok(Block { schema: self.schema.clone(), columns, meta: Arc::new(self.meta.take(rows)) })
    }

    /// The rows whose bit is set.
    pub fn filter(&self, keep: &BooleanBuffer) -> Result<Block> {
        if keep.count_set_bits() == self.len() {
            return Ok(self.clone());
        }
        let mask = BooleanArray::new(keep.clone(), None);
        let columns: Result<Vec<ArrayRef>> =
            self.columns.iter().map(|c| Ok(arrow_select::filter::filter(c, &mask)?)).collect();
        let rows: Vec<u32> = keep.set_indices().map(|row| row as u32).collect();
        let meta = Arc::new(self.meta.take(&rows));
        Ok(Block { schema: self.schema.clone(), columns: columns?, meta })
    }

    /// The columns as a record batch.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), self.columns.clone(), &options)?)
    }

    /// The late bits in the form expressions read.
    pub fn late_bits(&self) -> Option<BooleanBuffer> {
        self.meta.late.as_ref().map(|late| BooleanBuffer::from(late.as_slice()))
    }

    /// Calls `work` with the rows in the form expressions read.
    pub fn with_rows<T>(&self, arrival: bool, work: impl FnOnce(&RowColumns<'_>) -> T) -> T {
        let late = self.late_bits();
        let of = |row| self.meta.origin(row).arrival;
        let arrival: Option<Vec<Micros>> = arrival.then(|| (0..self.len()).map(of).collect());
        work(&RowColumns {
            columns: &self.columns,
            len: self.len(),
            late: late.as_ref(),
            arrival: arrival.as_deref(),
        })
    }
}

/// Takes values of several columns; a null index gives a null.
pub fn take_columns(columns: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    columns.iter().map(|c| Ok(arrow_select::take::take(c, rows, None)?)).collect()
}

/// A buffer of `len` bits with those at `rows` cleared.
pub fn all_but(len: usize, rows: impl IntoIterator<Item = usize>) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, true);
    rows.into_iter().for_each(|row| bits.set_bit(row, false));
    bits.finish()
}
