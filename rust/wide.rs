//! Wide columns: more text or bytes in a column of one step than 32-bit offsets can address.
//!
//! Such a column of a block is `LargeUtf8`, `LargeBinary` or `LargeList`, whatever the block's schema
//! says. The block is split into pieces within the limit before a verb or rule reads it and before it
//! leaves the engine. Splitting between rows of different `seq` does not change any result.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, UInt32Array};
use arrow_buffer::ArrowNativeType;
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef};
use arrow_select::take::take;

use crate::block::{Block, RowMeta};
use crate::error::Result;
use crate::limits::TEXT_BYTES_MAX;
use crate::schema::large;

/// The type in which a column may have been saved: the large one if it was wide.
pub fn saved_as(data_type: &DataType, found: &DataType) -> DataType {
    match large(data_type) {
        Some(large) if large == *found => large,
        _ => data_type.clone(),
    }
}

/// Whether a column is large.
fn is_large(column: &ArrayRef) -> bool {
    large(column.data_type()).is_some_and(|large| large == *column.data_type())
}

/// The end of each value relative to the first: in bytes of text; of a list in its items and their
/// bytes.
fn ends(column: &dyn Array) -> Option<Vec<usize>> {
    fn relative<T: ArrowNativeType>(offsets: &[T]) -> Vec<usize> {
        let start = offsets.first().map_or(0, |first| first.as_usize());
        offsets.iter().skip(1).map(|offset| offset.as_usize() - start).collect()
    }
    fn of_items<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Vec<usize> {
        let (offsets, items) = (list.value_offsets(), list.values());
        let (start, end) = match offsets {
            [first, .., last] => (first.as_usize(), last.as_usize()),
            _ => (0, 0),
        };
        let inside = ends(items.slice(start, end - start).as_ref());
        let bytes = |at: usize| match &inside {
            Some(inside) if at > 0 => inside[at - 1],
            _ => 0,
        };
        relative(offsets).into_iter().map(|end| end + bytes(end)).collect()
    }
    Some(match column.data_type() {
        DataType::Utf8 => relative(column.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => relative(column.as_string::<i64>().value_offsets()),
        DataType::Binary => relative(column.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => relative(column.as_binary::<i64>().value_offsets()),
        DataType::List(_) => of_items(column.as_list::<i32>()),
        DataType::LargeList(_) => of_items(column.as_list::<i64>()),
        _ => return None,
    })
}

/// How many bytes of text a column holds; for lists, how many items and bytes.
pub fn bytes(column: &dyn Array) -> usize {
    fn between<T: ArrowNativeType>(offsets: &[T]) -> (usize, usize) {
        let at = |offset: Option<&T>| offset.map_or(0, |offset| offset.as_usize());
        (at(offsets.first()), at(offsets.last()))
    }
    let items = |(start, end): (usize, usize), values: &ArrayRef| {
        end - start + bytes(values.slice(start, end - start).as_ref())
    };
    let text = |(start, end): (usize, usize)| end - start;
    match column.data_type() {
        DataType::Utf8 => text(between(column.as_string::<i32>().value_offsets())),
        DataType::LargeUtf8 => text(between(column.as_string::<i64>().value_offsets())),
        DataType::Binary => text(between(column.as_binary::<i32>().value_offsets())),
        DataType::LargeBinary => text(between(column.as_binary::<i64>().value_offsets())),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            items(between(list.value_offsets()), list.values())
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            items(between(list.value_offsets()), list.values())
        }
        _ => 0,
    }
}

/// Converts columns to one type: large if one of them is, or if `total` bytes are combined.
fn alike(parts: &[&dyn Array], total: usize) -> Result<Option<Vec<ArrayRef>>> {
    let large = parts.first().and_then(|part| large(part.data_type()));
    let Some(large) = large else { return Ok(None) };
    let has_large = parts.iter().any(|part| *part.data_type() == large);
    if !has_large && total <= TEXT_BYTES_MAX {
        return Ok(None);
    }
    parts.iter().map(|part| Ok(cast(*part, &large)?)).collect::<Result<_>>().map(Some)
}

/// Concatenates columns.
pub fn concat(parts: &[&dyn Array]) -> Result<ArrayRef> {
    let total = parts.iter().map(|part| bytes(*part)).sum();
    match alike(parts, total)? {
        None => Ok(arrow_select::concat::concat(parts)?),
        Some(wide) => {
            let wide: Vec<&dyn Array> = wide.iter().map(AsRef::as_ref).collect();
            Ok(arrow_select::concat::concat(&wide)?)
        }
    }
}

/// Picks values from several columns, each by the index of its column and its row.
pub fn interleave(parts: &[&dyn Array], order: &[(usize, usize)]) -> Result<ArrayRef> {
    let all: usize = parts.iter().map(|part| bytes(*part)).sum();
    // Usually each value is used once; only repeated values can make the result larger.
    let total =
        if order.len() <= parts.iter().map(|part| part.len()).sum() { all } else { usize::MAX };
    match alike(parts, total)? {
        None => Ok(arrow_select::interleave::interleave(parts, order)?),
        Some(wide) => {
            let wide: Vec<&dyn Array> = wide.iter().map(AsRef::as_ref).collect();
            Ok(arrow_select::interleave::interleave(&wide, order)?)
        }
    }
}

/// Picks values like [`interleave`], for values that repeat and columns that hold much more than is
/// picked: it takes time and memory for the values picked alone. They have the type of the first
/// column, if they fit.
pub fn pick(parts: &[&dyn Array], order: &[(usize, usize)]) -> Result<ArrayRef> {
    let large = parts.first().and_then(|part| large(part.data_type()));
    let Some(large) = large else { return Ok(arrow_select::interleave::interleave(parts, order)?) };
    let total: usize = order.iter().map(|&(part, row)| value_bytes(parts[part], row)).sum();
    if total <= TEXT_BYTES_MAX && parts.iter().all(|part| *part.data_type() != large) {
        return Ok(arrow_select::interleave::interleave(parts, order)?);
    }
    let mut rows = vec![vec![]; parts.len()];
    order.iter().for_each(|&(part, row)| rows[part].push(row as u32));
    let taken = parts.iter().zip(&rows).map(|(part, rows)| {
        let part = take(*part, &UInt32Array::from(rows.clone()), None)?;
        Ok(cast(&part, &large)?)
    });
    let taken: Vec<ArrayRef> = taken.collect::<Result<_>>()?;
    let taken: Vec<&dyn Array> = taken.iter().map(AsRef::as_ref).collect();
    let mut next = vec![0; parts.len()];
    let place = |&(part, _): &(usize, usize)| {
        next[part] += 1;
        (part, next[part] - 1)
    };
    let order: Vec<(usize, usize)> = order.iter().map(place).collect();
    let made = arrow_select::interleave::interleave(&taken, &order)?;
    // A block of few rows must not be wide because of what lies beside them.
    if total <= TEXT_BYTES_MAX { Ok(cast(&made, parts[0].data_type())?) } else { Ok(made) }
}

/// How many bytes of text a value holds; a list, how many items and bytes.
fn value_bytes(column: &dyn Array, row: usize) -> usize {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value_length(row) as usize,
        DataType::LargeUtf8 => column.as_string::<i64>().value_length(row) as usize,
        DataType::Binary => column.as_binary::<i32>().value_length(row) as usize,
        DataType::LargeBinary => column.as_binary::<i64>().value_length(row) as usize,
        DataType::List(_) | DataType::LargeList(_) => bytes(column.slice(row, 1).as_ref()),
        _ => 0,
    }
}

/// Concatenates blocks with the same columns.
pub fn together(blocks: &[Arc<Block>]) -> Result<Block> {
    Block::together(&blocks.iter().map(AsRef::as_ref).collect::<Vec<_>>(), concat)
}

/// Where a block may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before any row: rows are processed independently.
    Anywhere,
    /// Before a row of another `seq`, because rows fired by one `seq` are ordered together. Within
    /// one `seq` only if it is too large for one block.
    Seqs,
    /// Before a row of another time, because rows of one time see each other.
    Times,
}

impl Cut {
    fn may(self, meta: &RowMeta, row: usize) -> bool {
        match self {
            Cut::Anywhere => true,
            Cut::Seqs => meta.seq[row - 1] != meta.seq[row],
            Cut::Times => meta.time[row - 1] != meta.time[row],
        }
    }
}

/// The rows at which a block is split so that no column of a piece exceeds the limit, as far as the
/// allowed places permit; the last is the number of rows.
fn cuts(block: &Block, cut: Cut) -> Vec<usize> {
    let rows = block.len();
    let ends: Vec<Vec<usize>> =
        block.columns.iter().filter_map(|column| ends(column.as_ref())).collect();
    let is_cut = |&at: &usize| at == rows || cut.may(&block.meta, at);
    let (mut cuts, mut start) = (vec![], 0);
    while start < rows {
        let before = |ends: &Vec<usize>| if start == 0 { 0 } else { ends[start - 1] };
        let fits =
            |ends: &Vec<usize>| ends.partition_point(|&end| end <= before(ends) + TEXT_BYTES_MAX);
        let end = ends.iter().map(fits).min().unwrap_or(rows).clamp(start + 1, rows);
        let holds = |at: usize| ends.iter().all(|e| e[at - 1] - before(e) <= i32::MAX as usize);
        let behind = || (end..=rows).find(is_cut).filter(|&at| cut == Cut::Times || holds(at));
        start = (start + 1..=end).rev().find(is_cut).or_else(behind).unwrap_or(end);
        cuts.push(start);
    }
    cuts
}

impl Block {
    /// Whether it must be split before it is read.
    pub fn is_wide(&self) -> bool {
        self.columns.iter().any(is_large)
    }

    /// Splits the block into pieces whose columns have the types in its schema.
    pub fn pieces(self: &Arc<Block>, cut: Cut) -> Result<Vec<Arc<Block>>> {
        if !self.is_wide() {
            return Ok(vec![self.clone()]);
        }
        let mut start = 0;
        let piece = |end: usize| {
            let rows: Vec<u32> = (start as u32..end as u32).collect();
            start = end;
            let at = UInt32Array::from(rows.clone());
            let column = |(column, field): (&ArrayRef, &FieldRef)| {
                let taken = take(column, &at, None)?;
                Ok(if is_large(column) { cast(&taken, field.data_type())? } else { taken })
            };
            let fields = self.schema.fields();
            let columns = self.columns.iter().zip(fields).map(column).collect::<Result<_>>()?;
            let meta = Arc::new(self.meta.take(&rows));
            Ok(Arc::new(Block { schema: self.schema.clone(), columns, meta }))
        };
        cuts(self, cut).into_iter().map(piece).collect()
    }
}

/// Splits a list into runs of at most the limit of bytes; a larger item is a run of its own.
pub fn runs<T>(all: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut runs, mut start, mut held) = (vec![], 0, 0usize);
    for (at, each) in all.iter().enumerate() {
        let more = bytes(each);
        if at > start && held.saturating_add(more) > TEXT_BYTES_MAX {
            runs.push(&all[start..at]);
            (start, held) = (at, 0);
        }
        held = held.saturating_add(more);
    }
    if start < all.len() {
        runs.push(&all[start..]);
    }
    runs
}

/// The bytes of text in one row of some columns.
pub fn row_bytes(columns: &[ArrayRef], row: usize) -> usize {
    columns.iter().map(|column| bytes(column.slice(row, 1).as_ref())).sum()
}
