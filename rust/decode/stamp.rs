//! Stamping: assigns each row its place in the order of arrival and its judge, and computes each
//! input's clock.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::{DecodedRows, Order, UNDECLARED};
use crate::block::{Block, RowMeta, take_columns};
use crate::error::{Error, Result};
use crate::fate::{Reason, Record};
use crate::origin::{Arrivals, Origins, Series, SourceFacts};
use crate::time::{Micros, NEVER};
use crate::watermark::{Clock, Heard, Watermarks};

/// The rows of one input in a step.
#[derive(Debug)]
pub struct Stamped {
    /// The valid rows, in order of arrival.
    pub block: Block,
    /// The input's clock.
    pub clock: Clock,
    /// All rows as delivered, for the late and invalid tables.
    pub source: Vec<ArrayRef>,
    /// Records of the invalid rows.
    pub invalid: Vec<Record>,
    /// The rows with which event time jumped far ahead.
    pub leaps: Vec<Leap>,
}

/// A row that moves the newest time of a partition far ahead, possibly because of a wrong clock.
#[derive(Debug, Clone, Copy)]
pub struct Leap {
    /// Index of the row in its input in this step.
    pub row: usize,
    /// The newest time before.
    pub from: Micros,
    /// The time of the row.
    pub to: Micros,
}

/// The order of arrival of rows of several inputs.
pub fn order_of(
    inputs: &[DecodedRows],
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
    let key = |at: Micros, &(input, row): &(u32, u32)| {
        let (rows, row) = (&inputs[input as usize], row as usize);
        let position = rows.position.as_ref().map_or(row as i64, |all| all.at(row));
        (at, rows.input, rows.partition.at(row), position)
    };
    let by = |at: &dyn Fn(usize, usize) -> Micros| {
        let mut all = all();
        all.sort_by_key(|place| key(at(place.0 as usize, place.1 as usize), place));
        Some(all)
    };
    match order {
        Order::Given if inputs.len() == 1 => None,
        Order::Given => Some(all()),
        Order::Arrival => by(&|input, row| inputs[input].arrival.at(row)),
        Order::Time => {
            let times: Vec<Vec<Micros>> = inputs.iter().map(times_of).collect();
            by(&|input, row| times[input][row])
        }
    }
}

/// The event time of each row; rows with a null time or an undeclared partition come first.
fn times_of(rows: &DecodedRows) -> Vec<Micros> {
    let mut times = rows.time.clone();
    let none = [Reason::NullTime, Reason::UndeclaredPartition];
    let null = rows.bad.iter().filter(|(_, reason)| none.contains(reason));
    null.for_each(|&(row, _)| times[row as usize] = NEVER);
    times
}

/// For each feed, its index among the inputs and its number of rows.
type Lengths = Vec<(usize, usize)>;

/// Combines the feeds of each input; also returns the length of each feed, in order.
fn gather(feeds: Vec<DecodedRows>) -> Result<(Vec<DecodedRows>, Lengths)> {
    let mut of_input: Vec<Vec<DecodedRows>> = vec![];
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut lengths = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let at = *places.entry(feed.input).or_insert(of_input.len());
        lengths.push((at, feed.time.len()));
        match of_input.get_mut(at) {
            Some(all) => all.push(feed),
            None => of_input.push(vec![feed]),
        }
    }
    Ok((of_input.into_iter().map(joined).collect::<Result<_>>()?, lengths))
}

/// Combines several feeds of one input, copying each column once.
fn joined(feeds: Vec<DecodedRows>) -> Result<DecodedRows> {
    let mut feeds = feeds;
    if feeds.len() > 1 {
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = feeds.iter().map(|f| f.columns[at].as_ref()).collect();
            Ok(concat(&parts)?)
        };
        let columns = (0..feeds[0].columns.len()).map(column).collect::<Result<_>>()?;
        feeds[0].columns = columns;
    }
    let mut feeds = feeds.into_iter();
    let first = feeds.next().ok_or_else(|| Error::Engine("an input without feeds".into()))?;
    Ok(feeds.fold(first, |mut rows, more| {
        append(&mut rows, more);
        rows
    }))
}

/// Appends the row metadata of another feed; the columns are already combined.
fn append(rows: &mut DecodedRows, more: DecodedRows) {
    let len = rows.time.len() as u32;
    let (own, others) = (len as usize, more.time.len());
    rows.bad.extend(more.bad.into_iter().map(|(row, reason)| (row + len, reason)));
    rows.time.extend(more.time);
    rows.partition.append(own, &more.partition, others);
    rows.place.append(own, &more.place, others);
    rows.arrival.append(own, &more.arrival, others);
    if let (Some(all), Some(more)) = (&mut rows.position, &more.position) {
        all.append(own, more, others);
    }
}

/// The position of a row of an undeclared partition, whose rows are not counted.
pub const UNCOUNTED: i64 = i64::MIN;

/// Numbers the rows of a feed where the source does not, continuing each partition's count.
fn count_positions(feed: &mut DecodedRows, watermarks: &mut Watermarks) {
    let len = feed.time.len();
    if let Series::Same(UNDECLARED) = &feed.place {
        feed.position.get_or_insert(Series::Same(UNCOUNTED));
        return;
    }
    if let (Series::Same(place), true) = (&feed.place, len > 0) {
        let partition = watermarks.partition_mut(*place as usize);
        let next = partition.next_position;
        let positions = feed.position.get_or_insert(Series::From(next));
        partition.next_position = positions.at(len - 1).saturating_add(1);
        return;
    }
    let given = feed.position.take();
    let mut positions = Vec::with_capacity(len);
    for row in 0..len {
        if feed.place.at(row) == UNDECLARED {
            positions.push(given.as_ref().map_or(UNCOUNTED, |all| all.at(row)));
            continue;
        }
        let partition = watermarks.partition_mut(feed.place.at(row) as usize);
        let position = given.as_ref().map_or(partition.next_position, |all| all.at(row));
        partition.next_position = position.saturating_add(1);
        positions.push(position);
    }
    feed.position = Some(Series::Each(positions));
}

/// Stamps the rows of all feeds of a step. Changes only the watermarks.
pub fn stamp(
    feeds: Vec<DecodedRows>,
    order: Order,
    schemas: &[SchemaRef],
    watermarks: &mut [Watermarks],
    seq: &mut u64,
) -> Result<Vec<(usize, Stamped)>> {
    let mut feeds = feeds;
    feeds.iter_mut().for_each(|feed| count_positions(feed, &mut watermarks[feed.input]));
    let (mut inputs, lengths) = gather(feeds)?;
    let order = order_of(&inputs, &lengths, order);
    let mut stampings: Vec<Stamping> =
        inputs.iter().map(|rows| Stamping::new(rows, &order, &watermarks[rows.input])).collect();
    let first = *seq;
    *seq += lengths.iter().map(|&(_, len)| len as u64).sum::<u64>();
    match &order {
        None => {
            let rows = &inputs[0];
            stampings[0].rows(rows, 0..rows.time.len(), &mut watermarks[rows.input], first);
        }
        Some(order) => {
            for (&(input, row), seq) in order.iter().zip(first..) {
                let (rows, row) = (&inputs[input as usize], row as usize);
                let watermarks = &mut watermarks[rows.input];
                stampings[input as usize].rows(rows, row..row + 1, watermarks, seq);
            }
        }
    }
    let facts = inputs.iter_mut().map(source_facts).collect();
    let arrivals = Arc::new(Arrivals { first, order, inputs: facts });
    let done = |(stamping, rows): (Stamping, DecodedRows)| {
        let input = rows.input;
        Ok((input, stamping.done(rows, &schemas[input], &arrivals)?))
    };
    stampings.into_iter().zip(inputs).map(done).collect()
}

/// Moves the source facts out of an input's rows.
fn source_facts(rows: &mut DecodedRows) -> SourceFacts {
    let take = |series: &mut Series| std::mem::replace(series, Series::Same(0));
    SourceFacts {
        input: rows.input,
        partition: take(&mut rows.partition),
        position: rows.position.take().unwrap_or(Series::From(0)),
        arrival: take(&mut rows.arrival),
    }
}

/// The state of one input while it is being stamped.
struct Stamping {
    seq: Vec<u64>,
    judge: Vec<Micros>,
    clock: Clock,
    /// The valid rows; `None` if all rows are valid and already in order.
    taken: Option<Vec<u32>>,
    bad: Vec<Option<Reason>>,
    invalid: Vec<(Reason, u64)>,
    leaps: Vec<Leap>,
}

impl Stamping {
    fn new(
        rows: &DecodedRows,
        order: &Option<Vec<(u32, u32)>>,
        watermarks: &Watermarks,
    ) -> Stamping {
        let len = rows.time.len();
        let all = order.is_none() && rows.bad.is_empty();
        let mut bad = vec![];
        if !rows.bad.is_empty() {
            bad = vec![None; len];
            rows.bad.iter().for_each(|&(row, reason)| bad[row as usize] = Some(reason));
        }
        Stamping {
            seq: Vec::with_capacity(len),
            judge: Vec::with_capacity(len),
            clock: Clock::from_watermarks(watermarks),
            taken: (!all).then(|| Vec::with_capacity(len)),
            bad,
            invalid: vec![],
            leaps: vec![],
        }
    }

    /// Adds rows that arrived one after another, the first with this `seq`.
    fn rows(
        &mut self,
        rows: &DecodedRows,
        range: Range<usize>,
        watermarks: &mut Watermarks,
        seq: u64,
    ) {
        let (clock, leaps) = (&mut self.clock, &mut self.leaps);
        let mut judge = |row: usize, seq: u64| {
            let place = rows.place.at(row) as usize;
            let Heard { judge, moved, leapt } = watermarks.row(place, rows.time[row]);
            if moved {
                clock.note(seq, watermarks);
            }
            if let Some(from) = leapt {
                leaps.push(Leap { row, from, to: rows.time[row] });
            }
            judge
        };
        let Some(taken) = &mut self.taken else {
            self.seq.extend(seq..seq + range.len() as u64);
            self.judge.extend(range.zip(seq..).map(|(row, seq)| judge(row, seq)));
            return;
        };
        for (row, seq) in range.zip(seq..) {
            if let Some(reason) = self.bad.get(row).copied().flatten() {
                self.invalid.push((reason, seq));
                continue;
            }
            self.judge.push(judge(row, seq));
            self.seq.push(seq);
            taken.push(row as u32);
        }
    }

    fn done(
        self,
        rows: DecodedRows,
        schema: &SchemaRef,
        arrivals: &Arc<Arrivals>,
    ) -> Result<Stamped> {
        let Stamping { seq, judge, clock, taken, invalid, leaps, .. } = self;
        let source = rows.columns;
        let moved = |taken: &Vec<u32>| taken.len() < rows.time.len() || !taken.is_sorted();
        let (time, columns) = match taken.filter(moved) {
            None => (rows.time, source.clone()),
            Some(taken) => {
                let time = taken.iter().map(|&row| rows.time[row as usize]).collect();
                (time, take_columns(&source, &UInt32Array::from(taken))?)
            }
        };
        let origins = Origins::Step(arrivals.clone());
        let meta = Arc::new(RowMeta { time, seq, judge, origins, ..RowMeta::default() });
        let block = Block { schema: schema.clone(), columns, meta };
        let record = |(reason, seq)| Record::row(reason, u32::MAX, seq, arrivals.origin(seq));
        let invalid = invalid.into_iter().map(record).collect();
        Ok(Stamped { block, clock, source, invalid, leaps })
    }
}
