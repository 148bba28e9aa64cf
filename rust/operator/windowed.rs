//! Windows that emit their rows when they close: the code shared by tumbling, hopping and session
//! windows and by silence.

use std::fmt::Debug;
use std::sync::Arc;

use super::flow::{Context, Flow};
use super::prepare::Aggregator;
use super::slots::{SavedPiece, Slot, SlotPart, Slots};
use super::task::Task;
use super::warming::null_unknown;
use super::{CompleteFrom, Operator, Warming};
use crate::block::Block;
use crate::error::Result;
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::fire::{Fired, FiredRow, Shape, assemble};
use crate::graph::TypedAggregates;
use crate::state::Saved;
use crate::time::{Micros, NEVER};
use crate::watermark::Clock;

/// The result of one slot for one step.
#[derive(Debug)]
pub struct SlotOut {
    /// How many rows were counted, late, and so on.
    pub counters: Counters,
    /// Late and invalid rows.
    pub records: Vec<Record>,
    /// Rows fired by closed windows.
    pub fired: Fired,
    /// Records about rows that were not fired, each with the row it refers to.
    pub unfired: Vec<(FiredRow, Record)>,
}

/// A kind of window that fires when it closes.
pub trait Windowed: Send + Sync + Debug {
    /// The state of one range of keys.
    type Slot: Slot + Debug;

    /// Creates an empty slot.
    fn slot(&self, aggregator: &Aggregator) -> Self::Slot;

    /// Whether the slot has work at this clock even if no rows arrived, such as a window to close.
    fn due(&self, slot: &Self::Slot, clock: Micros) -> bool;

    /// Applies the rows in order, fires the windows that the clock has closed, and frees state that
    /// is no longer needed. Fills in the key columns of the fired rows.
    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut Self::Slot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()>;

    /// How far the output's clock lags the input's: every row still to be fired is at least this
    /// recent.
    fn delay(&self) -> Micros;

    /// First window start that is unaffected by rows before `from`.
    fn start_from(&self, from: Micros) -> Micros;

    /// Earliest event time such that all output rows from there on come from windows unaffected by
    /// rows before `from`.
    fn full_from(&self, from: Micros) -> Micros;

    /// Earliest event time from which we can be sure whether a window fires. Differs from `from`
    /// only for `emit="changed"`.
    fn fires_from(&self, from: Micros) -> Micros {
        from
    }

    /// Lower bound on the event time of rows this verb has yet to emit, at this clock.
    fn emits_from(&self, clock: Micros) -> Micros {
        clock
    }

    /// Sets the event time from which the verb has seen all rows; rows before it may be missing.
    fn seen_from(&mut self, _from: Micros) {}

    /// For a verb that has not seen all rows: the event time from which its windows are certain, if
    /// the clock of this step determines it.
    fn sure_from(&self, _clock: &Clock) -> Option<Micros> {
        None
    }

    /// Creates slots that must exist before the first row arrives.
    fn ensure(&self, _slots: &mut Slots<Self::Slot>, _kit: &Aggregator) {}

    /// Saves a slot's state as named parts.
    fn save(&self, aggregator: &Aggregator, slot: &Self::Slot) -> Result<Vec<SlotPart>>;

    /// Restores one saved part into a slot.
    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut Self::Slot,
        part: &str,
        saved: &Saved,
    ) -> Result<()>;
}

/// The operator that runs a [`Windowed`] verb.
#[derive(Debug)]
pub struct WindowOperator<V: Windowed> {
    verb: V,
    aggregator: Aggregator,
    shape: Shape,
    node: u32,
    slots: Slots<V::Slot>,
    counters: Counters,
    clock: Micros,
    warming: Warming,
    /// For each column, the first window start from which its values are known; empty if they
    /// always are.
    starts: Vec<Micros>,
}

impl<V: Windowed> WindowOperator<V> {
    /// Creates an operator without state.
    pub fn new(
        verb: V,
        folding: TypedAggregates,
        shape: Shape,
        node: u32,
    ) -> Result<WindowOperator<V>> {
        let aggregator = Aggregator::new(folding)?;
        let (slots, counters) = (Slots::default(), Counters::default());
        let (warming, starts) = (Warming::default(), vec![]);
        Ok(WindowOperator {
            verb,
            aggregator,
            shape,
            node,
            slots,
            counters,
            clock: NEVER,
            warming,
            starts,
        })
    }

    /// Sets to null the values that unseen rows could have changed.
    fn null_unknown(&mut self, made: Block) -> Result<Block> {
        if self.starts.is_empty() {
            return Ok(made);
        }
        let meta = made.meta.clone();
        let (made, rows) = null_unknown(made, &self.starts, |row| meta.firing_of(row).start)?;
        self.warming.rows += rows.len() as u64;
        let newest = rows.into_iter().map(|row| meta.firing_of(row).end).max();
        self.warming.open_until = self.warming.open_until.max(newest.unwrap_or(NEVER));
        Ok(made)
    }
}

impl<V: Windowed> Operator for WindowOperator<V> {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (verb, aggregator, node) = (&self.verb, &self.aggregator, self.node);
        let prepared = aggregator.prepare(block, node)?;
        let routed = Routed::new(&prepared.keys, &prepared.rows);
        let delay = -verb.delay();
        let base = self.counters.rows_in;
        if let Some(from) = verb.sure_from(clock) {
            self.warming.sure_from = from;
            let least = verb.start_from(from);
            let open = self.starts.iter_mut().filter(|start| **start != NEVER);
            open.for_each(|start| *start = (*start).max(least));
        }
        let facts = super::task::row_facts(&routed, block, clock);
        verb.ensure(&mut self.slots, aggregator);
        let outs = self.slots.run(
            &routed,
            context,
            (|| verb.slot(aggregator), |slot: &V::Slot| verb.due(slot, clock.end())),
            Vec::new,
            |range, slot, outs| {
                let (keys, columns) = (&prepared.keys, prepared.columns.as_slice());
                let facts = &facts[routed.span(range)];
                let task = Task { block, keys, columns, clock, node, facts, base };
                let fired = Fired::new(aggregator.answers());
                let (counters, records, unfired) = (Counters::default(), vec![], vec![]);
                let mut out = SlotOut { counters, records, fired, unfired };
                verb.apply(aggregator, slot, &task, &mut out)?;
                outs.push((range, out));
                Ok(())
            },
        )?;
        self.clock = clock.end();
        let invalid = prepared.invalid.len() as u64;
        let (rows_in, nan) = (block.len() as u64, prepared.nan);
        let counted = Counters { rows_in, invalid, nan, ..Counters::default() };
        context.book(&mut self.counters, counted, prepared.invalid);
        let mut fired = Vec::with_capacity(outs.len());
        let mut unfired = vec![];
        for (range, out) in outs.into_iter().flatten() {
            unfired.extend(out.unfired.into_iter().map(|(row, record)| (row.place(range), record)));
            context.book(&mut self.counters, out.counters, out.records);
            fired.push((range, out.fired));
        }
        let (made, overflowed) = assemble(&self.shape, fired)?;
        let made = self.null_unknown(made)?;
        self.counters.fired += made.len() as u64;
        context.records.extend(overflowed.into_iter().map(|row| {
            let (seq, origin) = (made.meta.seq[row], made.meta.origin(row));
            let window = made.meta.firing.as_ref().map(|all| (all[row].start, all[row].end));
            Record { window, ..Record::row(Reason::SumOverflow, node, seq, origin) }
        }));
        unfired.sort_by_key(|each| each.0);
        context.records.extend(unfired.into_iter().map(|each| each.1));
        Ok((Arc::new(made), clock.shifted(delay)))
    }

    fn peek(&self, _inputs: &[Flow], _records: &mut Vec<Record>) -> Result<Arc<Block>> {
        Ok(Arc::new(Block::empty(&self.shape.schema)))
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

    fn update_completeness(&mut self, inputs: &[&CompleteFrom]) -> CompleteFrom {
        let (rows, answers) = self.warming.since(&self.aggregator.folding, inputs[0]);
        self.verb.seen_from(rows);
        let sure = self.warming.sure_from;
        let (rows, answers) = (rows.max(sure), answers.into_iter().map(|from| from.max(sure)));
        let (verb, fires) = (&self.verb, self.verb.fires_from(rows));
        let keys = self
            .aggregator
            .folding
            .by
            .iter()
            .map(|&at| (NEVER, verb.full_from(inputs[0].of_columns(&[at]))));
        let answer = |from: Micros| (verb.start_from(from), verb.full_from(from));
        let columns: Vec<(Micros, Micros)> = keys
            .chain([(NEVER, NEVER); 2])
            .chain(self.shape.last.then(|| answer(rows)))
            .chain(answers.map(answer))
            .chain(self.shape.revision.then(|| answer(fires)))
            .collect();
        self.starts = columns.iter().map(|column| column.0).collect();
        let columns = columns.into_iter().map(|column| column.1).collect();
        let mut complete = CompleteFrom { rows: verb.full_from(fires), columns };
        complete.at_least(self.warming.open_until);
        complete
    }

    fn emits_from(&self, _inputs: Micros) -> Micros {
        self.verb.emits_from(self.clock)
    }

    fn changed(&self, range: usize, _part: &str) -> u64 {
        self.slots.changed(range)
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        self.slots.save(since, |slot| self.verb.save(&self.aggregator, slot))
    }

    fn load(&mut self, pieces: &[SavedPiece], counters: Counters, clock: Micros) -> Result<()> {
        self.counters = counters;
        self.clock = clock;
        let (verb, aggregator) = (&self.verb, &self.aggregator);
        let load = |slot: &mut V::Slot, part: &str, saved: &Saved| {
            verb.load(aggregator, slot, part, saved)
        };
        self.slots.load(pieces, || verb.slot(aggregator), load)
    }
}
