//! Silence: emits a row for each key that has sent nothing for a given time, and again while the
//! silence lasts.
//!
//! A silence is the close of a session without aggregates (see [`crate::state::sessions`]): it
//! fires when the clock passes `last + after`, even if the key's own next row moved the clock. Keys
//! in `known=` count as heard when the operator's clock first moves. The end of the data does not
//! count as time passing: only times that the newest event time has passed can fire.
//!
//! An operator that has not seen all rows treats every key as heard as late as it could have been.
//! A row may then come too late, but never for a key that was not silent.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

use super::dependence::WindowFacts;
use super::prepare::Aggregator;
use super::sessions::{self, Spans};
use super::slots::{Slot, SlotPart, Slots};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::assign::{FromRow, Gaps};
use crate::error::{Error, Result};
use crate::fate::{Reason, Record};
use crate::fire::FiredRow;
use crate::graph::TypedAggregates;
use crate::origin::Origin;
use crate::plan;
use crate::state::saved::Saving;
use crate::state::sessions::{NO_ROW, Open, Touch, has_passed};
use crate::state::{Address, KeyColumns, Saved};
use crate::time::{FOREVER, Micros, NEVER, shift};
use crate::watermark::Clock;

/// How many repeats of one silence are emitted at one rise of the clock; only the last ones are
/// kept.
const REPEATS_MAX: i64 = 100;

/// The verb `silent`.
#[derive(Debug)]
pub struct Silence {
    gaps: Gaps,
    every: Option<Micros>,
    known: Option<KnownKeys>,
    windows: FromRow,
}

/// The keys named in `known=`.
#[derive(Debug)]
struct KnownKeys {
    keys: KeyColumns,
    len: usize,
}

/// A silence that is being repeated.
#[derive(Debug, Clone, Copy)]
struct Lasting {
    last: Micros,
    touch: Touch,
    /// When its next row is due.
    due: Micros,
}

/// The state of one range of keys.
#[derive(Debug)]
pub struct SilentSlot {
    spans: Spans,
    /// Repeated silences, by key.
    lasting: HashMap<u32, Vec<Lasting>>,
    /// Known keys waiting for the clock's first move.
    waiting: Vec<u32>,
}

impl Slot for SilentSlot {
    fn keys(&self) -> usize {
        self.spans.keys.len()
    }

    fn bytes(&self) -> usize {
        let lasting: usize = self.lasting.values().map(|all| 48 + all.capacity() * 32).sum();
        self.spans.bytes() + lasting
    }
}

impl Silence {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: &plan::Silent, folding: &TypedAggregates) -> Result<Silence> {
        let known = plan
            .known
            .as_ref()
            .map(|rows| {
                let columns = known_columns(rows, &folding.key_types)?;
                let keys = KeyColumns::new(&columns, rows.len())?;
                Ok::<_, Error>(KnownKeys { keys, len: rows.len() })
            })
            .transpose()?;
        let gaps = Gaps { gap: plan.after, reach: plan.after, lateness: 0 };
        let windows = FromRow { size: plan.after, repeats: plan.every.is_some() };
        Ok(Silence { gaps, every: plan.every, known, windows })
    }

    /// Counts the known keys as heard at the first value of the clock.
    fn found(&self, slot: &mut SilentSlot, task: &Task<'_>, first: Micros) {
        let Some(known) = self.known.as_ref().filter(|_| first != NEVER && first != FOREVER) else {
            return;
        };
        let last = first.max(floor(task));
        for row in std::mem::take(&mut slot.waiting) {
            let found = slot.spans.keys.get(&known.keys, row as usize);
            if last.checked_add(self.gaps.gap).is_some() && found.is_none() {
                let id = slot.spans.key(&known.keys, row as usize);
                let touch = (0, u64::from(row));
                let alone = Open { first, last, opened: touch, newest: touch, row: NO_ROW };
                slot.spans.of[id as usize].open.push(alone);
                slot.spans.timers.arm(self.gaps.until(last), id);
            }
        }
    }

    /// The first value the clock shows in a step; if the clock was already set before anything this
    /// operator has seen, that value belongs to an earlier step.
    fn first_value(&self, task: &Task<'_>) -> Micros {
        let (clock, floor) = (task.clock, floor(task));
        match clock.start() {
            NEVER => clock.rises().first().map_or(NEVER, |rise| rise.1),
            _ if floor != NEVER => floor,
            start => start,
        }
    }

    /// Adds a row that is not late to the sessions of its key.
    fn take(&self, slot: &mut SilentSlot, id: u32, task: &Task<'_>, facts: RowFacts) {
        let (first, last) = (facts.time, facts.time.max(floor(task)));
        let touch = (1, task.ordinal(facts.row));
        let alone = Open { first, last, opened: touch, newest: touch, row: NO_ROW };
        let of = &mut slot.spans.of[id as usize];
        let known = of.open.len();
        of.join(&self.gaps, alone, facts.before, |_, _| {});
        if of.open.len() > known {
            slot.spans.timers.arm(self.gaps.until(last), id);
        }
    }

    /// Fires the silences of a key that the clock has passed at `now`, for the first time or again.
    fn close(
        &self,
        slot: &mut SilentSlot,
        id: u32,
        task: &Task<'_>,
        now: Micros,
        out: &mut SlotOut,
    ) {
        let sessions = &mut slot.spans.of[id as usize];
        while let Some(Open { last, newest: touch, .. }) = sessions.close(&self.gaps, now) {
            let end = self.gaps.until(last);
            fire(task.clock, id, (last, end, touch), out);
            if let Some(due) = self.every.and_then(|every| end.checked_add(every)) {
                slot.lasting.entry(id).or_default().push(Lasting { last, touch, due });
            }
        }
        self.tell_again(slot, id, task, now, out);
        slot.spans.of[id as usize].forget(&self.gaps, now);
    }

    /// Repeats the silences that still last, until the key's next row.
    fn tell_again(
        &self,
        slot: &mut SilentSlot,
        id: u32,
        task: &Task<'_>,
        now: Micros,
        out: &mut SlotOut,
    ) {
        let (Some(every), Some(lasting)) = (self.every, slot.lasting.get_mut(&id)) else { return };
        let sessions = &slot.spans.of[id as usize];
        let firsts = || {
            let closed = sessions.closed.iter().map(|closed| closed.0);
            sessions.open.iter().map(|open| open.first).chain(closed)
        };
        lasting.retain_mut(|each| {
            let heard = firsts().filter(|&first| first > each.last).min();
            let until = heard.unwrap_or(FOREVER);
            while has_passed(now, each.due) && each.due < until {
                let trigger = task.clock.passed(each.due).unwrap_or(0);
                let clock = task.clock.before(trigger + 1).min(now);
                // The repeats that fall due before the clock and before the key was heard again.
                let more = (clock.min(until) - 1).saturating_sub(each.due) / every;
                let skipped = more + 1 - REPEATS_MAX;
                if skipped > 0 {
                    each.due += skipped * every;
                    let last = each.due - every;
                    let row = fired_row(task.clock, (each.last, last, each.touch));
                    out.unfired.push((row, skipped_record(task, row, skipped)));
                }
                fire(task.clock, id, (each.last, each.due, each.touch), out);
                match each.due.checked_add(every) {
                    Some(due) => each.due = due,
                    None => return false,
                }
            }
            each.due < until
        });
        if lasting.is_empty() {
            slot.lasting.remove(&id);
        }
    }
}

/// No key counts as heard before this time.
fn floor(task: &Task<'_>) -> Micros {
    shift(task.seen_from, -1)
}

/// Fires a row for the silence of a key from `last` to `end`.
fn fire(clock: &Clock, id: u32, silence: (Micros, Micros, Touch), out: &mut SlotOut) {
    out.fired.ids.push(id);
    out.fired.push(fired_row(clock, silence), 1);
}

fn fired_row(clock: &Clock, (last, end, touch): (Micros, Micros, Touch)) -> FiredRow {
    let trigger = clock.passed(end).unwrap_or(0);
    FiredRow { trigger, end, start: last, last, revision: 0, touch }
}

/// Creates a record about repeats that were skipped; `row` is the last of them.
fn skipped_record(task: &Task<'_>, row: FiredRow, skipped: i64) -> Record {
    let record = Record::row(Reason::RepeatsSkipped, task.node, row.trigger, Origin::FIRED);
    Record { window: Some((row.start, row.end)), windows: skipped, ..record }
}

/// Converts the keys named in a plan to columns of the types of `by=`.
fn known_columns(rows: &[Vec<serde_json::Value>], types: &[DataType]) -> Result<Vec<ArrayRef>> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let column = |(j, data_type): (usize, &DataType)| {
        let texts: Result<StringArray> = rows
            .iter()
            .map(|row| {
                let found = row.get(j).filter(|_| row.len() == types.len());
                found.map(text).ok_or_else(|| {
                    Error::Plan(format!(
                        "known: a key has {} values, not {}",
                        row.len(),
                        types.len()
                    ))
                })
            })
            .collect();
        let exact = arrow_cast::CastOptions { safe: false, ..Default::default() };
        let texts: ArrayRef = Arc::new(texts?);
        arrow_cast::cast_with_options(&texts, data_type, &exact)
            .map_err(|error| Error::Plan(format!("known: {error}")))
    };
    types.iter().enumerate().map(column).collect()
}

impl Windowed for Silence {
    type Slot = SilentSlot;

    fn slot(&self, _kit: &Aggregator) -> SilentSlot {
        SilentSlot { spans: Spans::new(&self.gaps), lasting: HashMap::new(), waiting: vec![] }
    }

    fn due(&self, slot: &SilentSlot, clock: Micros) -> bool {
        slot.spans.timers.is_due(clock) || (clock != NEVER && !slot.waiting.is_empty())
    }

    fn ensure(&self, slots: &mut Slots<SilentSlot>, aggregator: &Aggregator) {
        let Some(known) = &self.known else { return };
        for address in Address::all() {
            slots.get_or_insert(address, || {
                let here = |row: &u32| known.keys.address(*row as usize) == address;
                let waiting = (0..known.len as u32).filter(here).collect();
                SilentSlot { waiting, ..self.slot(aggregator) }
            });
        }
    }

    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut SilentSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        let first = self.first_value(task);
        for &facts in task.facts {
            self.found(slot, task, facts.before.min(first));
            let known = slot.spans.keys.get(task.keys, facts.row as usize);
            if let Some(id) = known {
                self.close(slot, id, task, facts.before, out);
            }
            if slot.spans.takes(&self.gaps, known, task, facts, out) {
                let id = slot.spans.key(task.keys, facts.row as usize);
                self.take(slot, id, task, facts);
            }
        }
        self.found(slot, task, task.clock.end().min(first));
        let now = task.clock.come_to();
        let due = slot.spans.take_due(now);
        for &id in &due {
            self.close(slot, id, task, now, out);
        }
        out.fired.keys = slot.spans.keys.fired(&out.fired.ids, &aggregator.folding.key_types)?;
        for id in due {
            let again = slot.lasting.get(&id).and_then(|all| all.iter().map(|each| each.due).min());
            slot.spans.look_again(&self.gaps, id, now, again);
        }
        Ok(())
    }

    fn delay(&self) -> Micros {
        1
    }

    fn facts(&self) -> WindowFacts<'_> {
        WindowFacts { has_known_keys: self.known.is_some(), ..WindowFacts::new(&self.windows) }
    }

    fn save(&self, aggregator: &Aggregator, slot: &SilentSlot) -> Result<Vec<SlotPart>> {
        let types = &aggregator.folding.key_types;
        let of = |part: fn(&Open) -> i64| slot.spans.open().map(part).collect();
        let open = slot.spans.save_open(types)?.i64("heard", of(|open| open.newest.0));
        let ordinal = slot.spans.open().map(|open| open.newest.1).collect();
        let open = open.u64("ordinal", ordinal).done()?;
        let waiting = slot.waiting.iter().map(|&row| u64::from(row)).collect();
        let waiting = Saving::default().u64("row", waiting).done()?;
        let mut parts = vec![("open", open), ("waiting", waiting)];
        parts.extend(slot.spans.save_past(types)?);
        let mut lasting: Vec<(u32, Lasting)> = vec![];
        slot.lasting.iter().for_each(|(&id, all)| lasting.extend(all.iter().map(|&one| (id, one))));
        lasting.sort_by_key(|(id, each)| (*id, each.last));
        let ids: Vec<u32> = lasting.iter().map(|(id, _)| *id).collect();
        let of = |part: fn(&Lasting) -> i64| lasting.iter().map(|(_, each)| part(each)).collect();
        let lasting = Saving::default()
            .columns("key", slot.spans.keys.columns(&ids, types)?)
            .i64("last", of(|each| each.last))
            .i64("heard", of(|each| each.touch.0))
            .u64("ordinal", lasting.iter().map(|(_, each)| each.touch.1).collect())
            .i64("due", of(|each| each.due))
            .done()?;
        parts.push(("lasting", lasting));
        Ok(parts)
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut SilentSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        let types = &aggregator.folding.key_types;
        match part {
            "waiting" => {
                let known = self.known.as_ref().map_or(0, |known| known.len as u64);
                let rows = saved.u64("row")?;
                if rows.iter().any(|&row| row >= known) {
                    return Err(Error::Snapshot("a known key is not in the plan".into()));
                }
                slot.waiting = rows.iter().map(|&row| row as u32).collect();
            }
            // Version 0.1.0 called this part "heard".
            "open" | "heard" | "lasting" => {
                let keys = sessions::keys_of(saved, types)?;
                let (last, kind, ordinal) =
                    (saved.i64("last")?, saved.i64("heard")?, saved.u64("ordinal")?);
                let from = match part {
                    "open" => saved.i64("first")?,
                    "heard" => last,
                    _ => saved.i64("due")?,
                };
                for i in 0..saved.len() {
                    let (last, touch) = (last[i], (kind[i], ordinal[i]));
                    if part != "lasting" {
                        let (opened, newest, row) = (touch, touch, NO_ROW);
                        let session = Open { first: from[i], last, opened, newest, row };
                        slot.spans.load_open(&self.gaps, &keys, i, session);
                    } else {
                        let (id, due) = (slot.spans.key(&keys, i), from[i]);
                        slot.lasting.entry(id).or_default().push(Lasting { last, touch, due });
                        slot.spans.timers.arm(due, id);
                    }
                }
            }
            other if slot.spans.load_past(&self.gaps, types, other, saved)? => {}
            other => {
                return Err(Error::Snapshot(format!("silence does not have a part \"{other}\"")));
            }
        }
        Ok(())
    }
}
