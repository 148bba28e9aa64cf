//! Stamping: rows get their place in the order of arrival, their judge and their input's clock.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::{Order, Rows};
use crate::block::{Block, Marks, Origin, take_columns};
use crate::error::Result;
use crate::fate::{Reason, Record};
use crate::time::{Micros, NEVER};
use crate::watermark::{Clock, Watermarks};

/// The rows of one input in a step.
#[derive(Debug)]
pub struct Stamped {
    /// The rows that can be used, in order of arrival.
    pub block: Block,
    /// The input's clock.
    pub clock: Clock,
    /// All rows as they were handed over, for the late and the invalid table.
    pub source: Vec<ArrayRef>,
    /// The rows that cannot be used.
    pub invalid: Vec<Record>,
}

/// The order in which rows of several inputs count as arrived.
pub fn order_of(
    inputs: &[Rows],
    feeds: &[(usize, usize)],
    order: Order,
) -> Option<Vec<(u32, u32)>> {
    let all = || {
        let mut next = vec![0u32; inputs.len()];
        let mut all = Vec::new();
        for &(input, len) in feeds {
            all.extend((0..len as u32).map(|row| (input as u32, next[input] + row)));
            next[input] += len as u32;
        }
        all
    };
    let key = |of: fn(&Rows, usize) -> Micros, &(input, row): &(u32, u32)| {
        let rows = &inputs[input as usize];
        let at = row as usize;
        let position = rows.position.as_ref().map_or(i64::from(row), |all| all[at]);
        (of(rows, at), rows.input, rows.partition[at], position)
    };
    match order {
        Order::Given if inputs.len() == 1 => None,
        Order::Given => Some(all()),
        Order::Arrival => {
            let mut all = all();
            all.sort_by_key(|place| key(|rows, at| rows.arrival[at], place));
            Some(all)
        }
        Order::Time => {
            let time = |rows: &Rows, at: usize| {
                let null =
                    |&(row, reason): &(u32, Reason)| row == at as u32 && reason == Reason::NullTime;
                if rows.bad.iter().any(null) { NEVER } else { rows.time[at] }
            };
            let mut all = all();
            all.sort_by_key(|place| key(time, place));
            Some(all)
        }
    }
}

/// For each feed: its place among the inputs, and how many rows it has.
type Lengths = Vec<(usize, usize)>;

/// Puts the feeds of each input together; gives with them the lengths of the feeds in order.
fn gather(feeds: Vec<Rows>) -> Result<(Vec<Rows>, Lengths)> {
    let mut inputs: Vec<Rows> = vec![];
    let mut lengths = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let len = feed.time.len();
        match inputs.iter().position(|rows| rows.input == feed.input) {
            None => {
                lengths.push((inputs.len(), len));
                inputs.push(feed);
            }
            Some(at) => {
                lengths.push((at, len));
                append(&mut inputs[at], feed)?;
            }
        }
    }
    Ok((inputs, lengths))
}

fn append(rows: &mut Rows, more: Rows) -> Result<()> {
    let len = rows.time.len() as u32;
    for (column, other) in rows.columns.iter_mut().zip(&more.columns) {
        *column = concat(&[column.as_ref() as &dyn Array, other.as_ref()])?;
    }
    rows.time.extend(more.time);
    rows.bad.extend(more.bad.into_iter().map(|(row, reason)| (row + len, reason)));
    rows.partition.extend(more.partition);
    rows.arrival.extend(more.arrival);
    rows.position = match (rows.position.take(), more.position) {
        (Some(mut all), Some(more)) => {
            all.extend(more);
            Some(all)
        }
        _ => None,
    };
    Ok(())
}

/// Numbers the rows of a feed on from their partitions' last, where the source does not.
fn count_positions(feed: &mut Rows, watermarks: &mut Watermarks) {
    let given = feed.position.take();
    let mut positions = Vec::with_capacity(feed.partition.len());
    for (row, &place) in feed.partition.iter().enumerate() {
        let partition = watermarks.partition_mut(place as usize);
        let position = given.as_ref().map_or(partition.next_position, |all| all[row]);
        partition.next_position = position.saturating_add(1);
        positions.push(position);
    }
    feed.position = Some(positions);
}

/// Stamps the rows of all feeds of a step. Only the watermarks change.
pub fn stamp(
    feeds: Vec<Rows>,
    order: Order,
    schemas: &[SchemaRef],
    watermarks: &mut [Watermarks],
    seq: &mut u64,
) -> Result<Vec<(usize, Stamped)>> {
    let mut feeds = feeds;
    feeds.iter_mut().for_each(|feed| count_positions(feed, &mut watermarks[feed.input]));
    let (inputs, lengths) = gather(feeds)?;
    let order = order_of(&inputs, &lengths, order);
    let mut stamping: Vec<Stamping> =
        inputs.iter().map(|rows| Stamping::new(rows, &watermarks[rows.input])).collect();
    match &order {
        None => {
            for row in 0..inputs[0].time.len() {
                stamping[0].row(&inputs[0], row, &mut watermarks[inputs[0].input], *seq);
                *seq += 1;
            }
        }
        Some(order) => {
            for &(input, row) in order {
                let rows = &inputs[input as usize];
                let watermarks = &mut watermarks[rows.input];
                stamping[input as usize].row(rows, row as usize, watermarks, *seq);
                *seq += 1;
            }
        }
    }
    let done = |(stamping, rows): (Stamping, Rows)| {
        let input = rows.input;
        Ok((input, stamping.done(rows, &schemas[input])?))
    };
    stamping.into_iter().zip(inputs).map(done).collect()
}

/// One input on its way.
struct Stamping {
    marks: Marks,
    clock: Clock,
    rows: Vec<u32>,
    bad: Vec<Option<Reason>>,
    invalid: Vec<Record>,
}

impl Stamping {
    fn new(rows: &Rows, watermarks: &Watermarks) -> Stamping {
        let len = rows.time.len();
        let mut bad = vec![];
        if !rows.bad.is_empty() {
            bad = vec![None; len];
            rows.bad.iter().for_each(|&(row, reason)| bad[row as usize] = Some(reason));
        }
        let marks = Marks {
            time: Vec::with_capacity(len),
            seq: Vec::with_capacity(len),
            judge: Vec::with_capacity(len),
            origin: Vec::with_capacity(len),
            ..Marks::default()
        };
        let clock = Clock::of(watermarks);
        Stamping { marks, clock, rows: Vec::with_capacity(len), bad, invalid: vec![] }
    }

    fn row(&mut self, rows: &Rows, row: usize, watermarks: &mut Watermarks, seq: u64) {
        let place = rows.partition[row] as usize;
        let partition = watermarks.partitions()[place].id;
        let position = rows.position.as_ref().map_or(0, |all| all[row]);
        let (input, arrival) = (rows.input as u32, rows.arrival[row]);
        let origin = Origin { input, row: row as u32, partition, position, arrival };
        if let Some(reason) = self.bad.get(row).copied().flatten() {
            self.invalid.push(Record::row(reason, u32::MAX, seq, origin));
            return;
        }
        let time = rows.time[row];
        let judge = watermarks.row(place, time);
        self.clock.note(seq, watermarks);
        self.marks.time.push(time);
        self.marks.seq.push(seq);
        self.marks.judge.push(judge);
        self.marks.origin.push(origin);
        self.rows.push(row as u32);
    }

    fn done(self, rows: Rows, schema: &SchemaRef) -> Result<Stamped> {
        let in_order = self.rows.len() == rows.time.len() && self.rows.is_sorted();
        let source = rows.columns;
        let columns = if in_order {
            source.clone()
        } else {
            take_columns(&source, &UInt32Array::from(self.rows))?
        };
        let block = Block { schema: schema.clone(), columns, marks: Arc::new(self.marks) };
        Ok(Stamped { block, clock: self.clock, source, invalid: self.invalid })
    }
}
