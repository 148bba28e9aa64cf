//! Partitioned: an engine for each partition of the source, none of which knows of the others.
//!
//! State, watermark, timers and snapshot of a partition are those of its engine. So a partition
//! moves to another process with its snapshot alone.

mod homes;
mod joined;
mod saved;
mod split;

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;

use crate::decode::{self, Feed, Order};
use crate::engine::{Checked, Engine, Step};
use crate::error::{Error, Result};
use crate::exchange;
use crate::operator::Mask;
use crate::plan::Plan;
use crate::snapshot::OnChange;
use crate::state::Address;
use crate::time::{Micros, NEVER};
use homes::{HomeKeys, Homes};
use split::{Share, split};

pub use homes::Declared;

/// Makes the functions of rules for one more engine.
pub type Masks = Box<dyn Fn() -> Vec<Box<dyn Mask>> + Send>;

/// A running pipeline with an engine for each partition of its only input.
pub struct Partitioned {
    plan: Plan,
    plan_json: String,
    masks: Masks,
    threads: usize,
    on_change: OnChange,
    declared: Declared,
    parts: BTreeMap<i64, Part>,
    /// Takes rows of partitions that are not open: they are invalid.
    rest: Part,
    homes: Homes,
    /// The number of steps of all engines together.
    epoch: u64,
    /// The number of the next part.
    next: u32,
    poisoned: Option<Error>,
}

/// A partition with its engine.
struct Part {
    /// Its number in the names of chunks. A partition that is closed and opened again has another.
    number: u32,
    engine: Engine,
    keys: HomeKeys,
    /// The epoch at which it was opened; no snapshot before has its chunks.
    opened: u64,
}

/// What one engine does in a step.
struct Work<'a> {
    partition: Option<i64>,
    part: &'a mut Part,
    feeds: Vec<Feed>,
    /// The number of each row among all rows of the step.
    rows: Vec<u32>,
    checked: Option<Checked>,
}

impl Partitioned {
    /// Creates the engines of these partitions, empty or restored from a snapshot; a snapshot also
    /// opens its other partitions.
    pub fn new(
        plan_json: &str,
        partitions: &[i64],
        threads: usize,
        masks: Masks,
        snapshot: Option<&[u8]>,
        on_change: &str,
        declared: Declared,
    ) -> Result<Partitioned> {
        let plan = Plan::parse(plan_json)?;
        if plan.inputs.len() != 1 {
            let inputs = plan.inputs.len();
            return Err(Error::Plan(format!("a state for each partition with {inputs} inputs")));
        }
        let rest = Engine::new(plan_json, vec![vec![]], 1, masks(), None, on_change)?;
        let mut new = Partitioned {
            plan,
            plan_json: plan_json.into(),
            masks,
            threads: threads.max(1),
            on_change: OnChange::parse(on_change)?,
            declared,
            parts: BTreeMap::new(),
            rest: Part { number: 1, engine: rest, keys: HomeKeys::default(), opened: 0 },
            homes: Homes::default(),
            epoch: 0,
            next: 2,
            poisoned: None,
        };
        match snapshot {
            Some(bytes) => new.restore(bytes, partitions)?,
            None => partitions.iter().try_for_each(|&id| new.add(id, 0))?,
        }
        Ok(new)
    }

    fn alive(&self) -> Result<()> {
        self.poisoned.as_ref().map_or(Ok(()), |error| {
            let why = error.message().split("\nhint: ").next().unwrap_or_default();
            Err(Error::Engine(format!(
                "a step failed before, so the engine accepts no more calls; it failed with: {why}\n\
                 hint: restore it from its last snapshot"
            )))
        })
    }

    /// Adds an empty engine.
    fn add(&mut self, partition: i64, opened: u64) -> Result<()> {
        let masks = (self.masks)();
        let engine = Engine::new(&self.plan_json, vec![vec![partition]], 1, masks, None, "refuse")?;
        let part = Part { number: self.next, engine, keys: HomeKeys::default(), opened };
        self.next += 1;
        self.put(partition, part)
    }

    /// Adds an engine, which must know the columns that the others know.
    fn put(&mut self, partition: i64, mut part: Part) -> Result<()> {
        match (self.rest.engine.columns().cloned(), part.engine.columns().cloned()) {
            (Some(known), Some(own)) if known != own => {
                return Err(Error::Snapshot(format!(
                    "partition {partition} has other columns than the others"
                )));
            }
            (Some(known), None) => part.engine.learn(known)?,
            (None, Some(own)) => self.learn(own)?,
            _ => {}
        }
        self.homes.take_over(&part.keys, partition);
        self.parts.insert(partition, part);
        Ok(())
    }

    fn engines(&mut self) -> impl Iterator<Item = &mut Engine> {
        self.parts.values_mut().chain([&mut self.rest]).map(|part| &mut part.engine)
    }

    /// Tells all engines the columns of the input.
    fn learn(&mut self, columns: SchemaRef) -> Result<()> {
        let ignorant = self.engines().filter(|engine| engine.columns().is_none());
        ignorant.into_iter().try_for_each(|engine| engine.learn(columns.clone()))
    }

    /// Processes rows: those of each partition by its engine. All checks happen before the first
    /// change of any of them.
    pub fn step(&mut self, feeds: Vec<Feed>, order: Order) -> Result<Step> {
        self.alive()?;
        if let Some(feed) = feeds.iter().find(|feed| feed.input > 0) {
            return Err(Error::Data(format!("the plan does not have an input {}", feed.input)));
        }
        let heard = self.rest.engine.columns().is_some();
        if let (false, Some(feed)) = (heard, feeds.iter().find(|feed| !feed.is_nothing())) {
            let columns = decode::learn(&feed.schema, &self.plan)?;
            self.learn(columns)?;
        }
        let done = self.checked_step(feeds, order);
        if done.is_err() && !heard && self.poisoned.is_none() {
            self.engines().for_each(Engine::unlearn);
        }
        done
    }

    fn checked_step(&mut self, feeds: Vec<Feed>, order: Order) -> Result<Step> {
        let count: usize = feeds.iter().map(Feed::len).sum();
        let mut shares = split(feeds, |id| self.parts.contains_key(&id))?;
        let rest = shares.remove(&None);
        let own = self.parts.iter_mut().filter_map(|(&id, part)| {
            shares.remove(&Some(id)).map(|share| Work::new(Some(id), part, share))
        });
        let mut work: Vec<Work<'_>> = own.collect();
        work.extend(rest.map(|share| Work::new(None, &mut self.rest, share)));
        let threads = if work.len() == 1 { self.threads } else { 1 };
        work.iter_mut().for_each(|each| each.part.engine.set_threads(threads));
        let check = |_, each: &mut Work<'_>, _: &mut ()| {
            each.checked = Some(each.part.engine.check(&each.feeds)?);
            Ok(())
        };
        exchange::run(self.threads, count, slots(&mut work), || (), check)?;
        note_keys(&mut self.homes, &self.declared, &mut work, self.epoch + 1)?;
        let epoch = self.epoch;
        let apply = |_, each: &mut Work<'_>, steps: &mut Vec<Step>| {
            each.part.engine.at_epoch(epoch);
            let checked = each.checked.take().expect("rows that were checked");
            steps.push(each.part.engine.apply(checked, order)?);
            Ok(())
        };
        let steps = exchange::run(self.threads, count, slots(&mut work), Vec::new, apply);
        self.epoch += 1;
        let rows: Vec<Vec<u32>> = work.into_iter().map(|each| each.rows).collect();
        let steps = steps.inspect_err(|error| self.poisoned = Some(error.clone()))?;
        joined::joined(self.rest.engine.no_step(), steps.into_iter().flatten().zip(rows))
    }

    /// Does something to the engine of a partition, or to all of them.
    fn each(
        &mut self,
        partition: Option<i64>,
        work: impl Fn(&mut Engine) -> Result<Step>,
    ) -> Result<Step> {
        self.alive()?;
        if let Some(id) = partition {
            self.known(id)?;
        }
        let epoch = self.epoch;
        let mut steps = vec![];
        for (_, part) in self.parts.iter_mut().filter(|(id, _)| partition.is_none_or(|p| p == **id))
        {
            part.engine.at_epoch(epoch);
            let step = work(&mut part.engine).inspect_err(|error| {
                if matches!(error, Error::Engine(_)) || !steps.is_empty() {
                    self.poisoned = Some(error.clone());
                }
            })?;
            steps.push((step, vec![]));
        }
        self.epoch += 1;
        joined::joined(self.rest.engine.no_step(), steps)
    }

    fn known(&self, partition: i64) -> Result<&Part> {
        self.parts.get(&partition).ok_or_else(|| {
            let known: Vec<String> = self.parts.keys().map(i64::to_string).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Error::Partition(format!(
                "partition {partition} is not open; open are {known}\nhint: open() it"
            ))
        })
    }

    /// Raises the watermark of one partition, or of all.
    pub fn advance(&mut self, partition: Option<i64>, to: Micros) -> Result<Step> {
        self.each(partition, |engine| engine.advance(0, None, to))
    }

    /// Marks one partition, or all, as idle.
    pub fn idle(&mut self, partition: Option<i64>) -> Result<Step> {
        self.each(partition, |engine| engine.idle(0, None))
    }

    /// Ends one partition, or all: no more rows will come.
    pub fn finish(&mut self, partition: Option<i64>) -> Result<Step> {
        self.each(partition, |engine| engine.finish(None, None))
    }

    /// Opens a partition, empty or with its state in a snapshot, which may hold others too.
    pub fn open(&mut self, partition: i64, snapshot: Option<&[u8]>) -> Result<Step> {
        self.alive()?;
        if self.parts.contains_key(&partition) {
            return Err(Error::Partition(format!("partition {partition} is open already")));
        }
        match snapshot {
            Some(bytes) => self.open_saved(partition, bytes)?,
            None => {
                let beyond = |count: &u32| (partition & 0xffff_ffff) as u64 >= u64::from(*count);
                if let Some(count) = self.declared.count.filter(beyond) {
                    let now = Declared { count: Some(partition as u32 + 1), ..Declared::default() };
                    now.check_count(Some(count))?;
                }
                self.add(partition, self.epoch + 1)?;
            }
        }
        self.epoch += 1;
        Ok(self.rest.engine.no_step())
    }

    /// Closes a partition and drops its state.
    pub fn close(&mut self, partition: i64) -> Result<()> {
        self.alive()?;
        self.known(partition)?;
        if let Some(part) = self.parts.remove(&partition) {
            self.homes.forget(&part.keys.all().collect::<Vec<_>>(), partition);
        }
        Ok(())
    }

    /// The open partitions.
    pub fn partitions(&self) -> Vec<i64> {
        self.parts.keys().copied().collect()
    }

    /// An engine with the columns of the inputs and outputs.
    pub fn any(&self) -> &Engine {
        &self.rest.engine
    }

    /// The least watermark of all partitions.
    pub fn watermark(&self) -> Micros {
        let each = self.parts.values().map(|part| part.engine.pipeline().watermark());
        each.min().unwrap_or(NEVER)
    }

    /// The partitions with their watermarks.
    pub fn clocks(&self) -> Vec<Vec<(i64, Micros)>> {
        let each = self.parts.iter().map(|(&id, part)| (id, part.engine.pipeline().watermark()));
        vec![each.collect()]
    }

    /// The counters of all engines together, as JSON.
    pub fn stats(&self) -> String {
        let parts = self.parts.values().chain([&self.rest]);
        joined::stats(parts.map(|part| part.engine.pipeline().stats()), self.epoch).to_string()
    }
}

impl<'a> Work<'a> {
    fn new(partition: Option<i64>, part: &'a mut Part, share: Share) -> Work<'a> {
        Work { partition, part, feeds: share.feeds, rows: share.rows, checked: None }
    }
}

fn slots<'a, 'b>(work: &'a mut [Work<'b>]) -> Vec<(Address, &'a mut Work<'b>)> {
    (0..).map(|part| Address { part, range: 0 }).zip(work).collect()
}

/// Notes the keys of all rows; if one is in two partitions, nothing has changed.
fn note_keys(
    homes: &mut Homes,
    declared: &Declared,
    work: &mut [Work<'_>],
    epoch: u64,
) -> Result<()> {
    let mut added: Vec<(i64, Vec<u128>)> = vec![];
    let mut note = |each: &Work<'_>| -> Result<()> {
        let Some(partition) = each.partition else { return Ok(()) };
        declared.check_records(partition, &each.feeds)?;
        let (Some(checked), Some(columns)) = (&each.checked, each.part.engine.columns()) else {
            return Ok(());
        };
        for rows in &checked.rows {
            added.push((partition, homes.note(declared, partition, columns, rows)?));
        }
        Ok(())
    };
    if let Err(error) = work.iter().try_for_each(&mut note) {
        added.iter().for_each(|(partition, keys)| homes.forget(keys, *partition));
        return Err(error);
    }
    for (partition, keys) in added {
        if let Some(each) = work.iter_mut().find(|each| each.partition == Some(partition)) {
            let gone = each.part.keys.add(&keys, epoch);
            homes.forget(&gone, partition);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
