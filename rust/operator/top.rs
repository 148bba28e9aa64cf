//! Top: the first rows of each window in the order of an expression. The rows of a window come out
//! at once, so they are compared within one step, and no state is needed.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};

use super::flow::{Context, Flow};
use super::prepare::refused;
use super::{Dependence, Operator, Vitals};
use crate::block::Block;
use crate::error::Result;
use crate::graph::Formula;
use crate::plan;
use crate::state::{KeyColumns, Keys};
use crate::time::Micros;

/// The verb `top`.
#[derive(Debug)]
pub struct FirstRows {
    n: usize,
    ties: bool,
    by: Vec<usize>,
    order: Formula,
    vitals: Vitals,
}

/// The rows that are ranked together: those of one window and one value of `by`.
type RankGroup = (u64, Micros, Micros, u32);

impl FirstRows {
    /// The verb of a plan.
    pub fn new(plan: &plan::Top, by: Vec<usize>, order: Formula, node: u32) -> FirstRows {
        let n = usize::try_from(plan.n).unwrap_or(usize::MAX);
        FirstRows { n, ties: plan.ties, by, order, vitals: Vitals::new(node) }
    }

    /// The rows to keep, window by window; in each the groups as they come, each in its order.
    fn keep(&self, block: &Block, values: &ArrayRef, ranked: &[u32]) -> Result<Vec<u32>> {
        let by: Vec<ArrayRef> = self.by.iter().map(|&at| block.columns[at].clone()).collect();
        let (columns, mut keys) = (KeyColumns::new(&by, block.len())?, Keys::default());
        let descending = SortOptions { descending: true, nulls_first: false };
        let compare = make_comparator(values, values, descending)?;
        let mut groups: Vec<Vec<u32>> = vec![];
        let mut known: HashMap<RankGroup, usize> = HashMap::new();
        for &row in ranked {
            let at = row as usize;
            let window = block.meta.firing_of(at);
            let key = keys.intern(&columns, at);
            let group = (block.meta.seq[at], window.end, window.start, key);
            let place = *known.entry(group).or_insert(groups.len());
            if place == groups.len() {
                groups.push(vec![]);
            }
            groups[place].push(row);
        }
        let mut kept = Vec::with_capacity(ranked.len());
        for mut rows in groups {
            rows.sort_by(|&a, &b| compare(a as usize, b as usize));
            let equal = |&&row: &&u32| {
                let last = rows[self.n.min(rows.len()) - 1];
                self.ties && compare(row as usize, last as usize) == Ordering::Equal
            };
            let more = rows.iter().skip(self.n).take_while(equal).count();
            kept.extend(&rows[..rows.len().min(self.n + more)]);
        }
        Ok(kept)
    }
}

/// Whether a row has a value that can be ranked: not null and not NaN.
fn is_ranked(values: &ArrayRef, row: usize) -> bool {
    let is_nan = match values.data_type() {
        DataType::Float64 => values.as_primitive::<Float64Type>().value(row).is_nan(),
        DataType::Float32 => values.as_primitive::<Float32Type>().value(row).is_nan(),
        _ => false,
    };
    values.is_valid(row) && !is_nan
}

impl Operator for FirstRows {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        let (block, clock) = &inputs[0];
        let (values, lost) = self.order.eval(block)?;
        let bad: Vec<_> = refused(&lost).collect();
        let open = context.known.unknown(0, block);
        let is_open = |row: usize| open.as_ref().is_some_and(|open| open.value(row));
        let is_bad = |row: usize| bad.iter().any(|each| each.0 == row);
        let ranked: Vec<u32> = (0..block.len())
            .filter(|&row| is_ranked(&values, row) && !is_open(row) && !is_bad(row))
            .map(|row| row as u32)
            .collect();
        let kept = self.keep(block, &values, &ranked)?;
        context.known.left_open += open.as_ref().map_or(0, |open| open.count_set_bits() as u64);
        let record = |&(row, reason): &(usize, _)| self.vitals.record(reason, block, row);
        context.records.extend(bad.iter().map(record));
        let counters = &mut self.vitals.counters;
        counters.rows_in += block.len() as u64;
        counters.invalid += bad.len() as u64;
        counters.counted += kept.len() as u64;
        counters.filtered += (block.len() - kept.len() - bad.len()) as u64;
        self.vitals.clock = clock.end();
        Ok((Arc::new(block.take(&kept)?), clock.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Kept(&self.order)
    }
}
