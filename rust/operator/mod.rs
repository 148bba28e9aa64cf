//! Operators: one file per verb. An operator takes a block with its clock and returns the output
//! block with its clock. Its state lives in slots, each with one owner.
//!
//! # Adding a window
//!
//! 1. Put its arithmetic, if any, in `assign/` and its parameters in a variant of
//!    [`crate::plan::Node`].
//! 2. Add one file here with a slot and an impl of [`Windowed`] (rows are emitted when it closes)
//!    or of [`Operator`] (anything else).
//! 3. Add its arm in [`build`]; the compiler points at the other places that must know the variant.
//!
//! A verb that decides about each row from rows of its key is a file with an impl of
//! [`keyed_rows::KeyedRows`] in place of step 2.

pub mod vitals;
pub mod known;
pub mod dependence;
pub mod flow;
pub mod completeness;
pub mod slots;
pub mod prepare;
pub mod task;
pub mod stateless;
pub mod top;
pub mod windowed;
pub mod aligned;
pub mod zoned;
pub mod sessions;
pub mod session;
pub mod silent;
pub mod running;
pub mod sliding;
pub mod reorder;
pub mod history;
pub mod keyed_rows;
pub mod keyed_operator;
pub mod previous;
pub mod deduplicate;
pub mod rule;
pub mod alert;
pub mod message;

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};

pub use completeness::Completeness;
pub use dependence::Dependence;
pub use flow::{Context, Flow};
pub use known::CompleteFrom;
pub use slots::SavedPiece;
pub use vitals::Vitals;
pub use windowed::Windowed;

use crate::error::Result;
use crate::graph::{Frame, TypedNode, Verb};
use crate::plan::Answering;
use crate::state::Address;
use crate::watermark::Clock;
use crate::wide::{self, Cut};

/// A rule whose condition is evaluated elsewhere, once per batch: a Python callable.
pub trait Mask: Send + Sync {
    /// The rule's name, for error messages.
    fn name(&self) -> &str;
    /// Returns one boolean per row; null means the rule does not fire. An error affects this rule
    /// alone: it produces no result for these rows, and the step continues.
    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray>;
}

/// A running verb.
pub trait Operator: Send + Sync + Debug {
    /// Processes the input of one step and returns the output.
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow>;

    /// Returns what [`Operator::run`] would output for the rows of one `seq`, and leaves the state as
    /// it was; windows return nothing. The caller puts the vitals back.
    fn peek(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.run(inputs, context)
    }

    /// Its counters and clock.
    fn vitals(&self) -> &Vitals;

    /// Its counters and clock, mutable.
    fn vitals_mut(&mut self) -> &mut Vitals;

    /// On what its rows depend.
    fn depends(&self) -> Dependence<'_>;

    /// Number of keys held in state.
    fn keys(&self) -> usize {
        0
    }

    /// Approximate memory of its state in bytes.
    fn bytes(&self) -> usize {
        0
    }

    /// The epoch in which a named part of a slot last changed.
    fn changed(&self, _address: Address, _name: &str) -> u64 {
        0
    }

    /// Saves the slots that changed after epoch `since`.
    fn save(&self, _since: u64) -> Result<Vec<SavedPiece>> {
        Ok(vec![])
    }

    /// Restores saved state, after its counters and clock and before the first step.
    fn load(&mut self, _pieces: &[SavedPiece]) -> Result<()> {
        Ok(())
    }
}

/// Builds the operator of a typed verb.
pub fn build(node: TypedNode, number: u32) -> Result<Box<dyn Operator>> {
    let TypedNode { schema, zone, revisions, verb, .. } = node;
    let shape = |last: bool| crate::fire::Shape {
        schema: schema.clone(),
        zone: zone.clone(),
        last,
        revision: revisions,
    };
    Ok(match verb {
        Verb::Input(_) => Box::new(stateless::InputOperator::new(number)),
        Verb::Filter(condition) => Box::new(stateless::Filter::new(condition, number)),
        Verb::Project(columns) => Box::new(stateless::Project::new(columns, schema, number)),
        Verb::Union(sides) => Box::new(stateless::Union::new(sides, schema, number)),
        Verb::Aligned(plan, Frame::Shared(grid), folding) => {
            let verb = aligned::AlignedWindows::planned(&plan, grid);
            Box::new(windowed::WindowOperator::new(verb, folding, shape(false), number)?)
        }
        Verb::Aligned(plan, Frame::ByZone { kind, key }, folding) => {
            let verb = zoned::ZonedWindows::new(plan, kind, key);
            Box::new(windowed::WindowOperator::new(verb, folding, shape(false), number)?)
        }
        Verb::Session(plan, folding) => {
            let verb = session::SessionOperator::new(&plan);
            Box::new(windowed::WindowOperator::new(verb, folding, shape(true), number)?)
        }
        Verb::Silent(plan, folding) => {
            let verb = silent::Silence::new(&plan, &folding)?;
            Box::new(windowed::WindowOperator::new(verb, folding, shape(true), number)?)
        }
        Verb::Previous(plan, keyed) => {
            let verb = previous::RowBefore::new(&plan);
            Box::new(keyed_operator::KeyedOperator::new(verb, keyed, schema, number))
        }
        Verb::Top(plan, by, order) => Box::new(top::FirstRows::new(&plan, by, order, number)),
        Verb::Deduplicate(plan, keyed) => {
            let verb = deduplicate::Duplicates::new(&plan);
            Box::new(keyed_operator::KeyedOperator::new(verb, keyed, schema, number))
        }
        Verb::History(plan, folding) => {
            Box::new(history::HistoryWindows::new(&plan, folding, schema, number)?)
        }
        Verb::Sliding(plan, folding) => {
            let answers = plan.emit;
            let inner = sliding::SlidingWindows::new(&plan, folding, schema, number)?;
            match answers {
                Answering::Arrival => Box::new(inner),
                Answering::Watermark => Box::new(reorder::Reorder::new(inner, number)),
            }
        }
    })
}

/// Splits a flow into pieces small enough to process, each with its part of the clock.
pub fn pieces_of(flow: &Flow, cut: Cut) -> Result<Vec<Flow>> {
    let (block, clock) = flow;
    let pieces = block.pieces(cut)?;
    if pieces.len() < 2 {
        let pieces = pieces.into_iter().map(|piece| (piece, clock.clone()));
        return Ok(pieces.collect());
    }
    let begins: Vec<u64> = pieces.iter().skip(1).map(|piece| piece.meta.seq[0]).collect();
    let clocks = clock.parts(&begins).into_iter().map(Arc::new);
    Ok(pieces.into_iter().zip(clocks).collect())
}

/// Runs an operator piece by piece if the block holds too much text for one call. An operator with
/// several inputs only moves columns, so it takes them whole.
pub fn in_pieces(
    operator: &mut dyn Operator,
    inputs: &[Flow],
    cut: Cut,
    context: &mut Context,
) -> Result<Flow> {
    let [flow] = inputs else { return operator.run(inputs, context) };
    if !flow.0.is_wide() {
        return operator.run(inputs, context);
    }
    let (mut blocks, mut clocks) = (vec![], vec![]);
    for piece in pieces_of(flow, cut)? {
        let (block, clock) = operator.run(&[piece], context)?;
        blocks.push(block);
        clocks.push(clock);
    }
    Ok((Arc::new(wide::together(&blocks)?), Arc::new(Clock::joined(&clocks))))
}
