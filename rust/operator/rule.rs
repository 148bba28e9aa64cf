//! Rules over the rows of an output, evaluated per block, with a cooldown per key.
//!
//! A rule fires where its condition is true (not null, not overflowed) and the key has not fired
//! recently: it is suppressed iff `time < last + cooldown` and the clock before the row is below
//! `last + cooldown`. The second condition makes the result independent of when old entries are
//! forgotten. Rules see only a window's first firing.

mod trial;

use std::collections::HashSet;

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;

use super::alert::{Alert, id, object};
use super::flow::Context;
use super::known::UnknownUntil;
use super::message::message;
use super::slots::{SavedPiece, SlotPart, Slots};
use super::{CompleteFrom, Mask};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::graph::{Formula, TypedNode, check_rules};
use crate::plan;
use crate::state::saved::Saving;
use crate::state::{Address, ByKey, KeyColumns, Next, Saved};
use crate::time::{Micros, NEVER};
use crate::watermark::Clock;
use trial::Begun;

/// When a key last fired.
#[derive(Debug)]
struct LastFired(Micros);

impl Default for LastFired {
    fn default() -> LastFired {
        LastFired(NEVER)
    }
}

/// A running rule.
#[derive(Debug)]
struct RuleState {
    plan: plan::Rule,
    formula: Option<Formula>,
    by: Vec<usize>,
    /// The columns that an alert's id contains in addition to `by`: see [`identity`].
    identity: Vec<usize>,
    key_types: Vec<arrow_schema::DataType>,
    slots: Slots<ByKey<LastFired>>,
    fired: u64,
    failed: u64,
    unknown: UnknownUntil,
    /// The clock from which some key may be forgotten.
    due: Option<Micros>,
}

/// The earlier of two times.
fn sooner(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    [a, b].into_iter().flatten().min()
}

/// The columns that distinguish rows of one window with equal `by` columns: the keys, or all
/// columns if a key was dropped.
fn identity(node: &TypedNode, by: &[usize]) -> Result<Vec<usize>> {
    let Some(keys) = &node.keys else { return Ok((0..node.schema.fields().len()).collect()) };
    let keys: Vec<usize> =
        keys.iter().map(|name| Ok(node.schema.index_of(name)?)).collect::<Result<_>>()?;
    Ok(if keys.iter().all(|key| by.contains(key)) { vec![] } else { keys })
}

/// The alert ids issued for rows of one `seq`.
#[derive(Debug, Default)]
struct Given {
    seq: u64,
    ids: HashSet<String>,
}

impl Given {
    /// Makes ids unique. Rows that agree in everything an id contains (for example from a union of
    /// two branches) have one `seq` and a fixed order, so a number is added to the id.
    fn distinct(&mut self, alerts: &mut [Alert]) {
        for alert in alerts {
            if self.seq != alert.seq {
                (self.seq, self.ids) = (alert.seq, HashSet::new());
            }
            let first = alert.id.clone();
            let mut nth = 1;
            while !self.ids.insert(alert.id.clone()) {
                nth += 1;
                alert.id = id(&[&first, &nth.to_string()]);
            }
        }
    }
}

/// The rules of one output.
#[derive(Debug)]
pub struct Rules {
    output: String,
    pipeline: String,
    rules: Vec<RuleState>,
    given: Given,
}

impl Rules {
    /// Creates the rules of an output with known columns; `pipeline` becomes part of alert ids.
    pub fn new(output: &plan::Output, node: &TypedNode, pipeline: String) -> Result<Rules> {
        let formulas = check_rules(output, node)?;
        let rule = |(rule, formula): (&plan::Rule, Option<Formula>)| {
            let by: Result<Vec<usize>> =
                rule.by.iter().map(|name| Ok(node.schema.index_of(name)?)).collect();
            let by = by?;
            let key_types =
                by.iter().map(|&at| node.schema.field(at).data_type().clone()).collect();
            let (plan, identity) = (rule.clone(), identity(node, &by)?);
            let (slots, unknown) = (Slots::default(), UnknownUntil::default());
            let (fired, failed, due) = (0, 0, None);
            Ok(RuleState {
                plan,
                formula,
                by,
                identity,
                key_types,
                slots,
                fired,
                failed,
                unknown,
                due,
            })
        };
        let rules: Result<Vec<RuleState>> = output.rules.iter().zip(formulas).map(rule).collect();
        Ok(Rules { output: output.name.clone(), pipeline, rules: rules?, given: Given::default() })
    }

    /// Sets from when the rows are complete: a rule does not fire where a column it reads is
    /// unknown. A callable may read any column, so it needs all of them.
    pub fn update_completeness(&mut self, complete: &CompleteFrom) {
        for rule in &mut self.rules {
            rule.unknown = match &rule.formula {
                Some(formula) => UnknownUntil::new(formula.reads.iter().copied(), complete),
                None => UnknownUntil::new(0..complete.columns.len(), complete),
            };
        }
    }

    /// The alerts of a block, ordered by row, then rule.
    pub fn run(
        &mut self,
        block: &Block,
        clock: &Clock,
        masks: &[Box<dyn Mask>],
        context: &mut Context,
    ) -> Result<Vec<Alert>> {
        let alerts = self.alerts(block, clock, masks, (context.epoch, &mut None))?;
        for rule in &mut self.rules {
            rule.forget(clock.end());
        }
        Ok(alerts)
    }

    /// The alerts of a block. Cooldowns that begin with them are noted in `taken`, if it is there.
    fn alerts(
        &mut self,
        block: &Block,
        clock: &Clock,
        masks: &[Box<dyn Mask>],
        (epoch, taken): (u64, &mut Option<Vec<Begun>>),
    ) -> Result<Vec<Alert>> {
        let mut found: Vec<(usize, usize, Alert)> = vec![];
        if !block.is_empty() {
            for r in 0..self.rules.len() {
                match self.hits(r, block, masks)? {
                    Some(hits) => self.fire(r, &hits, (block, clock, epoch), taken, &mut found)?,
                    None => self.rules[r].failed += 1,
                }
            }
        }
        let mut alerts = in_order(found);
        self.given.distinct(&mut alerts);
        Ok(alerts)
    }

    /// The rows for which a rule's condition holds; None if its callable failed.
    fn hits(
        &self,
        r: usize,
        block: &Block,
        masks: &[Box<dyn Mask>],
    ) -> Result<Option<BooleanBuffer>> {
        let Some(hits) = self.verdicts(r, block, masks)? else { return Ok(None) };
        Ok(Some(match self.rules[r].unknown.open(block) {
            Some(open) => &hits & &!&open,
            None => hits,
        }))
    }

    fn verdicts(
        &self,
        r: usize,
        block: &Block,
        masks: &[Box<dyn Mask>],
    ) -> Result<Option<BooleanBuffer>> {
        let rule = &self.rules[r];
        let hits = match (&rule.formula, &rule.plan.when) {
            (Some(formula), _) => {
                // A condition without a value counts as false.
                formula.test(block)?.0
            }
            (None, plan::When::Mask { mask }) => {
                let mask = masks.get(*mask).ok_or_else(|| {
                    Error::Plan(format!("rule \"{}\" has no callable", rule.plan.name))
                })?;
                let Ok(verdicts) = mask.mask(&block.to_batch()?) else { return Ok(None) };
                match verdicts.nulls() {
                    Some(nulls) => verdicts.values() & nulls.inner(),
                    None => verdicts.values().clone(),
                }
            }
            (None, plan::When::Expr(_)) => BooleanBuffer::new_unset(block.len()),
        };
        Ok(Some(first_only(block, hits)))
    }

    fn fire(
        &mut self,
        r: usize,
        hits: &BooleanBuffer,
        (block, clock, epoch): (&Block, &Clock, u64),
        taken: &mut Option<Vec<Begun>>,
        found: &mut Vec<(usize, usize, Alert)>,
    ) -> Result<()> {
        if hits.count_set_bits() == 0 {
            return Ok(());
        }
        let keys = self.rules[r].keys(block)?;
        for row in hits.set_indices() {
            let rule = &mut self.rules[r];
            let time = block.meta.time[row];
            if let Some(cooldown) = rule.plan.cooldown {
                let address = keys.address(row);
                let before = clock.before(block.meta.seq[row]);
                if rule.suppressed(rule.slots.get(address), &keys, row, time, before) {
                    continue;
                }
                let until = time.saturating_add(cooldown);
                match taken {
                    Some(taken) => taken.push(rule.begin_on_trial((r, address), &keys, row, time)),
                    None => {
                        let slot = rule.slots.touch(address, epoch, || ByKey::new(cooldown));
                        set_fired(slot, &keys, row, (time, until));
                        rule.due = sooner(rule.due, Some(until));
                    }
                }
            }
            rule.fired += 1;
            found.push((row, r, self.alert(&self.rules[r], block, row)?));
        }
        Ok(())
    }

    fn alert(&self, rule: &RuleState, block: &Block, row: usize) -> Result<Alert> {
        let (schema, columns) = (&block.schema, &block.columns);
        let meta = &block.meta;
        let firing = meta.firing_of(row);
        let window = (firing.end != Micros::MAX).then_some((firing.start, firing.end));
        let origin = meta.origin(row);
        let place = (!origin.is_fired()).then_some((origin.partition, origin.position));
        let key = object(schema, columns, &rule.by, row)?;
        let (a, b) = match (window, place) {
            (Some((start, end)), _) => (start.to_string(), end.to_string()),
            (None, Some((partition, position))) => {
                (format!("{} {partition}", origin.input), position.to_string())
            }
            (None, None) => (meta.time[row].to_string(), meta.seq[row].to_string()),
        };
        let all: Vec<usize> = (0..columns.len()).collect();
        let others = match window {
            Some(_) if !rule.identity.is_empty() => object(schema, columns, &rule.identity, row)?,
            _ => String::new(),
        };
        let parts = [&self.pipeline, &self.output, &rule.plan.name, &key, &a, &b, &others];
        let parts = parts.map(String::as_str);
        let held = parts.len() - usize::from(others.is_empty());
        Ok(Alert {
            seq: meta.seq[row],
            id: id(&parts[..held]),
            time: meta.time[row],
            rule: rule.plan.name.clone(),
            version: rule.plan.version,
            severity: rule.plan.severity.clone(),
            message: message(&rule.plan.message, schema, columns, row)?,
            score: rule.plan.score,
            shadow: rule.plan.shadow,
            output: self.output.clone(),
            key,
            window,
            values: object(schema, columns, &all, row)?,
            place,
        })
    }

    /// How often each rule fired, and for how many batches its callable failed.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.rules.iter().map(|rule| (rule.plan.name.as_str(), rule.fired, rule.failed))
    }

    /// The epoch in which a slot of a rule's cooldowns last changed.
    pub fn changed(&self, rule: usize, address: Address) -> u64 {
        self.rules.get(rule).map_or(0, |rule| rule.slots.changed(address))
    }

    /// Saves the cooldowns that changed after epoch `since`, by rule.
    pub fn save(&self, since: u64) -> Result<Vec<Vec<SavedPiece>>> {
        let save = |rule: &RuleState| {
            rule.slots.save(since, |slot| {
                let fired = slot.iter().filter(|(_, last)| last.0 != NEVER);
                let (ids, times): (Vec<u32>, Vec<Micros>) =
                    fired.map(|(id, last)| (id, last.0)).unzip();
                let saved = Saving::default()
                    .columns("key", slot.keys().columns(&ids, &rule.key_types)?)
                    .i64("last", times)
                    .done()?;
                Ok(vec![("cooldown", saved) as SlotPart])
            })
        };
        self.rules.iter().map(save).collect()
    }

    /// Restores the saved cooldowns of a rule.
    pub fn load(
        &mut self,
        name: &str,
        (fired, failed): (u64, u64),
        pieces: &[SavedPiece],
    ) -> Result<()> {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.plan.name == name) else {
            return Ok(());
        };
        (rule.fired, rule.failed) = (fired, failed);
        let Some(cooldown) = rule.plan.cooldown else { return Ok(()) };
        let types = rule.key_types.clone();
        // A changed pipeline may have another type of key; then the cooldown starts anew.
        if pieces.iter().any(|piece| piece.saved.columns("key", &types).is_err()) {
            return Ok(());
        }
        let load = |slot: &mut ByKey<LastFired>, _: &str, saved: &Saved| {
            let keys = KeyColumns::new(&saved.columns("key", &types)?, saved.len())?;
            for (row, &last) in saved.i64("last")?.iter().enumerate() {
                set_fired(slot, &keys, row, (last, last.saturating_add(cooldown)));
            }
            Ok(())
        };
        rule.slots.load(pieces, || ByKey::new(cooldown), load)?;
        rule.due = rule.slots.iter_mut().filter_map(|slot| slot.due()).min();
        Ok(())
    }
}

/// Sorts alerts by row, then rule.
fn in_order(mut found: Vec<(usize, usize, Alert)>) -> Vec<Alert> {
    found.sort_by_key(|&(row, rule, _)| (row, rule));
    found.into_iter().map(|(_, _, alert)| alert).collect()
}

/// Notes that the key of a row fired, and that it is silenced until a time.
fn set_fired(
    slot: &mut ByKey<LastFired>,
    keys: &KeyColumns,
    row: usize,
    (last, until): (Micros, Micros),
) {
    let id = slot.intern(keys, row);
    *slot.value_mut(id) = LastFired(last);
    slot.arm(id, until);
}

impl RuleState {
    fn keys(&self, block: &Block) -> Result<KeyColumns> {
        let by: Vec<_> = self.by.iter().map(|&at| block.columns[at].clone()).collect();
        KeyColumns::new(&by, block.len())
    }

    fn suppressed(
        &self,
        slot: Option<&ByKey<LastFired>>,
        keys: &KeyColumns,
        row: usize,
        time: Micros,
        before: Micros,
    ) -> bool {
        let (Some(slot), Some(cooldown)) = (slot, self.plan.cooldown) else { return false };
        slot.get(keys, row).is_some_and(|last| {
            let until = last.0.saturating_add(cooldown);
            time < until && before < until
        })
    }

    /// Forgets keys whose cooldown the clock has passed.
    fn forget(&mut self, clock: Micros) {
        let Some(cooldown) = self.plan.cooldown else { return };
        if self.due.is_none_or(|due| clock < due) {
            return;
        }
        self.due = None;
        for slot in self.slots.iter_mut() {
            slot.look(clock, |last| {
                let until = last.0.saturating_add(cooldown);
                if clock < until { Next::At(until) } else { Next::Forget }
            });
            self.due = sooner(self.due, slot.due());
        }
    }
}

/// Drops rows that revise an earlier firing of a window.
fn first_only(block: &Block, hits: BooleanBuffer) -> BooleanBuffer {
    match &block.meta.firing {
        Some(firing) => {
            let first: BooleanBuffer = firing.iter().map(|firing| firing.revision == 0).collect();
            &hits & &first
        }
        None => hits,
    }
}
