//! Silence: a row for each key that sent nothing for a while.
//!
//! A key falls silent when the clock passes `last + after`; it does so once, until it is heard
//! again. `known=` keys count as heard when the operator's clock first moves.
//!
//! A verb that has not seen all rows counts every key as heard when the newest of them were: it may
//! have been. So a row comes too late rather than for a key that was not silent.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

use super::keyed::{Kit, Mark, Part, Slot, Slots, Task};
use super::windowed::{SlotOut, Windowed, passed};
use crate::error::{Error, Result};
use crate::fate::{Reason, Record};
use crate::fire::FiredRow;
use crate::graph::Folding;
use crate::plan;
use crate::state::saved::Saving;
use crate::state::{KeyColumns, Keys, RANGES, Saved, Timers};
use crate::time::{FOREVER, Micros, NEVER, shift};
use crate::watermark::Clock;

/// The verb.
#[derive(Debug)]
pub struct Silence {
    after: Micros,
    known: Option<Known>,
    /// No key counts as heard before this.
    floor: Micros,
}

/// Keys that are expected.
#[derive(Debug)]
struct Known {
    keys: KeyColumns,
    len: usize,
}

/// What a slot knows of a key.
#[derive(Debug, Clone, Copy)]
struct Heard {
    last: Micros,
    /// Known keys come before those that were heard.
    touch: (Micros, u64),
    armed: bool,
}

/// The keys of one range.
#[derive(Debug)]
pub struct SilentSlot {
    keys: Keys,
    heard: Vec<Heard>,
    timers: Timers,
    /// Known keys that wait for the clock to move for the first time.
    waiting: Vec<u32>,
}

impl Slot for SilentSlot {
    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.heard.capacity() * 24 + self.timers.bytes()
    }
}

impl SilentSlot {
    fn hear(&mut self, columns: &KeyColumns, row: usize, heard: Heard) -> u32 {
        let id = self.keys.intern(columns, row);
        self.heard.resize(self.keys.capacity(), heard);
        self.heard[id as usize] = heard;
        id
    }
}

impl Silence {
    /// The verb with a plan's parameters.
    pub fn new(plan: &plan::Silent, folding: &Folding) -> Result<Silence> {
        let known = plan
            .known
            .as_ref()
            .map(|rows| {
                let columns = known_columns(rows, &folding.key_types)?;
                let keys = KeyColumns::new(&columns, rows.len())?;
                Ok::<_, Error>(Known { keys, len: rows.len() })
            })
            .transpose()?;
        Ok(Silence { after: plan.after, known, floor: NEVER })
    }

    /// Counts the known keys as heard at the first value of the clock.
    fn found(&self, slot: &mut SilentSlot, last: Micros) {
        let Some(known) = self.known.as_ref().filter(|_| last != NEVER && last != FOREVER) else {
            return;
        };
        for row in std::mem::take(&mut slot.waiting) {
            if slot.keys.get(&known.keys, row as usize).is_none() {
                let last = last.max(self.floor);
                let heard = Heard { last, touch: (0, u64::from(row)), armed: true };
                let id = slot.hear(&known.keys, row as usize, heard);
                slot.timers.arm(self.until(last), id);
            }
        }
    }

    /// The first value that a clock shows in a step; a clock that stood before all that a verb has
    /// seen, showed it before.
    fn first_value(&self, clock: &Clock) -> Micros {
        match clock.start() {
            NEVER => clock.rises().first().map_or(NEVER, |rise| rise.1),
            _ if self.floor != NEVER => self.floor,
            start => start,
        }
    }

    fn until(&self, last: Micros) -> Micros {
        last.saturating_add(self.after)
    }

    fn close(&self, slot: &mut SilentSlot, id: u32, clock: &Clock, now: Micros, out: &mut SlotOut) {
        let heard = &mut slot.heard[id as usize];
        if !heard.armed || now <= self.until(heard.last) {
            return;
        }
        heard.armed = false;
        let (start, end) = (heard.last, self.until(heard.last));
        let trigger = passed(clock, end).unwrap_or(0);
        out.fired.ids.push(id);
        let (last, touch) = (start, heard.touch);
        out.fired.push(FiredRow { trigger, end, start, last, revision: 0, touch }, 1);
    }
}

/// The keys named in a plan, as columns of the types of `by=`.
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

    fn slot(&self, _kit: &Kit) -> SilentSlot {
        let timers = Timers::new(self.after);
        SilentSlot { keys: Keys::default(), heard: vec![], timers, waiting: vec![] }
    }

    fn due(&self, slot: &SilentSlot, clock: Micros) -> bool {
        slot.timers.is_due(clock) || (clock != NEVER && !slot.waiting.is_empty())
    }

    fn ensure(&self, slots: &mut Slots<SilentSlot>, kit: &Kit) {
        let Some(known) = &self.known else { return };
        for range in 0..RANGES {
            slots.get_or_insert(range, || {
                let ranges = known.keys.ranges();
                let here = |row: &u32| ranges.map_or(0, |all| all[*row as usize]) as usize == range;
                let waiting = (0..known.len as u32).filter(here).collect();
                SilentSlot { waiting, ..self.slot(kit) }
            });
        }
    }

    fn apply(
        &self,
        kit: &Kit,
        slot: &mut SilentSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        let first = self.first_value(task.clock);
        for &Mark { row, time, before, limit, .. } in task.marks {
            self.found(slot, before.min(first));
            if time.checked_add(self.after).is_none() {
                out.counters.invalid += 1;
                out.records.push(task.record(Reason::WindowOutOfRange, row));
                continue;
            }
            let known = slot.keys.get(task.keys, row as usize);
            if let Some(id) = known {
                self.close(slot, id, task.clock, before, out);
            }
            let armed = known.map(|id| slot.heard[id as usize]).filter(|heard| heard.armed);
            let last = armed.map_or(time, |heard| heard.last.max(time));
            if limit > self.until(last) {
                out.counters.late += 1;
                out.counters.late_windows += 1;
                out.records.push(Record {
                    window: Some((time, self.until(time))),
                    windows: 1,
                    late_by: Some(limit.saturating_sub(self.until(last))),
                    ..task.record(Reason::Late, row)
                });
                continue;
            }
            out.counters.counted += 1;
            let last = last.max(self.floor);
            if armed.is_none_or(|heard| time > heard.last) {
                let id = slot.hear(
                    task.keys,
                    row as usize,
                    Heard { last, touch: (1, task.ordinal(row)), armed: true },
                );
                if armed.is_none() {
                    slot.timers.arm(self.until(last), id);
                }
            }
        }
        let now = task.clock.end();
        self.found(slot, now.min(first));
        let mut due = slot.timers.take_due(now);
        due.sort_unstable();
        due.dedup();
        for &id in &due {
            self.close(slot, id, task.clock, now, out);
        }
        out.fired.keys = slot.keys.columns(&out.fired.ids, &kit.folding.key_types)?;
        for id in due {
            match slot.heard[id as usize] {
                Heard { armed: true, last, .. } => slot.timers.arm(self.until(last), id),
                Heard { armed: false, .. } => slot.keys.remove(id),
            }
        }
        Ok(())
    }

    fn delay(&self) -> Micros {
        1
    }

    fn start_from(&self, from: Micros) -> Micros {
        from
    }

    fn full_from(&self, from: Micros) -> Micros {
        shift(from, self.after - 1)
    }

    fn begin(&mut self, from: Micros) {
        self.floor = shift(from, -1);
    }

    /// A known key that was not heard may have been, before this verb began: then it is not heard
    /// at the clock's first value, as the others are.
    fn sure_from(&self, clock: &Clock) -> Option<Micros> {
        let first = clock.rises().first().map(|rise| rise.1).filter(|&first| first != FOREVER);
        let unsure = self.known.is_some() && self.floor != NEVER && clock.start() == NEVER;
        first.filter(|_| unsure).map(|first| shift(first, 1))
    }

    fn save(&self, kit: &Kit, slot: &SilentSlot) -> Result<Vec<Part>> {
        let armed = |&id: &u32| slot.heard[id as usize].armed;
        let ids: Vec<u32> = (0..slot.heard.len() as u32).filter(armed).collect();
        let of = |id: &u32| slot.heard[*id as usize];
        let heard = Saving::default()
            .columns("key", slot.keys.columns(&ids, &kit.folding.key_types)?)
            .i64("last", ids.iter().map(|id| of(id).last).collect())
            .i64("heard", ids.iter().map(|id| of(id).touch.0).collect())
            .u64("ordinal", ids.iter().map(|id| of(id).touch.1).collect())
            .done()?;
        let waiting = slot.waiting.iter().map(|&row| u64::from(row)).collect();
        let waiting = Saving::default().u64("row", waiting).done()?;
        Ok(vec![("heard", heard), ("waiting", waiting)])
    }

    fn load(&self, kit: &Kit, slot: &mut SilentSlot, part: &str, saved: &Saved) -> Result<()> {
        match part {
            "waiting" => {
                let known = self.known.as_ref().map_or(0, |known| known.len as u64);
                let rows = saved.u64("row")?;
                if rows.iter().any(|&row| row >= known) {
                    return Err(Error::Snapshot("a known key that the plan has not".into()));
                }
                slot.waiting = rows.iter().map(|&row| row as u32).collect();
            }
            "heard" => {
                let keys = saved.columns("key", &kit.folding.key_types)?;
                let keys = KeyColumns::new(&keys, saved.len())?;
                let (last, kind) = (saved.i64("last")?, saved.i64("heard")?);
                let ordinal = saved.u64("ordinal")?;
                for i in 0..saved.len() {
                    let heard = Heard { last: last[i], touch: (kind[i], ordinal[i]), armed: true };
                    let id = slot.hear(&keys, i, heard);
                    slot.timers.arm(self.until(last[i]), id);
                }
            }
            other => return Err(Error::Snapshot(format!("silence has no part \"{other}\""))),
        }
        Ok(())
    }
}
