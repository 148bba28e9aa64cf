//! Windows of the calendar in the time zone that each key names: the windows of one zone are those
//! of [`AlignedWindows`], with their own panes, since no two zones share a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_schema::DataType;

use super::aligned::{AlignedWindows, PaneSlot};
use super::dependence::WindowFacts;
use super::prepare::Aggregator;
use super::slots::{Slot, SlotPart};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::assign::{AlignedGrid, AnyZone, GridKind, Zone};
use crate::error::{Error, Result};
use crate::fate::Reason;
use crate::plan::{self, Emit};
use crate::state::Saved;
use crate::state::saved::Saving;
use crate::time::Micros;
use crate::wide;

/// Windows in the zones of their keys.
#[derive(Debug)]
pub struct ZonedWindows {
    plan: plan::Aligned,
    kind: GridKind,
    /// Which column of the key names the zone.
    key: usize,
    bounds: AnyZone,
}

/// The windows of one zone, and their panes.
#[derive(Debug)]
struct OfZone {
    verb: AlignedWindows<AlignedGrid>,
    panes: PaneSlot,
}

/// The panes of one range of keys, by zone.
#[derive(Debug, Default)]
pub struct ZonedSlot {
    zones: BTreeMap<String, OfZone>,
}

impl Slot for ZonedSlot {
    fn keys(&self) -> usize {
        self.zones.values().map(|zone| zone.panes.keys()).sum()
    }

    fn bytes(&self) -> usize {
        self.zones.values().map(|zone| zone.panes.bytes() + size_of::<OfZone>()).sum()
    }
}

impl ZonedWindows {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: plan::Aligned, kind: GridKind, key: usize) -> ZonedWindows {
        let bounds = AnyZone(AlignedGrid::new(&plan, kind, &Zone::UTC));
        ZonedWindows { plan, kind, key, bounds }
    }

    /// The windows of a zone; `None` if there is no zone of that name.
    fn zone<'a>(
        &self,
        aggregator: &Aggregator,
        slot: &'a mut ZonedSlot,
        name: &str,
    ) -> Option<&'a mut OfZone> {
        if !slot.zones.contains_key(name) {
            let grid = AlignedGrid::new(&self.plan, self.kind, &Zone::find(name)?);
            let verb = AlignedWindows::planned(&self.plan, grid).with_touches();
            let panes = verb.slot(aggregator);
            slot.zones.insert(name.to_owned(), OfZone { verb, panes });
        }
        slot.zones.get_mut(name)
    }

    /// The rows of each zone, in order; rows that name none are recorded as invalid.
    fn split(
        &self,
        aggregator: &Aggregator,
        slot: &mut ZonedSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> BTreeMap<String, Vec<RowFacts>> {
        let names = &task.block.columns[aggregator.folding.by[self.key]];
        let mut split: BTreeMap<String, Vec<RowFacts>> = BTreeMap::new();
        for &facts in task.facts {
            let name = text_at(names, facts.row as usize).unwrap_or_default();
            if let Some(rows) = split.get_mut(name) {
                rows.push(facts);
            } else if self.zone(aggregator, slot, name).is_some() {
                split.insert(name.to_owned(), vec![facts]);
            } else {
                out.counters.invalid += 1;
                out.records.push(task.record(Reason::UnknownTimeZone, facts.row));
            }
        }
        split
    }
}

/// A text of a column; `None` if it is null.
fn text_at(column: &ArrayRef, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        _ => None,
    }
}

impl Windowed for ZonedWindows {
    type Slot = ZonedSlot;

    fn slot(&self, _aggregator: &Aggregator) -> ZonedSlot {
        ZonedSlot::default()
    }

    fn due(&self, slot: &ZonedSlot, clock: Micros) -> bool {
        slot.zones.values().any(|zone| zone.verb.due(&zone.panes, clock))
    }

    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut ZonedSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        let mut split = self.split(aggregator, slot, task, out);
        let (mut keys, now) = (vec![], task.clock.end());
        for (name, zone) in &mut slot.zones {
            let facts = split.remove(name).unwrap_or_default();
            if facts.is_empty() && !zone.verb.due(&zone.panes, now) {
                continue;
            }
            let task = Task { facts: &facts, ..*task };
            let before = std::mem::take(&mut out.fired.ids);
            zone.verb.apply(aggregator, &mut zone.panes, &task, out)?;
            if !out.fired.ids.is_empty() {
                keys.push(std::mem::take(&mut out.fired.keys));
            }
            out.fired.ids.splice(0..0, before);
        }
        out.records.sort_by_key(|record| record.seq);
        slot.zones.retain(|_, zone| !zone.panes.is_empty());
        let column = |k: usize| {
            let parts: Vec<&dyn Array> = keys.iter().map(|key| key[k].as_ref()).collect();
            wide::concat(&parts)
        };
        let width = keys.first().map_or(0, Vec::len);
        out.fired.keys = (0..width).map(column).collect::<Result<_>>()?;
        Ok(())
    }

    fn delay(&self) -> Micros {
        self.plan.allowed_lateness
    }

    fn facts(&self) -> WindowFacts<'_> {
        let wait = if self.plan.revisions { 0 } else { self.plan.allowed_lateness };
        let is_compared = self.plan.emit == Emit::Changed;
        WindowFacts { wait, is_compared, ..WindowFacts::new(&self.bounds) }
    }

    fn save(&self, aggregator: &Aggregator, slot: &ZonedSlot) -> Result<Vec<SlotPart>> {
        let mut parts: BTreeMap<&'static str, Vec<Saved>> = BTreeMap::new();
        for (name, zone) in &slot.zones {
            for (part, saved) in zone.verb.save(aggregator, &zone.panes)? {
                let names: BinaryArray = (0..saved.len()).map(|_| Some(name.as_bytes())).collect();
                let mut saving = Saving::default().column("zone", Arc::new(names));
                for (field, column) in
                    saved.batch.schema().fields().iter().zip(saved.batch.columns())
                {
                    saving = saving.column(field.name(), column.clone());
                }
                parts.entry(part).or_default().push(saving.done()?);
            }
        }
        let whole = |(part, saved): (&'static str, Vec<Saved>)| {
            let schema = saved[0].batch.schema();
            let batches = saved.iter().map(|saved| &saved.batch);
            let batch = arrow_select::concat::concat_batches(&schema, batches)?;
            Ok((part, Saved { batch }))
        };
        parts.into_iter().map(whole).collect()
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut ZonedSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        let names = saved.binary("zone")?;
        let mut from = 0;
        while from < saved.len() {
            let name = names.value(from);
            let len = (from..saved.len()).take_while(|&row| names.value(row) == name).count();
            let of_zone = Saved { batch: saved.batch.slice(from, len) };
            let text = std::str::from_utf8(name).unwrap_or_default();
            let unknown = || Error::Snapshot(format!("\"{text}\" is not a time zone here"));
            let zone = self.zone(aggregator, slot, text).ok_or_else(unknown)?;
            zone.verb.load(aggregator, &mut zone.panes, part, &of_zone)?;
            from += len;
        }
        Ok(())
    }
}
