//! Keyed operator: runs a verb that decides about each row from rows of its key.
//!
//! Keys are encoded once a block, rows go to the slot of their key in order, late rows are recorded,
//! the remembered rows' columns are stored and added to the rows that show them, and idle keys are
//! forgotten once the clock has passed their rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, SchemaRef};

use super::flow::{Context, Flow};
use super::keyed_rows::{JudgedRow, KeyedRows, Verdict};
use super::known::Known;
use super::slots::{SavedPiece, SlotPart, Slots};
use super::task::{RowFacts, row_facts};
use super::{Dependence, Operator, Vitals};
use crate::block::{Block, all_but};
use crate::error::{Error, Result};
use crate::exchange::Routed;
use crate::fate::{Counters, Reason, Record};
use crate::graph::TypedKeyed;
use crate::state::saved::Saving;
use crate::state::{Address, ByKey, KeyColumns, Next, Remembered, RememberedRow, RowStore, Saved};
use crate::time::{Micros, NEVER, shift};
use crate::wide;

/// The state of one range of keys.
type KeyedSlot = ByKey<Remembered>;

/// The verdicts of the slots of one thread, in slot order.
#[derive(Debug, Default)]
struct Verdicts {
    each: Vec<Verdict>,
    /// Rows that passed although they are late.
    late: Vec<u32>,
    /// Numbers of rows no longer remembered.
    gone: Vec<u64>,
    counters: Counters,
    records: Vec<Record>,
    ids: Vec<u32>,
}

/// The operator that runs a [`KeyedRows`] verb.
#[derive(Debug)]
pub struct KeyedOperator<V: KeyedRows> {
    verb: V,
    keyed: TypedKeyed,
    schema: SchemaRef,
    vitals: Vitals,
    slots: Slots<KeyedSlot>,
    store: RowStore,
    /// How many rows all keys remember.
    remembered: usize,
    /// Rows before these event times may be missing among those remembered; their keys may be.
    seen: (Micros, Micros),
}

impl<V: KeyedRows> KeyedOperator<V> {
    /// Creates an operator without state.
    pub fn new(verb: V, keyed: TypedKeyed, schema: SchemaRef, node: u32) -> KeyedOperator<V> {
        let types = keyed.shown.iter().map(|&at| schema.field(at).data_type().clone()).collect();
        KeyedOperator {
            verb,
            keyed,
            schema,
            vitals: Vitals::new(node),
            slots: Slots::default(),
            store: RowStore::new(types),
            remembered: 0,
            seen: (NEVER, NEVER),
        }
    }

    /// The keys of a block, and its rows by the range of their key.
    fn routed(&self, block: &Block) -> Result<(KeyColumns, Routed)> {
        let by: Vec<ArrayRef> = self.keyed.by.iter().map(|&at| block.columns[at].clone()).collect();
        let keys = KeyColumns::new(&by, block.len())?;
        let rows: Vec<u32> = (0..block.len() as u32).collect();
        let routed = Routed::new(&keys, &rows);
        Ok((keys, routed))
    }

    /// A slot that holds what the keys of some rows remember.
    fn copied(&self, from: Option<&KeyedSlot>, (keys, rows): (&KeyColumns, &[u32])) -> KeyedSlot {
        let mut copy = ByKey::new(self.verb.memory().reach);
        for row in rows.iter().map(|&row| row as usize).filter(|&row| !keys.is_null(row)) {
            if let Some(remembered) = from.and_then(|slot| slot.get(keys, row)) {
                let id = copy.intern(keys, row);
                *copy.value_mut(id) = remembered.clone();
            }
        }
        copy
    }

    /// The columns that are remembered.
    fn stored_of(&self, block: &Block) -> Vec<ArrayRef> {
        self.keyed.shown.iter().map(|&at| block.columns[at].clone()).collect()
    }

    /// The row as it is judged, and by how much it is late.
    fn judged(&self, time: Micros, limit: Micros) -> (JudgedRow, Option<Micros>) {
        let floor = shift(limit, -self.verb.lateness());
        let late = time < floor;
        let row = JudgedRow { time, limit, late, seen_from: self.seen.0 };
        (row, late.then(|| floor.saturating_sub(time)))
    }

    /// The verdict about a row without a key: it is compared with no other.
    fn without_key(&self, row: &JudgedRow) -> Verdict {
        let unknown = row.time < self.seen.1;
        Verdict { passes: !(unknown && self.verb.drops_unknown()), unknown, ..Verdict::PASS }
    }

    fn run_slot(
        &self,
        (block, keys): (&Block, &KeyColumns),
        (rows, facts): (&[u32], &[RowFacts]),
        slot: &mut KeyedSlot,
        out: &mut Verdicts,
    ) {
        let memory = self.verb.memory();
        let mut ids = std::mem::take(&mut out.ids);
        if keys.has_nulls() {
            let keyed: Vec<u32> =
                rows.iter().copied().filter(|&row| !keys.is_null(row as usize)).collect();
            slot.intern_all(keys, &keyed, &mut ids);
        } else {
            slot.intern_all(keys, rows, &mut ids);
        }
        let mut next = ids.iter();
        for &RowFacts { row, time, before, limit } in facts {
            let has_key = !keys.is_null(row as usize);
            let id = if has_key { next.next().copied() } else { None };
            let (judged, late_by) = self.judged(time, limit);
            if let Some(late_by) = late_by {
                self.late(block, row, late_by, out);
                if !self.verb.passes_late() {
                    out.each.push(Verdict::DROP);
                    continue;
                }
            }
            let verdict = match id {
                Some(id) => {
                    let verdict = self.verb.judge(slot.value(id), &judged);
                    let value = slot.value_mut(id);
                    if verdict.remember {
                        let number = self.vitals.counters.rows_in + u64::from(row);
                        value.insert(RememberedRow { time, number, unknown: verdict.unknown });
                    }
                    memory.forget(value, before, |number| out.gone.push(number));
                    if let Next::At(due) = memory.next(value) {
                        slot.arm(id, due);
                    }
                    verdict
                }
                None => self.without_key(&judged),
            };
            if late_by.is_none() {
                let counter = if verdict.passes {
                    &mut out.counters.counted
                } else {
                    &mut out.counters.filtered
                };
                *counter += 1;
            }
            out.each.push(verdict);
        }
        for &id in &ids {
            if slot.value(id).is_empty() {
                slot.forget(id);
            }
        }
        out.ids = ids;
    }

    /// Counts a late row, and records it unless it already was.
    fn late(&self, block: &Block, row: u32, late_by: Micros, out: &mut Verdicts) {
        out.counters.late += 1;
        let (meta, at) = (&block.meta, row as usize);
        if !(self.verb.passes_late() && meta.is_late(at)) {
            let record = self.vitals.record(Reason::Late, block, at);
            out.records.push(Record { late_by: Some(late_by), ..record });
        }
        if self.verb.passes_late() {
            out.late.push(row);
        }
    }

    /// The rows that pass, with the columns of the rows shown.
    fn output(&self, block: &Arc<Block>, verdicts: &[Verdict], late: &[u32]) -> Result<Arc<Block>> {
        let mut made = Block { meta: block.meta.marked_late(late), ..Block::clone(block) };
        if !self.keyed.shown.is_empty() {
            let shown: Vec<Option<u64>> = verdicts.iter().map(|verdict| verdict.shown).collect();
            let first = self.vitals.counters.rows_in;
            made.columns.extend(self.store.columns(&shown, first, &self.stored_of(block))?);
        }
        made.schema = self.schema.clone();
        let keep = BooleanBuffer::collect_bool(block.len(), |row| verdicts[row].passes);
        Ok(Arc::new(made.filter(&keep)?))
    }

    /// Stores the rows of a block that are remembered, and removes those that no longer are.
    fn store(&mut self, block: &Block, verdicts: &[Verdict], gone: Vec<u64>) -> Result<()> {
        let more = verdicts.iter().filter(|verdict| verdict.remember).count();
        self.remembered = (self.remembered + more).saturating_sub(gone.len());
        if self.keyed.shown.is_empty() {
            return Ok(());
        }
        let first = self.vitals.counters.rows_in;
        let (new, old): (Vec<u64>, Vec<u64>) =
            gone.into_iter().partition(|&number| number >= first);
        let kept = all_but(block.len(), new.into_iter().map(|number| (number - first) as usize));
        let kept: Vec<u32> = kept
            .set_indices()
            .filter(|&row| verdicts[row].remember)
            .map(|row| row as u32)
            .collect();
        let rows = Block { columns: self.stored_of(block), ..block.clone() }.take(&kept)?;
        self.store.remove(&old)?;
        self.store.push(kept.iter().map(|&row| first + u64::from(row)).collect(), rows.columns)
    }

    /// Restores the columns of the remembered rows.
    fn load_store(&mut self, pieces: &[SavedPiece]) -> Result<()> {
        let mut order: Vec<(u64, (usize, usize))> = vec![];
        for (i, piece) in pieces.iter().enumerate() {
            let numbers = piece.saved.u64("number")?;
            order.extend(numbers.iter().enumerate().map(|(row, &number)| (number, (i, row))));
        }
        order.sort_unstable();
        if let Some((number, _)) =
            order.last().filter(|last| last.0 >= self.vitals.counters.rows_in)
        {
            return Err(Error::Snapshot(format!(
                "row {number} of a chunk is not among the rows counted"
            )));
        }
        self.remembered = order.len();
        if self.keyed.shown.is_empty() || order.is_empty() {
            return Ok(());
        }
        let (numbers, order): (Vec<u64>, Vec<(usize, usize)>) = order.into_iter().unzip();
        let column = |(k, data_type): (usize, &DataType)| {
            let parts: Result<Vec<ArrayRef>> =
                pieces.iter().map(|piece| saved_column(&piece.saved, k, data_type)).collect();
            let parts = parts?;
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            wide::interleave(&parts, &order)
        };
        let columns: Result<Vec<ArrayRef>> =
            self.store.types().iter().enumerate().map(column).collect();
        self.store.push(numbers, columns?)
    }
}

/// Notes the rows without a verdict.
fn note_unknown(block: &Block, verdicts: &[Verdict], known: &mut Known) {
    for (row, _) in verdicts.iter().enumerate().filter(|(_, verdict)| verdict.unknown) {
        known.left_open += 1;
        known.open_until = known.open_until.max(shift(block.meta.time[row], 1));
    }
}

/// The verdicts of routed rows in the order of the block.
fn in_block_order(routed: Routed, verdicts: &[Verdict]) -> Vec<Verdict> {
    routed.into_places().into_iter().map(|place| verdicts[place as usize]).collect()
}

/// A stored column of a snapshot.
fn saved_column(saved: &Saved, k: usize, data_type: &DataType) -> Result<ArrayRef> {
    let name = format!("column.{k}");
    let found = saved.column(&name)?;
    if *found.data_type() == wide::saved_as(data_type, found.data_type()) {
        return Ok(found.clone());
    }
    let found = found.data_type();
    Err(Error::Snapshot(format!("column \"{name}\" of a chunk is {found}, not {data_type}")))
}

impl<V: KeyedRows> Operator for KeyedOperator<V> {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        self.seen = (context.known.seen_from, context.known.keys_from);
        let (keys, routed) = self.routed(block)?;
        let facts = row_facts(&routed, block, clock);
        let (memory, end) = (self.verb.memory(), clock.end());
        let mut slots = std::mem::take(&mut self.slots);
        let outs = slots.run(
            &routed,
            context,
            (
                || ByKey::new(memory.reach),
                |slot: &KeyedSlot| slot.due().is_some_and(|due| due <= end),
            ),
            Verdicts::default,
            |address, slot, out| {
                let facts = &facts[routed.span(address)];
                self.run_slot((block, &keys), (routed.rows_of(address), facts), slot, out);
                slot.look(end, |rows| {
                    memory.forget(rows, end, |number| out.gone.push(number));
                    memory.next(rows)
                });
                Ok(())
            },
        );
        self.slots = slots;
        let (mut each, mut late, mut gone) = (Vec::with_capacity(block.len()), vec![], vec![]);
        for out in outs? {
            each.extend(out.each);
            late.extend(out.late);
            gone.extend(out.gone);
            context.book(&mut self.vitals.counters, out.counters, out.records);
        }
        let verdicts = in_block_order(routed, &each);
        let made = self.output(block, &verdicts, &late)?;
        self.store(block, &verdicts, gone)?;
        note_unknown(block, &verdicts, &mut context.known);
        self.vitals.counters.rows_in += block.len() as u64;
        self.vitals.clock = end;
        Ok((made, clock.clone()))
    }

    fn peek(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        self.seen = (context.known.seen_from, context.known.keys_from);
        let (keys, routed) = self.routed(block)?;
        let facts = row_facts(&routed, block, clock);
        let mut out = Verdicts::default();
        for address in Address::all() {
            let (rows, facts) = (routed.rows_of(address), &facts[routed.span(address)]);
            let mut copy = self.copied(self.slots.get(address), (&keys, rows));
            self.run_slot((block, &keys), (rows, facts), &mut copy, &mut out);
        }
        context.records.extend(out.records);
        let verdicts = in_block_order(routed, &out.each);
        Ok((self.output(block, &verdicts, &out.late)?, clock.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Remembered {
            by: &self.keyed.by,
            shown: &self.keyed.shown,
            width: self.schema.fields().len() - self.keyed.shown.len(),
            drops_unknown: self.verb.drops_unknown(),
        }
    }

    fn keys(&self) -> usize {
        self.slots.keys()
    }

    fn bytes(&self) -> usize {
        let remembered = self.remembered * size_of::<RememberedRow>();
        self.slots.bytes() + remembered + self.store.bytes()
    }

    fn changed(&self, address: Address, _name: &str) -> u64 {
        self.slots.changed(address)
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        self.slots.save(since, |slot| {
            let held = slot.iter().flat_map(|(id, rows)| rows.iter().map(move |&row| (id, row)));
            let mut held: Vec<(u32, RememberedRow)> = held.collect();
            held.sort_unstable_by_key(|(_, row)| row.number);
            let ids: Vec<u32> = held.iter().map(|each| each.0).collect();
            let numbers: Vec<Option<u64>> = held.iter().map(|each| Some(each.1.number)).collect();
            let stored = match self.keyed.shown.is_empty() {
                true => vec![],
                false => self.store.columns(&numbers, u64::MAX, &[])?,
            };
            let saved = Saving::default()
                .columns("key", slot.keys().columns(&ids, &self.keyed.key_types)?)
                .i64("time", held.iter().map(|each| each.1.time).collect())
                .u64("number", held.iter().map(|each| each.1.number).collect())
                .u64("unknown", held.iter().map(|each| u64::from(each.1.unknown)).collect())
                .columns("column", stored)
                .done()?;
            Ok(vec![("rows", saved) as SlotPart])
        })
    }

    fn load(&mut self, pieces: &[SavedPiece]) -> Result<()> {
        let (memory, keyed) = (self.verb.memory(), &self.keyed);
        let load = |slot: &mut KeyedSlot, _: &str, saved: &Saved| {
            let keys = saved.columns("key", &keyed.key_types)?;
            let keys = KeyColumns::new(&keys, saved.len())?;
            let (times, numbers) = (saved.i64("time")?, saved.u64("number")?);
            let unknown = saved.u64("unknown")?;
            for row in 0..saved.len() {
                let id = slot.intern(&keys, row);
                let (time, number, unknown) = (times[row], numbers[row], unknown[row] != 0);
                slot.value_mut(id).insert(RememberedRow { time, number, unknown });
                if let Next::At(due) = memory.next(slot.value(id)) {
                    slot.arm(id, due);
                }
            }
            Ok(())
        };
        self.slots.load(pieces, || ByKey::new(memory.reach), load)?;
        self.load_store(pieces)
    }
}
