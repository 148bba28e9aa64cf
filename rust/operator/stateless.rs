//! Verbs without state: rows that come in are passed on in the same step.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;

use super::flow::{Context, Flow};
use super::known::{Known, null_where};
use super::prepare::refused;
use super::{Dependence, Operator, Vitals};
use crate::block::{Block, RowMeta, all_but};
use crate::error::Result;
use crate::expr::Lost;
use crate::fate::Reason;
use crate::graph::Formula;
use crate::origin::Origins;
use crate::schema::in_common_type;
use crate::watermark::Clock;
use crate::wide;

/// Invalid rows in rising order, each with the reason.
type Refused = Vec<(usize, Reason)>;

/// Counts and records invalid rows.
fn set_aside(vitals: &mut Vitals, block: &Block, rows: &Refused, context: &mut Context) {
    vitals.counters.invalid += rows.len() as u64;
    let record = |&(row, reason): &(usize, Reason)| vitals.record(reason, block, row);
    context.records.extend(rows.iter().map(record));
}

/// The rows of an input, already decoded and stamped.
#[derive(Debug)]
pub struct InputOperator {
    vitals: Vitals,
}

impl InputOperator {
    /// The verb `input`.
    pub fn new(node: u32) -> InputOperator {
        InputOperator { vitals: Vitals::new(node) }
    }
}

impl Operator for InputOperator {
    fn run(&mut self, inputs: &[Flow], _context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        self.vitals.counters.rows_in += block.len() as u64;
        self.vitals.counters.counted += block.len() as u64;
        self.vitals.clock = clock.end();
        Ok((block.clone(), clock.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Source
    }
}

/// Keeps rows for which a condition is true; rows with an unknown condition are dropped.
#[derive(Debug)]
pub struct Filter {
    condition: Formula,
    vitals: Vitals,
}

impl Filter {
    /// The verb `filter`.
    pub fn new(condition: Formula, node: u32) -> Filter {
        Filter { condition, vitals: Vitals::new(node) }
    }

    /// The rows to keep, those in which the condition failed, and the number of unknown ones.
    fn test(&self, block: &Block, known: &Known) -> Result<(BooleanBuffer, Refused, u64)> {
        let (keep, lost) = self.condition.test(block)?;
        let bad = refused(&lost).collect();
        let Some(open) = known.unknown(0, block) else { return Ok((keep, bad, 0)) };
        Ok((&keep & &!&open, bad, open.count_set_bits() as u64))
    }
}

impl Operator for Filter {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (keep, bad, open) = self.test(block, &context.known)?;
        context.known.left_open += open;
        set_aside(&mut self.vitals, block, &bad, context);
        let kept = keep.count_set_bits() as u64;
        self.vitals.counters.rows_in += block.len() as u64;
        self.vitals.counters.counted += kept;
        self.vitals.counters.filtered += block.len() as u64 - kept - bad.len() as u64;
        self.vitals.clock = clock.end();
        Ok((Arc::new(block.filter(&keep)?), clock.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Kept(&self.condition)
    }
}

/// Computes columns.
#[derive(Debug)]
pub struct Project {
    columns: Vec<Formula>,
    schema: SchemaRef,
    vitals: Vitals,
}

impl Project {
    /// The verbs `select` and `with_columns`.
    pub fn new(columns: Vec<Formula>, schema: SchemaRef, node: u32) -> Project {
        Project { columns, schema, vitals: Vitals::new(node) }
    }

    /// Computes the columns; also returns the rows in which one failed.
    fn project(&self, block: &Block, known: &Known) -> Result<(Block, Refused)> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        let mut lost = Lost::default();
        for (i, formula) in self.columns.iter().enumerate() {
            let (mut array, more) = formula.eval(block)?;
            if let Some(open) = known.unknown(i, block) {
                array = null_where(&array, &open)?;
            }
            lost = lost.then(more);
            columns.push(array);
        }
        let bad: Refused = refused(&lost).collect();
        let made = Block { schema: self.schema.clone(), columns, meta: block.meta.clone() };
        Ok((without(made, &bad)?, bad))
    }
}

impl Operator for Project {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (made, bad) = self.project(block, &context.known)?;
        set_aside(&mut self.vitals, block, &bad, context);
        self.vitals.counters.rows_in += block.len() as u64;
        self.vitals.counters.counted += made.len() as u64;
        self.vitals.clock = clock.end();
        Ok((Arc::new(made), clock.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Computed(&self.columns)
    }
}

/// Merges several streams by order of arrival.
#[derive(Debug)]
pub struct Union {
    sides: Vec<(Vec<Option<usize>>, Option<String>)>,
    schema: SchemaRef,
    vitals: Vitals,
}

impl Union {
    /// The verb `union`.
    pub fn new(
        sides: Vec<(Vec<Option<usize>>, Option<String>)>,
        schema: SchemaRef,
        node: u32,
    ) -> Union {
        Union { sides, schema, vitals: Vitals::new(node) }
    }

    /// Converts a side's block to the union's columns; also returns the rows with a value that does
    /// not fit.
    fn widen(&self, block: &Block, side: usize) -> Result<(Block, Refused)> {
        let (places, tag) = &self.sides[side];
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let mut bad = vec![];
        for (place, field) in places.iter().zip(self.schema.fields()) {
            columns.push(match place {
                Some(at) if block.columns[*at].data_type() == field.data_type() => {
                    block.columns[*at].clone()
                }
                Some(at) => {
                    let wide = in_common_type(&block.columns[*at], field.data_type())?;
                    bad.extend(wide.misfits.iter().map(|&(row, _)| (row, Reason::CastFailed)));
                    wide.array
                }
                None => new_null_array(field.data_type(), block.len()),
            });
        }
        if let Some(tag) = tag {
            columns.push(Arc::new(StringArray::from_iter_values(vec![tag; block.len()])));
        }
        bad.sort_unstable_by_key(|&(row, _)| row);
        bad.dedup_by_key(|&mut (row, _)| row);
        let made = Block { schema: self.schema.clone(), columns, meta: block.meta.clone() };
        Ok((without(made, &bad)?, bad))
    }

    /// Merges all sides; also returns each side's rows that do not fit.
    fn merge(&self, inputs: &[Flow]) -> Result<(Block, Vec<Refused>)> {
        let (mut blocks, mut bad) = (vec![], vec![]);
        for (side, (block, _)) in inputs.iter().enumerate() {
            if block.is_empty() {
                bad.push(vec![]);
                continue;
            }
            let (wide, misfits) = self.widen(block, side)?;
            bad.push(misfits);
            if !wide.is_empty() {
                blocks.push(wide);
            }
        }
        let merged = match blocks.len() {
            0 => Block::empty(&self.schema),
            1 => blocks.remove(0),
            _ => merge_by_seq(&blocks)?,
        };
        Ok((merged, bad))
    }
}

/// Returns a block without its invalid rows.
fn without(block: Block, bad: &Refused) -> Result<Block> {
    if bad.is_empty() {
        return Ok(block);
    }
    block.filter(&all_but(block.len(), bad.iter().map(|&(row, _)| row)))
}

/// Merges blocks by (seq, block, row).
fn merge_by_seq(blocks: &[Block]) -> Result<Block> {
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (b, block) in blocks.iter().enumerate() {
        order.extend((0..block.len()).map(|row| (b, row)));
    }
    order.sort_by_key(|&(b, row)| blocks[b].meta.seq[row]);
    let column = |k: usize| -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = blocks.iter().map(|block| block.columns[k].as_ref()).collect();
        wide::interleave(&parts, &order)
    };
    let columns: Result<Vec<ArrayRef>> = (0..blocks[0].columns.len()).map(column).collect();
    let meta = |b: usize| blocks[b].meta.as_ref();
    let late = blocks.iter().any(|block| block.meta.late.is_some());
    let firing = blocks.iter().any(|block| block.meta.firing.is_some());
    let same = |block: &Block| block.meta.origins.is_same(&meta(0).origins);
    let origins = match blocks.iter().all(same) {
        true => meta(0).origins.clone(),
        false => Origins::Each(order.iter().map(|&(b, row)| meta(b).origin(row)).collect()),
    };
    let all = RowMeta {
        time: order.iter().map(|&(b, row)| meta(b).time[row]).collect(),
        seq: order.iter().map(|&(b, row)| meta(b).seq[row]).collect(),
        judge: order.iter().map(|&(b, row)| meta(b).judge[row]).collect(),
        origins,
        firing: firing.then(|| order.iter().map(|&(b, row)| meta(b).firing_of(row)).collect()),
        late: late.then(|| order.iter().map(|&(b, row)| meta(b).is_late(row)).collect()),
    };
    Ok(Block { schema: blocks[0].schema.clone(), columns: columns?, meta: Arc::new(all) })
}

impl Operator for Union {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (merged, bad) = self.merge(inputs)?;
        for ((block, _), rows) in inputs.iter().zip(&bad) {
            set_aside(&mut self.vitals, block, rows, context);
            self.vitals.counters.rows_in += rows.len() as u64;
        }
        let clocks: Vec<&Clock> = inputs.iter().map(|(_, clock)| clock.as_ref()).collect();
        let clock = Clock::minimum(&clocks, self.vitals.clock);
        self.vitals.counters.rows_in += merged.len() as u64;
        self.vitals.counters.counted += merged.len() as u64;
        self.vitals.clock = clock.end();
        Ok((Arc::new(merged), Arc::new(clock)))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        let columns = self.sides.iter().map(|side| side.0.as_slice()).collect();
        Dependence::Merged { columns, width: self.schema.fields().len() }
    }
}
