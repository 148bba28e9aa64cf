//! Per-event windows without a length: over all rows of a key since the beginning, or over its last
//! rows.
//!
//! As with windows that have one, a row is answered over the rows of its key that were accepted so
//! far, up to its own time; a row older than `bound - allowed_lateness` is answered as of that time.
//! With `expire_after`, a row whose key's newest row is more than that behind the time it is
//! answered for begins its key anew.

mod kept;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;

use self::kept::{HistorySlot, KeptRow};
use super::dependence::LookBack;
use super::flow::{Context, Flow};
use super::prepare::Aggregator;
use super::sliding::places;
use super::slots::{SavedPiece, SlotPart, Slots};
use super::task::{RowFacts, Task};
use super::{Dependence, Operator, Vitals};
use crate::aggregate::{Answer, AnswerColumn, Layout, Moment, StateRows};
use crate::assign::{AnswerTime, Span};
use crate::error::{Error, Result};
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::graph::TypedAggregates;
use crate::plan::{self, NullKey};
use crate::state::saved::Saving;
use crate::state::{Address, KeyColumns, Saved};
use crate::time::{Micros, NEVER};
use crate::wide;

/// The operator of the verb `history`.
#[derive(Debug)]
pub struct HistoryWindows {
    plan: plan::History,
    rule: HistoryRule,
    aggregator: Aggregator,
    schema: SchemaRef,
    slots: Slots<HistorySlot>,
    vitals: Vitals,
}

/// Which rows count in an answer.
#[derive(Debug)]
struct HistoryRule {
    /// How many of the last rows; all, if not given.
    rows: Option<usize>,
    expire_after: Option<Micros>,
    span: Span,
    answered: AnswerTime,
    ago: Micros,
    include_current: bool,
    null_is_key: bool,
}

/// What some slots give.
struct HistoryAnswers {
    columns: Vec<AnswerColumn>,
    late: Vec<u32>,
    counters: Counters,
    records: Vec<Record>,
    scratch: StateRows,
}

/// A row to be answered.
#[derive(Clone, Copy)]
struct Asked {
    /// The key, if it has rows.
    id: Option<u32>,
    /// No row after this time counts.
    upper: Micros,
    /// The row itself.
    itself: KeptRow,
    /// Whether the row counts whatever its place.
    always: bool,
}

impl HistoryRule {
    fn has_expired(&self, newest: Micros, moment: Micros) -> bool {
        self.expire_after
            .is_some_and(|after| newest != NEVER && moment > newest.saturating_add(after))
    }

    /// Writes the accumulators of an answer to the scratch row.
    fn fold(&self, layout: &Layout, slot: &HistorySlot, asked: Asked, scratch: &mut StateRows) {
        layout.clear(scratch, 0);
        let counts = self.include_current && (asked.always || asked.itself.time <= asked.upper);
        let rows = asked.id.map_or(&[][..], |id| &slot.of[id as usize].rows);
        let before = &rows[..rows.partition_point(|row| row.time <= asked.upper)];
        let (mut skip, mut has_place) = (0, counts);
        if let Some(n) = self.rows {
            // The row itself is among the last ones, unless as many are newer.
            let newer = before.iter().filter(|row| row.time > asked.itself.time).count();
            has_place = counts && (asked.always || newer < n);
            skip = before.len().saturating_sub(n - usize::from(has_place));
        } else if let Some(id) = asked.id {
            layout.merge(scratch, 0, &slot.base, id);
        }
        before[skip..].iter().for_each(|row| layout.merge(scratch, 0, &slot.states, row.state));
        if has_place {
            layout.merge(scratch, 0, &slot.states, asked.itself.state);
        }
    }

    /// Adds up or drops rows that no answer tells apart, forgets a key that has expired, and arms
    /// its timer.
    fn settle(&self, layout: &Layout, slot: &mut HistorySlot, id: u32, clock: Micros) {
        let moment = self.answered.at(NEVER, clock);
        let own = &slot.of[id as usize];
        if own.newest == NEVER {
            return;
        }
        if moment != NEVER && self.has_expired(own.newest, moment) {
            return slot.remove(layout, id);
        }
        let upper = if moment == NEVER { NEVER } else { self.span.upper(moment) };
        let settled = own.rows.partition_point(|row| row.time <= upper);
        let over = settled.saturating_sub(self.rows.unwrap_or(0));
        let old: Vec<KeptRow> = slot.of[id as usize].rows.drain(..over).collect();
        for row in old {
            if self.rows.is_none() {
                layout.merge(&mut slot.base, id, &slot.states, row.state);
            }
            slot.release(layout, row.state);
        }
        let own = &mut slot.of[id as usize];
        let later = |time: Micros| {
            let behind = self.answered.lateness.saturating_add(self.span.front);
            time.saturating_add(behind)
        };
        let folds = own.rows.get(self.rows.unwrap_or(0)).map(|row| later(row.time));
        let expires = self.expire_after.map(|after| later(own.newest.saturating_add(after)));
        let next = folds.into_iter().chain(expires).min().map(|due| due.saturating_add(1));
        if let Some(due) = next.filter(|&due| own.armed.is_none_or(|armed| due < armed)) {
            own.armed = Some(due);
            slot.timers.arm(due, id);
        }
    }
}

impl HistoryWindows {
    /// Creates an operator without state.
    pub fn new(
        plan: &plan::History,
        folding: TypedAggregates,
        schema: SchemaRef,
        node: u32,
    ) -> Result<HistoryWindows> {
        let rule = HistoryRule {
            rows: plan.rows.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX)),
            expire_after: plan.expire_after,
            span: Span::new(Micros::MAX, plan.closed).ago(plan.ago),
            answered: AnswerTime { lateness: plan.allowed_lateness },
            ago: plan.ago,
            include_current: plan.include_current,
            null_is_key: plan.null_key == NullKey::Group,
        };
        let (slots, vitals) = (Slots::default(), Vitals::new(node));
        let (plan, aggregator) = (plan.clone(), Aggregator::new(folding)?);
        Ok(HistoryWindows { plan, rule, aggregator, schema, slots, vitals })
    }

    fn slot(&self) -> HistorySlot {
        let span = self.plan.expire_after.unwrap_or(self.plan.allowed_lateness);
        HistorySlot::new(&self.aggregator.layout, span.max(1), self.rule.rows.is_none())
    }

    fn given(&self) -> HistoryAnswers {
        let layout = &self.aggregator.layout;
        let columns =
            self.plan.columns.iter().map(|feature| {
                AnswerColumn::new(layout.items[feature.aggregate].0.output_type(), 0)
            });
        let mut scratch = layout.hot();
        scratch.push();
        let (counters, columns) = (Counters::default(), columns.collect());
        HistoryAnswers { columns, late: vec![], counters, records: vec![], scratch }
    }

    fn push(&self, columns: &mut [AnswerColumn], states: &StateRows, row: u32) {
        for (column, feature) in columns.iter_mut().zip(&self.plan.columns) {
            column.push(self.aggregator.layout.evaluate(states, row, feature.aggregate));
        }
    }

    /// Answers one row of a slot; `keeps` is whether it counts in later answers.
    fn answer(
        &self,
        slot: &mut HistorySlot,
        task: &Task<'_>,
        facts: RowFacts,
        keeps: bool,
        out: &mut HistoryAnswers,
    ) {
        let (rule, layout) = (&self.rule, &self.aggregator.layout);
        let RowFacts { row, time, limit, .. } = facts;
        let moment = rule.answered.at(time, limit);
        let late_by = rule.answered.late_by(time, limit);
        match late_by {
            None => out.counters.counted += 1,
            Some(late_by) => self.late(task, row, (moment, late_by), out),
        }
        if !rule.null_is_key && task.keys.is_null(row as usize) {
            out.columns.iter_mut().for_each(|column| column.push(Answer::Null));
            return;
        }
        let at = Moment { time, seq: task.ordinal(row) };
        let state = slot.state_of(layout, task.columns, row as usize, at);
        let (upper, itself) = (rule.span.upper(moment), KeptRow { time, state });
        let always = late_by.is_some() && rule.ago == 0;
        let expired =
            |slot: &HistorySlot, id: u32| rule.has_expired(slot.of[id as usize].newest, moment);
        if !keeps {
            let id = slot.keys.get(task.keys, row as usize).filter(|&id| !expired(slot, id));
            rule.fold(layout, slot, Asked { id, upper, itself, always }, &mut out.scratch);
            self.push(&mut out.columns, &out.scratch, 0);
            return slot.release(layout, state);
        }
        let id = slot.key(task.keys, row as usize);
        if expired(slot, id) {
            slot.clear(layout, id);
        }
        let newest = slot.of[id as usize].newest;
        if rule.rows.is_none() && newest.max(time) <= upper {
            // All rows count, and the row itself if it is asked for.
            if rule.include_current {
                slot.add(layout, id, itself);
                self.push(&mut out.columns, &slot.total, id);
            } else {
                self.push(&mut out.columns, &slot.total, id);
                slot.add(layout, id, itself);
            }
        } else {
            rule.fold(
                layout,
                slot,
                Asked { id: Some(id), upper, itself, always },
                &mut out.scratch,
            );
            self.push(&mut out.columns, &out.scratch, 0);
            slot.add(layout, id, itself);
        }
        rule.settle(layout, slot, id, facts.before);
    }

    fn late(
        &self,
        task: &Task<'_>,
        row: u32,
        (moment, late_by): (Micros, Micros),
        out: &mut HistoryAnswers,
    ) {
        out.counters.late += 1;
        out.late.push(row);
        if !task.block.meta.is_late(row as usize) {
            let window = Some((NEVER, moment.saturating_sub(self.rule.ago)));
            let record = task.record(Reason::Late, row);
            out.records.push(Record { window, late_by: Some(late_by), ..record });
        }
    }

    /// Answers the rows of a block.
    fn answer_all(&mut self, inputs: &[Flow], context: &mut Context, keeps: bool) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let node = self.vitals.node;
        let prepared = self.aggregator.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, &prepared.rows);
        let facts = super::task::row_facts(&routed, block, clock);
        let (now, base) = (clock.end(), self.vitals.counters.rows_in);
        let mut slots = std::mem::take(&mut self.slots);
        let this = &*self;
        let work = |address: Address, slot: &mut HistorySlot, out: &mut HistoryAnswers| {
            let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
            let facts = &facts[routed.span(address)];
            let task = Task { block, keys, columns, clock, node, facts, base, seen_from: NEVER };
            facts.iter().for_each(|&facts| this.answer(slot, &task, facts, keeps, out));
        };
        let outs = if keeps {
            let due = |slot: &HistorySlot| slot.timers.is_due(now);
            let run = |address: Address, slot: &mut HistorySlot, out: &mut HistoryAnswers| {
                work(address, slot, out);
                for id in slot.timers.take_due(now) {
                    slot.of[id as usize].armed = None;
                    this.rule.settle(&this.aggregator.layout, slot, id, now);
                }
                Ok(())
            };
            slots.run(&routed, context, (|| this.slot(), due), || this.given(), run)
        } else {
            let mut out = this.given();
            slots.try_out(&routed, || this.slot(), |address, slot| work(address, slot, &mut out));
            Ok(vec![out])
        };
        self.slots = slots;
        self.vitals.clock = now;
        let (rows_in, invalid) = (block.len() as u64, prepared.invalid.len() as u64);
        let counted = Counters { rows_in, invalid, nan: prepared.nan, ..Counters::default() };
        context.book(&mut self.vitals.counters, counted, prepared.invalid);
        let (mut late, mut features, mut rest) = (vec![], vec![], routed.rows());
        for out in outs? {
            let (rows, behind) = rest.split_at(out.columns.first().map_or(0, AnswerColumn::len));
            rest = behind;
            context.book(&mut self.vitals.counters, out.counters, out.records);
            late.extend(out.late);
            let mut over: Vec<usize> =
                out.columns.iter().flat_map(|column| column.overflows().to_vec()).collect();
            over.sort_unstable();
            over.dedup();
            let record =
                |i: usize| self.vitals.record(Reason::SumOverflow, block, rows[i] as usize);
            context.records.extend(over.into_iter().map(record));
            let columns = out.columns.into_iter().map(AnswerColumn::finish);
            features.push(columns.collect::<Result<Vec<ArrayRef>>>()?);
        }
        let row_places = UInt32Array::from(routed.into_places());
        let kept = match prepared.rows.len() == block.len() {
            true => block.as_ref().clone(),
            false => block.take(&prepared.rows)?,
        };
        let late = places(&prepared.rows, &late, block.len());
        let mut columns = kept.columns.clone();
        for k in 0..self.plan.columns.len() {
            let parts: Vec<&dyn Array> = features.iter().map(|part| part[k].as_ref()).collect();
            columns.push(match parts.is_empty() {
                true => arrow_array::new_empty_array(self.schema.field(columns.len()).data_type()),
                false => take(&wide::concat(&parts)?, &row_places, None)?,
            });
        }
        let meta = kept.meta.marked_late(&late);
        let made = crate::block::Block { schema: self.schema.clone(), columns, meta };
        Ok((Arc::new(made), clock.clone()))
    }
}

impl Operator for HistoryWindows {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.answer_all(inputs, context, true)
    }

    fn peek(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.answer_all(inputs, context, false)
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        let feature = |each: &plan::Feature| (each.aggregate, self.rule.span);
        Dependence::Earlier(LookBack {
            aggregates: &self.aggregator.folding,
            width: self.schema.fields().len() - self.plan.columns.len(),
            features: self.plan.columns.iter().map(feature).collect(),
            answered: self.rule.answered,
            is_sorted: false,
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
        let mut slots = std::mem::take(&mut self.slots);
        let load =
            |slot: &mut HistorySlot, part: &str, saved: &Saved| self.load_slot(slot, part, saved);
        let loaded = slots.load(pieces, || self.slot(), load);
        self.slots = slots;
        loaded
    }
}

impl HistoryWindows {
    fn save_slot(&self, slot: &HistorySlot) -> Result<Vec<SlotPart>> {
        let (layout, types) = (&self.aggregator.layout, &self.aggregator.folding.key_types);
        let bytes = |states: &StateRows, row: u32| {
            let mut bytes = Vec::new();
            layout.save(states, row, &mut bytes);
            bytes
        };
        let known = |&id: &u32| slot.of[id as usize].newest != NEVER;
        let ids: Vec<u32> = (0..slot.of.len() as u32).filter(known).collect();
        let newest = ids.iter().map(|&id| slot.of[id as usize].newest).collect();
        let base: Vec<Vec<u8>> = ids.iter().map(|&id| bytes(&slot.base, id)).collect();
        let keys = Saving::default()
            .columns("key", slot.keys.columns(&ids, types)?)
            .i64("newest", newest)
            .binary("state", &base)
            .done()?;
        let of = |&id: &u32| slot.of[id as usize].rows.iter().map(move |&row| (id, row));
        let rows: Vec<(u32, KeptRow)> = ids.iter().flat_map(of).collect();
        let ids: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let states: Vec<Vec<u8>> =
            rows.iter().map(|row| bytes(&slot.states, row.1.state)).collect();
        let rows = Saving::default()
            .columns("key", slot.keys.columns(&ids, types)?)
            .i64("time", rows.iter().map(|row| row.1.time).collect())
            .binary("state", &states)
            .done()?;
        Ok(vec![("keys", keys), ("rows", rows)])
    }

    fn load_slot(&self, slot: &mut HistorySlot, part: &str, saved: &Saved) -> Result<()> {
        let layout = &self.aggregator.layout;
        let keys = saved.columns("key", &self.aggregator.folding.key_types)?;
        let keys = KeyColumns::new(&keys, saved.len())?;
        let state = saved.binary("state")?;
        let time = match part {
            "keys" => saved.i64("newest")?,
            "rows" => saved.i64("time")?,
            other => {
                let message = format!("a window of rows does not have a part \"{other}\"");
                return Err(Error::Snapshot(message));
            }
        };
        for (row, &time) in time.iter().enumerate() {
            let id = slot.key(&keys, row);
            if part == "keys" {
                layout.load(&mut slot.base, id, state.value(row))?;
                layout.merge(&mut slot.total, id, &slot.base, id);
                let own = &mut slot.of[id as usize];
                own.newest = own.newest.max(time);
            } else {
                let at = slot.state();
                layout.load(&mut slot.states, at, state.value(row))?;
                slot.add(layout, id, KeptRow { time, state: at });
            }
            // The timer is armed anew: at the next step at the latest.
            slot.of[id as usize].armed = None;
            slot.timers.arm(NEVER + 1, id);
        }
        Ok(())
    }
}
