//! Per-event windows: for each row the aggregates over its key's rows of the last while.
//!
//! `answer(r)` is over the rows of r's key accepted so far, in order of arrival, whose time lies in
//! `(t - size, t]`. A row older than `bound - allowed_lateness` is answered as of that moment; it
//! counts in every later window that holds its time. No row goes without an answer.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;

use super::keyed::{Context, Flow, Kit, Mark, Part, Piece, Prepared, Slots, Task};
use super::running::{AHEAD, Running, SlidingSlot};
use super::warming::leave_open;
use super::{Full, Operator, Warming};
use crate::aggregate::{Answer, AnswerColumn, Column};
use crate::assign::Span;
use crate::block::{Block, Marks};
use crate::error::{Error, Result};
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::fire::gather;
use crate::graph::Folding;
use crate::plan::{self, Answering, NullKey};
use crate::state::log::NONE;
use crate::state::saved::Saving;
use crate::state::{KeyColumns, Saved};
use crate::time::{Micros, NEVER, shift};
use crate::watermark::bound;

/// The operator.
#[derive(Debug)]
pub struct SlidingWindows {
    running: Running,
    rule: Moments,
    schema: SchemaRef,
    node: u32,
    slots: Slots<SlidingSlot>,
    counters: Counters,
    clock: Micros,
    warming: Warming,
    /// For each column the least moment at which it is known; empty if it always is.
    moments: Vec<Micros>,
}

/// Which rows count in an answer.
#[derive(Debug)]
struct Moments {
    lateness: Micros,
    include_current: bool,
    /// Whether rows of one time, which come together, count in each other's answers.
    peers: bool,
    null_is_key: bool,
}

impl Moments {
    /// The moment for which a row is answered, and by how much the row is late.
    fn of(&self, time: Micros, limit: Micros) -> (Micros, Option<Micros>) {
        let floor = shift(limit, -self.lateness);
        (time.max(floor), (time < floor).then(|| floor.saturating_sub(time)))
    }

    /// Whether a row has a key; one without has no answer.
    fn has_key(&self, task: &Task<'_>, row: u32) -> bool {
        self.null_is_key || !task.keys.is_null(row as usize)
    }
}

/// What one slot gives in one step.
struct Answers {
    columns: Vec<AnswerColumn>,
    late: Vec<u32>,
    counters: Counters,
    records: Vec<Record>,
}

impl SlidingWindows {
    /// An operator without state yet.
    pub fn new(
        plan: &plan::Sliding,
        folding: Folding,
        schema: SchemaRef,
        node: u32,
    ) -> Result<SlidingWindows> {
        let spans = plan.sizes.iter().map(|&size| Span::new(size, plan.closed)).collect();
        Ok(SlidingWindows {
            running: Running::new(spans, plan.columns.clone(), Kit::new(folding)?),
            rule: Moments {
                lateness: plan.allowed_lateness,
                include_current: plan.include_current,
                peers: plan.emit == Answering::Watermark,
                null_is_key: plan.null_key == NullKey::Group,
            },
            schema,
            node,
            slots: Slots::default(),
            counters: Counters::default(),
            clock: NEVER,
            warming: Warming::default(),
            moments: vec![],
        })
    }

    /// Keys and arguments of a block.
    pub fn prepare(&self, block: &Block) -> Result<Prepared> {
        self.running.kit.prepare(block, self.node)
    }

    /// How many of them are features.
    pub fn features(&self) -> usize {
        self.running.features.len()
    }

    /// The columns that come out.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// The keys of a slot's rows, in order.
struct Ids(std::vec::IntoIter<u32>);

impl Ids {
    fn new(running: &Running, rule: &Moments, slot: &mut SlidingSlot, task: &Task<'_>) -> Ids {
        let rows = task.marks.iter().map(|mark| mark.row);
        let rows: Vec<u32> = rows.filter(|&row| rule.has_key(task, row)).collect();
        Ids(running.ids(slot, task.keys, &rows).into_iter())
    }

    /// The key of the next row that has one.
    fn next(&mut self, running: &Running, slot: &SlidingSlot, moment: Micros) -> u32 {
        let ahead = self.0.as_slice();
        if ahead.len().is_multiple_of(AHEAD) {
            let ahead = &ahead[..AHEAD.min(ahead.len())];
            std::hint::black_box(running.touch(slot, ahead, moment));
        }
        self.0.next().unwrap_or_default()
    }
}

/// Answers a slot's rows, each on its arrival.
fn on_arrival(
    running: &Running,
    rule: &Moments,
    slot: &mut SlidingSlot,
    task: &Task<'_>,
) -> Answers {
    let mut out = answers(running);
    let mut ids = Ids::new(running, rule, slot, task);
    for &Mark { row, time, limit, .. } in task.marks {
        let (moment, late_by) = rule.of(time, limit);
        match late_by {
            None => out.counters.counted += 1,
            Some(late_by) => {
                out.counters.late += 1;
                out.late.push(row);
                if !task.block.marks.is_late(row as usize) {
                    let record = task.record(Reason::Late, row);
                    out.records.push(Record { late_by: Some(late_by), ..record });
                }
            }
        }
        if !rule.has_key(task, row) {
            out.columns.iter_mut().for_each(|column| column.push(Answer::Null));
            continue;
        }
        let id = ids.next(running, slot, moment);
        running.advance(slot, id, moment);
        if !rule.include_current {
            running.answer(slot, id, moment, NONE, &mut out.columns);
        }
        running.enter(slot, id, time, task.columns, row as usize);
        if rule.include_current {
            running.answer(slot, id, moment, NONE, &mut out.columns);
        }
    }
    out
}

/// Answers a slot's rows, which come in order of time, with their peers of the same time.
fn with_peers(
    running: &Running,
    rule: &Moments,
    slot: &mut SlidingSlot,
    task: &Task<'_>,
) -> Answers {
    let mut out = answers(running);
    let mut ids = Ids::new(running, rule, slot, task);
    for peers in task.marks.chunk_by(|a, b| a.time == b.time) {
        let mut entered = Vec::with_capacity(peers.len());
        for &Mark { row, time, .. } in peers {
            out.counters.counted += 1;
            if !rule.has_key(task, row) {
                entered.push(None);
                continue;
            }
            let id = ids.next(running, slot, time);
            running.advance(slot, id, time);
            let entry = running.enter(slot, id, time, task.columns, row as usize);
            entered.push(Some((id, time, if rule.include_current { NONE } else { entry })));
        }
        for each in entered {
            match each {
                Some((id, time, skip)) => {
                    running.answer(slot, id, time, skip, &mut out.columns);
                }
                None => out.columns.iter_mut().for_each(|column| column.push(Answer::Null)),
            }
        }
    }
    out
}

fn answers(running: &Running) -> Answers {
    let (late, records, counters) = (vec![], vec![], Counters::default());
    Answers { columns: running.columns(), late, counters, records }
}

impl SlidingWindows {
    /// The block with its features; `order` tells where the answer of each row is.
    fn output(
        &self,
        block: &Block,
        order: &[(usize, usize)],
        late: &[u32],
        features: Vec<Vec<ArrayRef>>,
    ) -> Result<Block> {
        let mut columns = block.columns.clone();
        for k in 0..self.running.features.len() {
            columns.push(if features.is_empty() {
                arrow_array::new_empty_array(self.schema.field(columns.len()).data_type())
            } else {
                gather(features.iter().map(|part| &part[k]), order)?
            });
        }
        let marks = if late.is_empty() {
            block.marks.clone()
        } else {
            let mut marks = Marks::clone(&block.marks);
            let bits = marks.late.get_or_insert_with(|| vec![false; block.len()]);
            late.iter().for_each(|&row| bits[row as usize] = true);
            Arc::new(marks)
        };
        Ok(Block { schema: self.schema.clone(), columns, marks })
    }
}

/// The rows of `late` by their place among the rows that are left.
fn places(rows: &[u32], late: &[u32], len: usize) -> Vec<u32> {
    if rows.len() == len {
        return late.to_vec();
    }
    late.iter().filter_map(|row| rows.binary_search(row).ok()).map(|place| place as u32).collect()
}

impl Operator for SlidingWindows {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let node = self.node;
        let prepared = self.running.kit.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, prepared.rows.clone());
        let marks = super::keyed::marks(&routed, block, clock);
        let until = shift(clock.end(), -self.rule.lateness).saturating_sub(self.running.back());
        let (running, rule) = (&self.running, &self.rule);
        let outs = self.slots.run(
            &routed,
            context.threads,
            context.epoch,
            || running.slot(),
            |slot| slot.log.is_due(until),
            |slot, span| {
                let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
                let marks = &marks[span];
                let task = Task { block, keys, columns, clock, node, marks, base: 0 };
                let out = if rule.peers {
                    with_peers(running, rule, slot, &task)
                } else {
                    on_arrival(running, rule, slot, &task)
                };
                running.reclaim(slot, until);
                Ok(out)
            },
        )?;
        self.clock = clock.end();
        let (rows_in, invalid) = (block.len() as u64, prepared.invalid.len() as u64);
        let counted = Counters { rows_in, invalid, nan: prepared.nan, ..Counters::default() };
        context.book(&mut self.counters, counted, prepared.invalid);
        let mut place = vec![(0, 0); block.len()];
        let (mut late, mut features) = (vec![], Vec::with_capacity(outs.len()));
        for (part, (range, out)) in outs.into_iter().enumerate() {
            let rows = routed.of(range);
            rows.iter().enumerate().for_each(|(i, &row)| place[row as usize] = (part, i));
            context.book(&mut self.counters, out.counters, out.records);
            late.extend(out.late);
            let mut overflowed: Vec<usize> =
                out.columns.iter().flat_map(|column| column.overflows().to_vec()).collect();
            overflowed.sort_unstable();
            overflowed.dedup();
            context.records.extend(overflowed.into_iter().map(|i| {
                let (seq, origin) = (&block.marks.seq, &block.marks.origin);
                let row = rows[i] as usize;
                Record::row(Reason::SumOverflow, node, seq[row], origin[row])
            }));
            let columns: Result<Vec<ArrayRef>> =
                out.columns.into_iter().map(AnswerColumn::finish).collect();
            features.push(columns?);
        }
        let order: Vec<(usize, usize)> =
            prepared.rows.iter().map(|&row| place[row as usize]).collect();
        let late = places(&prepared.rows, &late, block.len());
        let made = if prepared.rows.len() == block.len() {
            self.output(block, &order, &late, features)?
        } else {
            self.output(&block.take(&prepared.rows)?, &order, &late, features)?
        };
        let (made, open) = self.leave_open(made, clock.start(), |seq| clock.before(seq))?;
        self.warming.rows += open;
        Ok((Arc::new(made), clock.clone()))
    }

    fn peek(&self, inputs: &[Flow]) -> Result<Arc<Block>> {
        let block = &inputs[0].0;
        let prepared = self.running.kit.prepare(block, self.node)?;
        let mut features = self.running.columns();
        let mut late = vec![];
        for &row in &prepared.rows {
            let (time, judge) = (block.marks.time[row as usize], block.marks.judge[row as usize]);
            let (moment, late_by) = self.rule.of(time, bound(judge, self.clock));
            if late_by.is_some() {
                late.push(row);
            }
            if prepared.keys.is_null(row as usize) && !self.rule.null_is_key {
                features.iter_mut().for_each(|column| column.push(Answer::Null));
                continue;
            }
            let range = prepared.keys.ranges().map_or(0, |ranges| ranges[row as usize] as usize);
            let slot = self.slots.get(range);
            let slot = slot
                .and_then(|slot| slot.keys.get(&prepared.keys, row as usize).map(|id| (slot, id)));
            let current = self.rule.include_current.then_some((time, prepared.columns.as_slice()));
            self.running.peek(slot, moment, current, &mut features);
        }
        let columns: Result<Vec<ArrayRef>> =
            features.into_iter().map(AnswerColumn::finish).collect();
        let order: Vec<(usize, usize)> = (0..prepared.rows.len()).map(|i| (0, i)).collect();
        let late = places(&prepared.rows, &late, block.len());
        let made = self.output(&block.take(&prepared.rows)?, &order, &late, vec![columns?])?;
        Ok(Arc::new(self.leave_open(made, self.clock, |_| self.clock)?.0))
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn keys(&self) -> usize {
        self.slots.keys()
    }

    fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    fn clock(&self) -> Micros {
        self.clock
    }

    fn warming(&self) -> &Warming {
        &self.warming
    }

    fn warming_mut(&mut self) -> &mut Warming {
        &mut self.warming
    }

    fn fill(&mut self, inputs: &[&Full]) -> Full {
        let (_, answers) = self.warming.since(&self.running.kit.folding, inputs[0]);
        let width = self.schema.fields().len() - self.features();
        let feature = |feature: &plan::Feature| {
            // the window `(moment - back, moment]` is to hold no time before this
            let from = answers[feature.aggregate];
            shift(from, self.running.spans[feature.size].back - 1)
        };
        let features: Vec<Micros> = self.running.features.iter().map(feature).collect();
        self.moments = vec![NEVER; width];
        self.moments.extend(&features);
        let mut columns: Vec<Micros> = (0..width).map(|at| inputs[0].of(&[at])).collect();
        columns.extend(&features);
        Full { rows: inputs[0].rows.max(self.warming.seen_from), columns }
    }

    fn changed(&self, range: usize, _part: &str) -> u64 {
        self.slots.changed(range)
    }

    fn save(&self, since: u64) -> Result<Vec<Piece>> {
        self.slots.save(since, |slot| self.save_slot(slot))
    }

    fn load(&mut self, pieces: &[Piece], counters: Counters, clock: Micros) -> Result<()> {
        self.counters = counters;
        self.clock = clock;
        let running = &self.running;
        let load = |slot: &mut SlidingSlot, _: &str, saved: &Saved| load_slot(running, slot, saved);
        self.slots.load(pieces, || running.slot(), load)
    }
}

impl SlidingWindows {
    /// Leaves open what rows that were not seen could have changed; gives how many rows that were.
    /// `before` is the clock before a row, `start` before all.
    fn leave_open(
        &self,
        made: Block,
        start: Micros,
        before: impl Fn(u64) -> Micros,
    ) -> Result<(Block, u64)> {
        let least = self.rule.of(NEVER, start).0;
        if self.moments.iter().all(|&moment| moment <= least) {
            return Ok((made, 0));
        }
        let marks = made.marks.clone();
        let Marks { time, judge, seq, .. } = &*marks;
        let moment = |row: usize| match self.rule.peers {
            true => time[row],
            false => self.rule.of(time[row], bound(judge[row], before(seq[row]))).0,
        };
        let (made, rows) = leave_open(made, &self.moments, moment)?;
        Ok((made, rows.len() as u64))
    }

    /// The log in order of arrival; links and running values are made anew from it.
    fn save_slot(&self, slot: &SlidingSlot) -> Result<Vec<Part>> {
        let (mut ids, mut times) = (vec![], vec![]);
        let mut columns: Vec<Column> = vec![];
        for (position, time, id) in slot.log.iter() {
            let Some((arguments, row)) = slot.log.arguments(position) else { continue };
            if columns.is_empty() {
                columns = arguments.iter().map(Column::empty_like).collect();
            }
            ids.push(id);
            times.push(time);
            columns.iter_mut().zip(arguments).for_each(|(to, from)| to.push(from.get(row)));
        }
        let keys = slot.keys.columns(&ids, &self.running.kit.folding.key_types)?;
        let saved = Saving::default()
            .columns("key", keys)
            .i64("time", times)
            .columns("argument", columns.iter().map(Column::to_array).collect())
            .done()?;
        Ok(vec![("log", saved)])
    }
}

fn load_slot(running: &Running, slot: &mut SlidingSlot, saved: &Saved) -> Result<()> {
    if saved.is_empty() {
        return Ok(());
    }
    let keys = saved.columns("key", &running.kit.folding.key_types)?;
    let keys = KeyColumns::new(&keys, saved.len())?;
    let times = saved.i64("time")?;
    let columns: Result<Vec<Column>> = (0..running.kit.layout.len())
        .map(|j| {
            let column = Column::from_saved(saved.column(&format!("argument.{j}"))?)?;
            if column.len() == saved.len() {
                return Ok(column);
            }
            Err(Error::Snapshot("an argument of a log has another length".into()))
        })
        .collect();
    let columns = columns?;
    let rows: Vec<u32> = (0..saved.len() as u32).collect();
    for ((row, &time), id) in times.iter().enumerate().zip(running.ids(slot, &keys, &rows)) {
        running.advance(slot, id, time);
        running.enter(slot, id, time, &columns, row);
    }
    Ok(())
}
