//! Prepare: evaluates the keys and arguments of a block for a keyed operator.

use arrow_array::{ArrayRef, BooleanArray};

use crate::aggregate::{AnswerColumn, ArgumentColumns, Classes, Layout};
use crate::block::Block;
use crate::error::Result;
use crate::expr::Lost;
use crate::fate::{Reason, Record};
use crate::graph::{TypedAggregate, TypedAggregates};
use crate::state::KeyColumns;

/// The keys and aggregates of a verb, ready to run.
#[derive(Debug)]
pub struct Aggregator {
    /// The typed keys, arguments and filters.
    pub folding: TypedAggregates,
    /// The layout of the accumulators.
    pub layout: Layout,
}

/// A block's keys and arguments, evaluated for a keyed verb.
#[derive(Debug)]
pub struct Prepared {
    /// The keys.
    pub keys: KeyColumns,
    /// The arguments of each aggregate.
    pub columns: Vec<ArgumentColumns>,
    /// The valid rows.
    pub rows: Vec<u32>,
    /// Records of the invalid rows.
    pub invalid: Vec<Record>,
    /// How many times an aggregate skips a row as NaN.
    pub nan: u64,
}

impl Aggregator {
    /// Builds the accumulators of typed aggregates.
    pub fn new(folding: TypedAggregates) -> Result<Aggregator> {
        let aggregates: Result<Vec<_>> =
            folding.aggregates.iter().map(TypedAggregate::build).collect();
        let layout = Layout::new(aggregates?);
        Ok(Aggregator { folding, layout })
    }

    /// The classes of the arguments of each aggregate.
    pub fn classes(&self) -> impl Iterator<Item = Classes> {
        self.folding.aggregates.iter().map(|each| Classes::for_types(&each.types()))
    }

    /// Empty columns for the answers.
    pub fn answers(&self) -> Vec<AnswerColumn> {
        self.layout.output_types().map(|data_type| AnswerColumn::new(data_type, 0)).collect()
    }

    /// Evaluates the keys and arguments of a block; rows whose expressions overflow are rejected.
    pub fn prepare(&self, block: &Block, node: u32) -> Result<Prepared> {
        let by: Vec<ArrayRef> =
            self.folding.by.iter().map(|&at| block.columns[at].clone()).collect();
        let keys = KeyColumns::new(&by, block.len())?;
        let mut lost = Lost::default();
        let mut columns = Vec::with_capacity(self.folding.aggregates.len());
        for fold in &self.folding.aggregates {
            let (each, more) = arguments(fold, block)?;
            columns.push(each);
            lost = lost.then(more);
        }
        let all = 0..block.len() as u32;
        let rows: Vec<u32> = match lost.rows() {
            None => all.collect(),
            Some(bad) => all.filter(|&row| !bad.value(row as usize)).collect(),
        };
        let meta = &block.meta;
        let record = |(row, reason)| Record::row(reason, node, meta.seq[row], meta.origin(row));
        let invalid = refused(&lost).map(record).collect();
        let nan = self.layout.nans(&columns, &rows);
        Ok(Prepared { keys, columns, rows, invalid, nan })
    }
}

/// The rows in which an expression failed, each with the reason.
pub fn refused(lost: &Lost) -> impl Iterator<Item = (usize, Reason)> {
    let rows: Vec<usize> = lost.rows().iter().flat_map(|rows| rows.set_indices()).collect();
    let reason = |row: usize| if lost.is_cast(row) { Reason::CastFailed } else { Reason::Overflow };
    rows.into_iter().map(move |row| (row, reason(row)))
}

/// Evaluates the arguments of an aggregate; also returns the rows in which one of them failed.
fn arguments(fold: &TypedAggregate, block: &Block) -> Result<(ArgumentColumns, Lost)> {
    let mut lost = Lost::default();
    let filter = match &fold.filter {
        Some(filter) => {
            let (keep, more) = filter.test(block)?;
            lost = more;
            Some(BooleanArray::new(keep, None))
        }
        None => None,
    };
    let mut arrays = Vec::with_capacity(fold.arguments.len());
    for argument in &fold.arguments {
        let (array, more) = argument.eval(block)?;
        lost = lost.then(match &filter {
            Some(filter) => more.within(filter.values()),
            None => more,
        });
        arrays.push(array);
    }
    Ok((ArgumentColumns::from_arrays(&arrays, filter.as_ref(), block.len())?, lost))
}
