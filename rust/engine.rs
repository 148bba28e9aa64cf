//! Engine: the public operations (step, advance, idle, open, finish, snapshot). The only file that
//! knows the order of the stages.

mod member;
mod peek;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};

use crate::aggregate::Registry;
use crate::block::Block;
use crate::decode::{self, DecodedRows, Feed, Leap, Order};
use crate::error::{Error, Result, caught};
use crate::fate::Record;
use crate::limits::TEXT_BYTES_MAX;
use crate::operator::alert::{self, Alert};
use crate::operator::known::Known;
use crate::operator::{Context, Flow, Mask, in_pieces, pieces_of};
use crate::pipeline::{BuiltGraph, Pipeline};
use crate::plan::{Node, Plan};
use crate::snapshot::{self, OnChange};
use crate::time::{FOREVER, Micros};
use crate::watermark::{Clock, Watermarks};
use crate::wide::{self, Cut};

/// Record batches of one schema.
#[derive(Debug, Clone)]
pub struct Batches {
    /// The schema shared by the batches.
    pub schema: SchemaRef,
    /// The batches, each with at least one row.
    pub batches: Vec<RecordBatch>,
}

impl Batches {
    fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Batches {
        let batches = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        Batches { schema, batches }
    }
}

/// The result of one step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Rows of each output.
    pub outputs: Vec<Batches>,
    /// Alerts.
    pub alerts: Batches,
    /// Late rows of each input.
    pub late: Vec<Batches>,
    /// Invalid rows of each input.
    pub invalid: Vec<Batches>,
    /// Rows whose event time jumped far ahead, each with its input.
    pub leaps: Vec<(usize, Leap)>,
}

/// A running pipeline: a state machine without sources, clocks or I/O of its own.
pub struct Engine {
    pipeline: Pipeline,
    masks: Vec<Box<dyn Mask>>,
    threads: usize,
    alert_columns: SchemaRef,
    poisoned: Option<String>,
}

/// Rows that passed all checks of a step, before anything has changed.
#[derive(Debug)]
pub struct Checked {
    /// The rows of each feed.
    pub rows: Vec<DecodedRows>,
    /// The graph for columns that these rows are the first to show.
    learned: Option<BuiltGraph>,
}

/// The blocks and clocks of the inputs in one step.
struct Entered {
    blocks: Vec<Option<Block>>,
    clocks: Vec<Arc<Clock>>,
    sources: Vec<Option<Vec<ArrayRef>>>,
    records: Vec<Record>,
    leaps: Vec<(usize, Leap)>,
}

/// What the operators and rules made of one step.
struct Operated {
    /// The output of each operator.
    blocks: Vec<Arc<Block>>,
    alerts: Vec<Alert>,
    records: Vec<Record>,
    sources: Vec<Option<Vec<ArrayRef>>>,
    leaps: Vec<(usize, Leap)>,
}

impl Engine {
    /// Creates an engine for a plan, empty or restored from a snapshot, with the built-in
    /// aggregates.
    pub fn new(
        plan_json: &str,
        partitions: Vec<Vec<i64>>,
        threads: usize,
        masks: Vec<Box<dyn Mask>>,
        snapshot: Option<&[u8]>,
        on_change: &str,
    ) -> Result<Engine> {
        let registry = Registry::default();
        Engine::with_registry(plan_json, registry, partitions, threads, masks, snapshot, on_change)
    }

    /// Creates an engine whose plan can name the aggregates of a registry.
    pub fn with_registry(
        plan_json: &str,
        registry: Registry,
        partitions: Vec<Vec<i64>>,
        threads: usize,
        masks: Vec<Box<dyn Mask>>,
        snapshot: Option<&[u8]>,
        on_change: &str,
    ) -> Result<Engine> {
        let on_change = OnChange::parse(on_change)?;
        let mut pipeline = Pipeline::new(Plan::parse(plan_json)?, registry, &partitions)?;
        if let Some(bytes) = snapshot {
            snapshot::restore(&mut pipeline, bytes, on_change)?;
        }
        let alert_columns = alert::schema();
        Ok(Engine { pipeline, masks, threads: threads.max(1), alert_columns, poisoned: None })
    }

    fn alive(&self) -> Result<()> {
        match &self.poisoned {
            None => Ok(()),
            Some(why) => Err(Error::Engine(format!(
                "a step failed before, so the engine accepts no more calls; it failed with: {why}\n\
                 hint: restore it from its last snapshot"
            ))),
        }
    }

    /// Processes rows. All checks happen before the first change of state; a later failure poisons
    /// the engine.
    pub fn step(&mut self, feeds: Vec<Feed>, order: Order) -> Result<Step> {
        let checked = self.check(&feeds)?;
        self.apply(checked, order)
    }

    /// Processes rows that passed [`Engine::check`] in this state.
    pub fn apply(&mut self, checked: Checked, order: Order) -> Result<Step> {
        let rows = self.take_columns(checked);
        self.change(|engine| {
            let mut watermarks = std::mem::take(&mut engine.pipeline.watermarks);
            let mut seq = engine.pipeline.seq;
            let entry = engine.enter(rows, order, &mut watermarks, &mut seq);
            engine.pipeline.watermarks = watermarks;
            engine.pipeline.seq = seq;
            engine.run(entry?)
        })
    }

    /// Runs work that changes the state. If it fails or panics, the state may be half changed, so
    /// the engine is poisoned: every later call fails with the original reason.
    fn change(&mut self, work: impl FnOnce(&mut Engine) -> Result<Step>) -> Result<Step> {
        caught(|| work(self)).map_err(|error| {
            let why = error.message().split("\nhint: ").next().unwrap_or_default();
            self.poisoned = Some(why.to_string());
            Error::Engine(error.message().to_string())
        })
    }

    /// Keeps the columns that checked rows are the first to show; returns the rows.
    fn take_columns(&mut self, checked: Checked) -> Vec<DecodedRows> {
        if checked.learned.is_some() {
            self.pipeline.running = checked.learned;
        }
        checked.rows
    }

    /// Checks and decodes feeds, without a change; if the plan does not declare the columns, takes
    /// them from the first feed.
    pub fn check(&self, feeds: &[Feed]) -> Result<Checked> {
        self.alive()?;
        let present: Vec<&Feed> = feeds.iter().filter(|feed| !feed.is_nothing()).collect();
        if let Some(feed) = feeds.iter().find(|feed| feed.input >= self.pipeline.plan.inputs.len())
        {
            return Err(Error::Data(format!("the plan does not have an input {}", feed.input)));
        }
        let learned = match (&self.pipeline.running, present.as_slice()) {
            (None, [first, ..]) => {
                let learned = decode::learn(&first.schema, &self.pipeline.plan)?;
                Some(self.pipeline.build(vec![learned])?)
            }
            _ => None,
        };
        let Some(running) = learned.as_ref().or(self.pipeline.running.as_ref()) else {
            return Ok(Checked { rows: vec![], learned: None });
        };
        let read = |feed: &Feed| {
            let input = feed.input;
            let (schema, time) = (&running.schemas[input], &running.times[input]);
            decode::decode(
                feed,
                schema,
                &self.pipeline.plan.inputs[input],
                time,
                &self.pipeline.watermarks[input],
            )
        };
        let rows = present.into_iter().map(read).collect::<Result<Vec<DecodedRows>>>()?;
        decode::fit_together(&rows, &running.schemas)?;
        Ok(Checked { rows, learned })
    }

    /// Assigns arrival order and judges to rows, and computes the inputs' clocks.
    fn enter(
        &self,
        rows: Vec<DecodedRows>,
        order: Order,
        watermarks: &mut [Watermarks],
        seq: &mut u64,
    ) -> Result<Entered> {
        let mut entry = Entered {
            blocks: self.pipeline.plan.inputs.iter().map(|_| None).collect(),
            clocks: watermarks
                .iter()
                .map(|input| Arc::new(Clock::from_watermarks(input)))
                .collect(),
            sources: self.pipeline.plan.inputs.iter().map(|_| None).collect(),
            records: vec![],
            leaps: vec![],
        };
        let Some(running) = self.pipeline.running.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(entry);
        };
        for (input, stamped) in decode::stamp(rows, order, &running.schemas, watermarks, seq)? {
            entry.blocks[input] = Some(stamped.block);
            entry.clocks[input] = Arc::new(stamped.clock);
            entry.sources[input] = Some(stamped.source);
            let node = self.pipeline.node_of(input as u32);
            let invalid = stamped.invalid.into_iter();
            entry.records.extend(invalid.map(|record| Record { node, ..record }));
            entry.leaps.extend(stamped.leaps.into_iter().map(|leap| (input, leap)));
        }
        Ok(entry)
    }

    /// Runs one step through the graph.
    fn run(&mut self, entry: Entered) -> Result<Step> {
        self.pipeline.epoch += 1;
        for record in &entry.records {
            self.pipeline.undecoded[record.origin.input as usize] += 1;
        }
        match self.operate(entry, true)? {
            Some(done) => self.step_of(done),
            None => Ok(self.nothing()),
        }
    }

    /// Runs all operators and rules in the order of the plan; `keeps` is whether the rows stay in
    /// their state. `None` if the columns of the inputs are not known yet.
    fn operate(&mut self, entry: Entered, keeps: bool) -> Result<Option<Operated>> {
        let Entered { mut blocks, clocks, sources, records, leaps } = entry;
        let (threads, epoch) = (self.threads, self.pipeline.epoch);
        let Some(running) = &mut self.pipeline.running else { return Ok(None) };
        let mut context = Context { threads, epoch, records, known: Known::default() };
        let mut flows: Vec<Flow> = Vec::with_capacity(running.operators.len());
        for i in 0..running.operators.len() {
            let inputs: Vec<Flow> = match &self.pipeline.plan.nodes[i] {
                Node::Input { input } => {
                    let block = blocks[*input].take();
                    let block = block.unwrap_or_else(|| Block::empty(&running.schemas[*input]));
                    vec![(Arc::new(block), clocks[*input].clone())]
                }
                _ => running.from[i].iter().map(|&from| flows[from].clone()).collect(),
            };
            let (operator, completeness) = (&mut running.operators[i], &mut running.completeness);
            let clock = inputs[0].1.clone();
            context.known = completeness.before(i, operator.as_ref(), &clock);
            let start = std::time::Instant::now();
            let flow = match keeps {
                true => in_pieces(operator.as_mut(), &inputs, Cut::Seqs, &mut context),
                false => operator.peek(&inputs, &mut context),
            };
            running.spent[i] += start.elapsed();
            let flow = flow.map_err(|error| error.within(&running.names[i]))?;
            drop(inputs);
            flows.push(completeness.after(i, operator.as_ref(), flow, (&clock, &context.known))?);
        }
        let mut alerts: Vec<Alert> = vec![];
        for (output, rules) in self.pipeline.plan.outputs.iter().zip(&mut running.rules) {
            let (block, clock) = &flows[output.node];
            if let Some(complete) = running.completeness.complete(output.node) {
                rules.update_completeness(complete);
            }
            for (piece, clock) in pieces_of(&(block.clone(), clock.clone()), Cut::Anywhere)? {
                alerts.extend(match keeps {
                    true => rules.run(&piece, &clock, &self.masks, &mut context)?,
                    false => rules.peek(&piece, &clock, &self.masks, &mut context)?,
                });
            }
        }
        let blocks = flows.into_iter().map(|flow| flow.0).collect();
        Ok(Some(Operated { blocks, alerts, records: context.records, sources, leaps }))
    }

    /// Builds the result tables of a step.
    fn step_of(&self, done: Operated) -> Result<Step> {
        let Operated { blocks, mut alerts, mut records, sources, leaps } = done;
        let Some(running) = &self.pipeline.running else { return Ok(self.nothing()) };
        alerts.sort_by_key(|alert| alert.seq);
        records.sort_by_key(|record| (record.seq, record.node.wrapping_add(1)));
        let outputs: Result<Vec<Batches>> = self
            .pipeline
            .plan
            .outputs
            .iter()
            .map(|output| {
                let block = &blocks[output.node];
                let batches =
                    block.pieces(Cut::Anywhere)?.into_iter().map(|piece| piece.to_batch());
                Ok(Batches::new(block.schema.clone(), batches.collect::<Result<_>>()?))
            })
            .collect();
        let (mut late, mut invalid) = (vec![], vec![]);
        for (input, ledger) in running.ledgers.iter().enumerate() {
            let table = |is_late: bool| -> Result<Batches> {
                let mine = |record: &&Record| {
                    record.reason.is_late() == is_late && self.input_of(record) == input
                };
                let mine: Vec<&Record> = records.iter().filter(mine).collect();
                if mine.is_empty() {
                    return Ok(Batches::new(ledger.schema(), vec![]));
                }
                let source = sources[input].as_deref();
                // Each operator may reject the same row, so its text may be needed once per
                // operator.
                let held =
                    source.iter().flat_map(|all| all.iter()).map(|c| wide::bytes(c.as_ref()));
                let most = held.sum::<usize>().saturating_mul(blocks.len());
                let text = |record: &&Record| match (source, record.origin.row) {
                    (Some(columns), row) if most > TEXT_BYTES_MAX && row != u32::MAX => {
                        wide::row_bytes(columns, row as usize)
                    }
                    _ => 0,
                };
                let tables = wide::runs(&mine, text).into_iter();
                let tables = tables.map(|mine| ledger.table(mine, source, &running.names));
                Ok(Batches::new(ledger.schema(), tables.collect::<Result<_>>()?))
            };
            late.push(table(true)?);
            invalid.push(table(false)?);
        }
        let tables = wide::runs(&alerts, Alert::bytes).into_iter().map(alert::table);
        let alerts = Batches::new(self.alert_columns.clone(), tables.collect::<Result<_>>()?);
        Ok(Step { outputs: outputs?, alerts, late, invalid, leaps })
    }

    /// The input whose table a record belongs to: the row's own input, or for a fired row the first
    /// input upstream.
    fn input_of(&self, record: &Record) -> usize {
        if !record.origin.is_fired() {
            return record.origin.input as usize;
        }
        let mut node = record.node as usize;
        loop {
            match &self.pipeline.plan.nodes[node] {
                Node::Input { input } => return *input,
                other => node = other.from()[0],
            }
        }
    }

    fn nothing(&self) -> Step {
        let none = |_| Batches::new(Arc::new(Schema::empty()), vec![]);
        Step {
            outputs: (0..self.pipeline.plan.outputs.len()).map(none).collect(),
            alerts: Batches::new(self.alert_columns.clone(), vec![]),
            late: (0..self.pipeline.plan.inputs.len()).map(none).collect(),
            invalid: (0..self.pipeline.plan.inputs.len()).map(none).collect(),
            leaps: vec![],
        }
    }

    /// A step without rows, for a change to the watermarks of one input or of all.
    fn clock_event(
        &mut self,
        change: impl Fn(usize, &mut Watermarks) -> Result<()>,
    ) -> Result<Step> {
        self.alive()?;
        let mut watermarks = self.pipeline.watermarks.clone();
        let mut clocks = vec![];
        for (i, input) in watermarks.iter_mut().enumerate() {
            let mut clock = Clock::from_watermarks(input);
            let place = || format!("input \"{}\"", self.pipeline.plan.inputs[i].name);
            change(i, input).map_err(|error| error.within(&place()))?;
            clock.note(self.pipeline.seq, input);
            clocks.push(Arc::new(clock));
        }
        let none = || self.pipeline.plan.inputs.iter().map(|_| None).collect();
        let entry = Entered {
            blocks: self.pipeline.plan.inputs.iter().map(|_| None).collect(),
            clocks,
            sources: none(),
            records: vec![],
            leaps: vec![],
        };
        self.change(|engine| {
            engine.pipeline.watermarks = watermarks;
            engine.pipeline.seq += 1;
            engine.run(entry)
        })
    }

    fn known(&self, input: usize) -> Result<()> {
        if input < self.pipeline.watermarks.len() {
            return Ok(());
        }
        Err(Error::Data(format!("the plan does not have an input {input}")))
    }

    /// Raises the watermark of one partition, or of all partitions of an input.
    pub fn advance(&mut self, input: usize, partition: Option<i64>, to: Micros) -> Result<Step> {
        self.known(input)?;
        if to == FOREVER {
            return Err(Error::Data(
                "a watermark cannot be at the end of time\nhint: call finish()".into(),
            ));
        }
        self.clock_event(|i, watermarks| {
            if i == input {
                let at = partition.map(|id| watermarks.find(id)).transpose()?;
                watermarks.advance(at, to);
            }
            Ok(())
        })
    }

    /// Marks one partition, or all partitions of an input, as idle: it no longer holds the
    /// watermark back.
    pub fn idle(&mut self, input: usize, partition: Option<i64>) -> Result<Step> {
        self.known(input)?;
        self.clock_event(|i, watermarks| {
            if i == input {
                let at = partition.map(|id| watermarks.find(id)).transpose()?;
                watermarks.idle(at);
            }
            Ok(())
        })
    }

    /// Adds a partition that starts at the current clock.
    pub fn open(&mut self, input: usize, partition: i64) -> Result<Step> {
        self.known(input)?;
        self.clock_event(
            |i, watermarks| {
                if i == input { watermarks.open(partition) } else { Ok(()) }
            },
        )
    }

    /// Ends a partition, an input, or all inputs: no more rows will come.
    pub fn finish(&mut self, input: Option<usize>, partition: Option<i64>) -> Result<Step> {
        input.map_or(Ok(()), |input| self.known(input))?;
        self.clock_event(|i, watermarks| {
            if input.is_none_or(|input| input == i) {
                let at = partition.map(|id| watermarks.find(id)).transpose()?;
                watermarks.advance(at, FOREVER);
            }
            Ok(())
        })
    }

    /// Serialises the state: all of it, or only what changed after an earlier snapshot, given its
    /// epoch as `since` and the names of its chunks as `before`.
    ///
    /// This only reads: after a failure or panic the engine is unchanged.
    pub fn snapshot(&self, since: u64, before: &[String]) -> Result<Vec<u8>> {
        self.alive()?;
        caught(|| snapshot::take(&self.pipeline, since, before))
    }

    /// The pipeline's state, read-only.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod grids;
#[cfg(test)]
mod own_aggregate;
#[cfg(test)]
mod tests;
