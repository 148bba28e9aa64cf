//! Panes in a snapshot: their entries, the revision counts, and the clock of the last close.

use super::early::Fresh;
use crate::error::{Error, Result};
use crate::operator::prepare::Aggregator;
use crate::operator::slots::SlotPart;
use crate::state::panes::PaneAt;
use crate::state::saved::Saving;
use crate::state::{KeyColumns, Panes, Saved};
use crate::time::{Micros, NEVER};

/// Saves the panes of a slot.
pub(super) fn save(aggregator: &Aggregator, panes: &Panes) -> Result<Vec<SlotPart>> {
    let mut ids = Vec::new();
    let (mut start, mut from, mut first, mut state) = (vec![], vec![], vec![], vec![]);
    for pane in panes.iter() {
        for (entry, known) in pane.entries.iter().enumerate() {
            ids.push(known.id);
            start.push(pane.at.0);
            from.push(pane.at.1);
            first.push(known.first);
            let mut bytes = Vec::new();
            aggregator.layout.save(&pane.hot, entry as u32, &mut bytes);
            state.push(bytes);
        }
    }
    let saved = Saving::default()
        .columns("key", panes.keys.columns(&ids, &aggregator.folding.key_types)?)
        .i64("start", start)
        .i64("from", from)
        .u64("first", first)
        .binary("state", &state)
        .done()?;
    let mut again: Vec<(Micros, u32, i64)> = Vec::new();
    for (&end, keys) in &panes.revisions {
        again.extend(keys.iter().map(|(&id, &count)| (end, id, count)));
    }
    again.sort_unstable();
    let ids: Vec<u32> = again.iter().map(|each| each.1).collect();
    let again = Saving::default()
        .columns("key", panes.keys.columns(&ids, &aggregator.folding.key_types)?)
        .i64("end", again.iter().map(|each| each.0).collect())
        .i64("count", again.iter().map(|each| each.2).collect())
        .done()?;
    let closed = Saving::default().i64("closed", vec![panes.closed]).done()?;
    Ok(vec![("panes", saved), ("revisions", again), ("closed", closed)])
}

/// Restores one saved part; `anchored` says where a saved pane is now.
pub(super) fn load(
    aggregator: &Aggregator,
    panes: &mut Panes,
    part: &str,
    saved: &Saved,
    anchored: impl Fn(PaneAt) -> PaneAt,
) -> Result<()> {
    match part {
        "closed" => panes.closed = saved.i64("closed")?.first().copied().unwrap_or(NEVER),
        "panes" => {
            let keys = saved.columns("key", &aggregator.folding.key_types)?;
            let keys = KeyColumns::new(&keys, saved.len())?;
            let (start, from) = (saved.i64("start")?, saved.i64("from")?);
            let (first, state) = (saved.u64("first")?, saved.binary("state")?);
            for row in 0..saved.len() {
                let id = panes.key(&keys, row);
                let pane = panes.pane(anchored((start[row], from[row])));
                let entry = panes.entry(pane, id, first[row]);
                aggregator.layout.load(panes.hot_mut(pane), entry, state.value(row))?;
            }
        }
        "revisions" => {
            let keys = saved.columns("key", &aggregator.folding.key_types)?;
            let keys = KeyColumns::new(&keys, saved.len())?;
            let (end, count) = (saved.i64("end")?, saved.i64("count")?);
            for row in 0..saved.len() {
                let id = panes.key(&keys, row);
                panes.revisions.entry(end[row]).or_default().insert(id, count[row]);
            }
        }
        other => {
            return Err(Error::Snapshot(format!("a window does not have a part \"{other}\"")));
        }
    }
    Ok(())
}

/// Saves the windows that have changed since they last fired.
pub(super) fn save_fresh(aggregator: &Aggregator, panes: &Panes, fresh: &Fresh) -> Result<Saved> {
    let ids: Vec<u32> = fresh.windows.iter().map(|window| window.1).collect();
    Saving::default()
        .columns("key", panes.keys.columns(&ids, &aggregator.folding.key_types)?)
        .i64("end", fresh.windows.iter().map(|window| window.0).collect())
        .i64("since", vec![fresh.since; ids.len()])
        .done()
}

/// Restores the windows that have changed since they last fired.
pub(super) fn load_fresh(
    aggregator: &Aggregator,
    panes: &mut Panes,
    saved: &Saved,
) -> Result<Fresh> {
    let keys = saved.columns("key", &aggregator.folding.key_types)?;
    let keys = KeyColumns::new(&keys, saved.len())?;
    let (end, since) = (saved.i64("end")?, saved.i64("since")?);
    let windows = (0..saved.len()).map(|row| (end[row], panes.key(&keys, row))).collect();
    Ok(Fresh { windows, since: since.first().copied().unwrap_or(NEVER) })
}
