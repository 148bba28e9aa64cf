//! Fire: the order and the shape of the rows that windows give.
//!
//! Order: the row that closed the window (its trigger), window end, window start, range of the key,
//! first touch of the key. Nothing of it depends on threads, cuts or ids.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;

use crate::aggregate::AnswerColumn;
use crate::block::{Block, Firing, Marks};
use crate::error::Result;
use crate::origin::Origins;
use crate::time::Micros;

/// One fired row, before it has columns.
#[derive(Debug, Clone, Copy)]
pub struct FiredRow {
    /// `seq` of the row that closed the window.
    pub trigger: u64,
    /// Window end, exclusive.
    pub end: Micros,
    /// Window start.
    pub start: Micros,
    /// The key's newest row, for sessions and silence.
    pub last: Micros,
    /// How often the window was fired before.
    pub revision: i64,
    /// First touch of the key, as (pane, ordinal of the row), where the slot does not fire in that order.
    pub touch: (Micros, u64),
}

/// What one slot fired in one step.
#[derive(Debug)]
pub struct Fired {
    /// The rows.
    pub rows: Vec<FiredRow>,
    /// Their keys.
    pub ids: Vec<u32>,
    /// The aggregates' columns.
    pub answers: Vec<AnswerColumn>,
    /// The key columns, once the slot has looked them up.
    pub keys: Vec<ArrayRef>,
}

impl Fired {
    /// Nothing fired yet.
    pub fn new(answers: Vec<AnswerColumn>) -> Fired {
        Fired { rows: vec![], ids: vec![], answers, keys: vec![] }
    }
}

/// How fired rows become columns.
#[derive(Debug)]
pub struct Shape {
    /// The columns of the rows.
    pub schema: SchemaRef,
    /// Zone of the bounds.
    pub zone: Option<Arc<str>>,
    /// Whether there is a column `last_event_time`.
    pub last: bool,
    /// Whether there is a column `revision`.
    pub revision: bool,
}

/// Puts what the slots fired, by rising range, into one block. Gives also the rows whose
/// aggregates overflowed.
pub fn assemble(shape: &Shape, slots: Vec<(usize, Fired)>) -> Result<(Block, Vec<usize>)> {
    let slots: Vec<(usize, Fired)> = slots.into_iter().filter(|s| !s.1.rows.is_empty()).collect();
    if slots.is_empty() {
        return Ok((Block::empty(&shape.schema), vec![]));
    }
    let order = order(&slots);
    let rows: Vec<FiredRow> = order.iter().map(|&(slot, i)| slots[slot].1.rows[i]).collect();
    let mut overflowed = vec![];
    let mut parts: Vec<(Vec<ArrayRef>, Vec<ArrayRef>)> = Vec::with_capacity(slots.len());
    let mut over: Vec<(usize, usize)> = vec![];
    for (slot, (_, fired)) in slots.into_iter().enumerate() {
        for column in &fired.answers {
            over.extend(column.overflows().iter().map(|&i| (slot, i)));
        }
        let answers: Result<Vec<ArrayRef>> =
            fired.answers.into_iter().map(AnswerColumn::finish).collect();
        parts.push((fired.keys, answers?));
    }
    if !over.is_empty() {
        overflowed = (0..order.len()).filter(|&i| over.contains(&order[i])).collect();
    }
    let mut columns = Vec::with_capacity(shape.schema.fields().len());
    for k in 0..parts[0].0.len() {
        columns.push(gather(parts.iter().map(|part| &part.0[k]), &order)?);
    }
    let bound = |at: fn(&FiredRow) -> Micros| -> ArrayRef {
        let array: TimestampMicrosecondArray = rows.iter().map(|row| Some(at(row))).collect();
        Arc::new(array.with_timezone_opt(shape.zone.clone()))
    };
    columns.push(bound(|row| row.start));
    columns.push(bound(|row| row.end));
    if shape.last {
        columns.push(bound(|row| row.last));
    }
    for j in 0..parts[0].1.len() {
        columns.push(gather(parts.iter().map(|part| &part.1[j]), &order)?);
    }
    if shape.revision {
        columns.push(Arc::new(rows.iter().map(|row| row.revision).collect::<Int64Array>()));
    }
    let marks = marks(&rows);
    Ok((Block { schema: shape.schema.clone(), columns, marks: Arc::new(marks) }, overflowed))
}

fn marks(rows: &[FiredRow]) -> Marks {
    let time: Vec<Micros> = rows.iter().map(|row| row.end - 1).collect();
    Marks {
        judge: time.clone(),
        time,
        seq: rows.iter().map(|row| row.trigger).collect(),
        origins: Origins::Fired,
        firing: Some(
            rows.iter()
                .map(|row| Firing { start: row.start, end: row.end, revision: row.revision })
                .collect(),
        ),
        late: None,
    }
}

/// Values of one column out of each slot's part of it.
pub fn gather<'a>(
    parts: impl Iterator<Item = &'a ArrayRef>,
    order: &[(usize, usize)],
) -> Result<ArrayRef> {
    let parts: Vec<&dyn arrow_array::Array> = parts.map(AsRef::as_ref).collect();
    if parts.len() == 1 && order.len() == parts[0].len() && order.windows(2).all(|w| w[0] < w[1]) {
        return Ok(arrow_array::make_array(parts[0].to_data()));
    }
    Ok(arrow_select::interleave::interleave(&parts, order)?)
}

/// The place (slot, row) of each row in the order of output. Rows of one window of one slot stand
/// together already, so only these runs are sorted.
fn order(slots: &[(usize, Fired)]) -> Vec<(usize, usize)> {
    struct Run {
        key: (u64, Micros, Micros, usize, (Micros, u64)),
        slot: usize,
        rows: std::ops::Range<usize>,
    }
    let mut runs: Vec<Run> = Vec::new();
    for (slot, (range, fired)) in slots.iter().enumerate() {
        let mut start = 0;
        for i in 1..=fired.rows.len() {
            let first = &fired.rows[start];
            let same = fired.rows.get(i).is_some_and(|row| {
                (row.trigger, row.end, row.start, row.touch)
                    == (first.trigger, first.end, first.start, first.touch)
            });
            if !same {
                let key = (first.trigger, first.end, first.start, *range, first.touch);
                runs.push(Run { key, slot, rows: start..i });
                start = i;
            }
        }
    }
    runs.sort_by_key(|run| run.key);
    runs.into_iter().flat_map(|run| run.rows.map(move |row| (run.slot, row))).collect()
}
