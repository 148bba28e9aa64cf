//! Per-event windows: each row is answered with aggregates over its key's recent rows.
//!
//! The answer for row r covers the rows of r's key accepted so far, in order of arrival, whose time
//! is in `(t - size, t]`. A row older than `bound - allowed_lateness` is answered as of that time
//! instead, and includes itself; it counts in every later window that contains its time. Every row
//! gets an answer.

mod answers;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;

use answers::{Answers, SlotRows};

use super::dependence::LookBack;
use super::flow::{Context, Flow};
use super::prepare::{Aggregator, Prepared};
use super::running::{EventWindows, SlidingSlot};
use super::slots::{SavedPiece, SlotPart, Slots};
use super::task::Task;
use super::{Dependence, Operator, Vitals};
use crate::aggregate::{AnswerColumn, ArgumentColumns, Class};
use crate::assign::{AnswerTime, Span};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::graph::TypedAggregates;
use crate::plan::{self, Answering, NullKey};
use crate::state::saved::Saving;
use crate::state::{Address, KeyColumns, Saved};
use crate::time::{Micros, NEVER};
use crate::wide;

/// The operator of the verb `sliding`.
#[derive(Debug)]
pub struct SlidingWindows {
    running: EventWindows,
    rule: Moments,
    schema: SchemaRef,
    slots: Slots<SlidingSlot>,
    vitals: Vitals,
}

/// Which rows count in an answer, and as of which time.
#[derive(Debug)]
struct Moments {
    answered: AnswerTime,
    /// The longest window size.
    longest: Micros,
    /// How long before the row the windows end.
    ago: Micros,
    include_current: bool,
    /// Whether rows with equal times, which arrive together, count in each other's answers.
    peers: bool,
    null_is_key: bool,
}

impl Moments {
    /// The time as of which a row is answered, and by how much the row is late.
    fn answer_time(&self, time: Micros, limit: Micros) -> (Micros, Option<Micros>) {
        (self.answered.at(time, limit), self.answered.late_by(time, limit))
    }

    /// The bounds of the longest window that ends at `moment`.
    fn longest_window(&self, moment: Micros) -> (Micros, Micros) {
        let end = moment.saturating_sub(self.ago);
        (end.saturating_sub(self.longest), end)
    }

    /// Whether a row has a key; a row without one gets nulls.
    fn has_key(&self, task: &Task<'_>, row: u32) -> bool {
        self.null_is_key || !task.keys.is_null(row as usize)
    }
}

impl SlidingWindows {
    /// Creates an operator without state.
    pub fn new(
        plan: &plan::Sliding,
        folding: TypedAggregates,
        schema: SchemaRef,
        node: u32,
    ) -> Result<SlidingWindows> {
        let span = |&size: &Micros| Span::new(size, plan.closed).ago(plan.ago);
        let spans = plan.sizes.iter().map(span).collect();
        Ok(SlidingWindows {
            running: EventWindows::new(spans, plan.columns.clone(), Aggregator::new(folding)?),
            rule: Moments {
                answered: AnswerTime { lateness: plan.allowed_lateness },
                longest: plan.sizes.iter().copied().max().unwrap_or(0),
                ago: plan.ago,
                include_current: plan.include_current,
                peers: plan.emit == Answering::Watermark,
                null_is_key: plan.null_key == NullKey::Group,
            },
            schema,
            slots: Slots::default(),
            vitals: Vitals::new(node),
        })
    }

    /// Evaluates the keys and arguments of a block.
    pub fn prepare(&self, block: &Block) -> Result<Prepared> {
        self.running.aggregator.prepare(block, self.vitals.node)
    }

    /// The bounds of the longest window that ends at `moment`.
    pub fn longest_window(&self, moment: Micros) -> (Micros, Micros) {
        self.rule.longest_window(moment)
    }

    /// Number of output columns that are features.
    pub fn features(&self) -> usize {
        self.running.features.len()
    }

    /// The output schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl SlidingWindows {
    /// Appends the features to the block; `places` holds each row's index among the answers.
    fn output(
        &self,
        block: &Block,
        places: Vec<u32>,
        late: &[u32],
        features: Vec<Vec<ArrayRef>>,
    ) -> Result<Block> {
        let mut columns = block.columns.clone();
        let places = UInt32Array::from(places);
        for k in 0..self.running.features.len() {
            columns.push(if features.is_empty() {
                arrow_array::new_empty_array(self.schema.field(columns.len()).data_type())
            } else {
                match features.as_slice() {
                    [only] => take(&only[k], &places, None)?,
                    several => {
                        let parts: Vec<&dyn Array> =
                            several.iter().map(|part| part[k].as_ref()).collect();
                        take(&wide::concat(&parts)?, &places, None)?
                    }
                }
            });
        }
        Ok(Block { schema: self.schema.clone(), columns, meta: block.meta.marked_late(late) })
    }
}

impl SlidingWindows {
    /// Appends a record for each row with a sum too large for its column; `rows` are the block rows
    /// the answers belong to.
    fn record_overflows(
        &self,
        block: &Block,
        rows: &[u32],
        answers: &[AnswerColumn],
        records: &mut Vec<Record>,
    ) {
        let mut overflowed: Vec<usize> =
            answers.iter().flat_map(|column| column.overflows().to_vec()).collect();
        overflowed.sort_unstable();
        overflowed.dedup();
        records.extend(
            overflowed
                .into_iter()
                .map(|i| self.vitals.record(Reason::SumOverflow, block, rows[i] as usize)),
        );
    }
}

impl SlidingWindows {
    /// Answers the rows of a block; `keeps` is whether they count in later answers.
    fn answer(&mut self, inputs: &[Flow], context: &mut Context, keeps: bool) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let node = self.vitals.node;
        let prepared = self.running.aggregator.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, &prepared.rows);
        let facts = super::task::row_facts(&routed, block, clock);
        let until = self.running.unreachable(self.rule.answered.at(NEVER, clock.end()));
        let (running, rule) = (&self.running, &self.rule);
        let arranged = running.arrange(&prepared.columns, routed.rows());
        let share = routed.len() / context.threads;
        let answer = |address: Address, slot: &mut SlidingSlot, out: &mut Answers| {
            let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
            let span = routed.span(address);
            let (first, facts) = (span.start, &facts[span]);
            let task = Task { block, keys, columns, clock, node, facts, base: 0, seen_from: NEVER };
            let rows = routed.rows_of(address);
            let given = SlotRows { running, rule, task, rows, arranged: &arranged, first };
            if rule.peers {
                given.with_peers(slot, out);
            } else {
                given.on_arrival(slot, out);
            }
        };
        let new = || running.slot();
        let outs = if keeps {
            let due = |slot: &SlidingSlot| slot.log.is_due(until);
            let work = |address: Address, slot: &mut SlidingSlot, out: &mut Answers| {
                answer(address, slot, out);
                running.reclaim(slot, until, &mut out.tapes);
                Ok(())
            };
            self.slots.run(&routed, context, (new, due), || Answers::new(running, share), work)?
        } else {
            let mut out = Answers::new(running, share);
            self.slots.try_out(&routed, new, |address, slot| {
                let rows = (&prepared.keys, routed.rows_of(address));
                running.try_out(slot, rows, |slot| answer(address, slot, &mut out));
            });
            vec![out]
        };
        self.vitals.clock = clock.end();
        let (rows_in, invalid) = (block.len() as u64, prepared.invalid.len() as u64);
        let counted = Counters { rows_in, invalid, nan: prepared.nan, ..Counters::default() };
        context.book(&mut self.vitals.counters, counted, prepared.invalid);
        let (mut late, mut features) = (vec![], Vec::with_capacity(outs.len()));
        let mut rest = routed.rows();
        for out in outs {
            let (rows, behind) = rest.split_at(out.columns.first().map_or(0, AnswerColumn::len));
            rest = behind;
            context.book(&mut self.vitals.counters, out.counters, out.records);
            late.extend(out.late);
            self.record_overflows(block, rows, &out.columns, &mut context.records);
            let columns: Result<Vec<ArrayRef>> =
                out.columns.into_iter().map(AnswerColumn::finish).collect();
            features.push(columns?);
        }
        let order = routed.into_places();
        let late = places(&prepared.rows, &late, block.len());
        let made = if prepared.rows.len() == block.len() {
            self.output(block, order, &late, features)?
        } else {
            self.output(&block.take(&prepared.rows)?, order, &late, features)?
        };
        Ok((Arc::new(made), clock.clone()))
    }
}

/// Converts late block rows to their indices among the rows that remain.
pub fn places(rows: &[u32], late: &[u32], len: usize) -> Vec<u32> {
    if rows.len() == len {
        return late.to_vec();
    }
    late.iter().filter_map(|row| rows.binary_search(row).ok()).map(|place| place as u32).collect()
}

impl Operator for SlidingWindows {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.answer(inputs, context, true)
    }

    fn peek(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.answer(inputs, context, false)
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        let feature = |each: &plan::Feature| (each.aggregate, self.running.span(each.size));
        Dependence::Earlier(LookBack {
            aggregates: &self.running.aggregator.folding,
            width: self.schema.fields().len() - self.features(),
            features: self.running.features.iter().map(feature).collect(),
            answered: self.rule.answered,
            is_sorted: self.rule.peers,
        })
    }

    fn keys(&self) -> usize {
        self.slots.keys()
    }

    fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    fn changed(&self, address: Address, _name: &str) -> u64 {
        self.slots.changed(address)
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        self.slots.save(since, |slot| self.save_slot(slot))
    }

    fn load(&mut self, pieces: &[SavedPiece]) -> Result<()> {
        let running = &self.running;
        let load = |slot: &mut SlidingSlot, _: &str, saved: &Saved| load_slot(running, slot, saved);
        self.slots.load(pieces, || running.slot(), load)
    }
}

impl SlidingWindows {
    /// Saves the rows a window can reach, in order of arrival; links and running values are rebuilt
    /// from them on load.
    fn save_slot(&self, slot: &SlidingSlot) -> Result<Vec<SlotPart>> {
        let (mut ids, mut times) = (vec![], vec![]);
        let mut columns = self.running.arguments();
        let reachable = slot.log.iter().filter(|&(_, time, _)| time > slot.unreachable);
        for (position, time, id) in reachable {
            ids.push(id);
            times.push(time);
            let arguments = columns.iter_mut().enumerate();
            arguments.for_each(|(j, each)| each.push(slot.log.args(position, j).as_deref()));
        }
        let keys = slot.keys.columns(&ids, &self.running.aggregator.folding.key_types)?;
        let mut saved = Saving::default().columns("key", keys).i64("time", times);
        for (j, arguments) in columns.iter().enumerate() {
            for (a, array) in arguments.to_arrays().into_iter().enumerate() {
                saved = saved.column(argument_name(j, a), array);
            }
        }
        Ok(vec![("log", saved.done()?)])
    }
}

/// The name under which argument `a` of aggregate `j` is saved. The first one has a name of its own,
/// as in snapshots from before aggregates had several arguments.
fn argument_name(j: usize, a: usize) -> String {
    if a == 0 { format!("argument.{j}") } else { format!("argument.{j}.{a}") }
}

fn load_slot(running: &EventWindows, slot: &mut SlidingSlot, saved: &Saved) -> Result<()> {
    if saved.is_empty() {
        return Ok(());
    }
    let keys = saved.columns("key", &running.aggregator.folding.key_types)?;
    let keys = KeyColumns::new(&keys, saved.len())?;
    let times = saved.i64("time")?;
    let columns: Result<Vec<ArgumentColumns>> = running
        .aggregator
        .classes()
        .enumerate()
        .map(|(j, classes)| load_arguments(saved, j, &classes))
        .collect();
    let columns = columns?;
    let rows: Vec<u32> = (0..saved.len() as u32).collect();
    let (mut tapes, mut ids) = (running.tapes(saved.len()), vec![]);
    running.ids(slot, &keys, &rows, &mut ids);
    let arranged = running.arrange(&columns, &rows);
    for (row, (&time, id)) in times.iter().zip(ids).enumerate() {
        running.advance(slot, id, time, &mut tapes);
        running.enter(slot, id, time, arranged.at(row), (&columns, row), &mut tapes);
    }
    running.play(slot, &mut tapes, &mut []);
    Ok(())
}

/// The saved arguments of aggregate `j`.
fn load_arguments(saved: &Saved, j: usize, classes: &[Class]) -> Result<ArgumentColumns> {
    let array = |a: usize| saved.column(&argument_name(j, a)).cloned();
    let arrays: Result<Vec<ArrayRef>> = (0..classes.len()).map(array).collect();
    let columns = ArgumentColumns::from_saved(&arrays?)?;
    if columns.len() == saved.len() && columns.has_classes(classes) {
        return Ok(columns);
    }
    Err(Error::Snapshot("the arguments of a log differ from the plan in length or type".into()))
}
