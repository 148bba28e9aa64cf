//! Operators: one file a verb. An operator takes a block and its clock and gives the block and the
//! clock of what comes out; its state lies in slots, one owner each.
//!
//! # A new window
//! 1. Its arithmetic, if it has any, in `assign/`; its parameters as a variant of [`crate::plan::Node`].
//! 2. One file here with a slot and an impl of [`Windowed`] (rows come out when it closes) or of
//!    [`Operator`] (anything else).
//! 3. Its arm in [`build`]; the compiler points at the other places that must know the variant.

pub mod warming;
pub mod keyed;
pub mod stateless;
pub mod windowed;
pub mod aligned;
pub mod sessions;
pub mod session;
pub mod silent;
pub mod running;
pub mod sliding;
pub mod waiting;
pub mod reorder;
pub mod rule;
pub mod alert;
pub mod message;

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};

pub use keyed::{Context, Flow, SavedPiece};
pub use warming::{CompleteFrom, Warming};
pub use windowed::Windowed;

use crate::block::Block;
use crate::error::Result;
use crate::fate::{Counters, Record};
use crate::graph::{TypedNode, Verb};
use crate::plan::Answering;
use crate::time::Micros;
use crate::watermark::Clock;
use crate::wide::{self, Cut};

/// A rule whose verdict is computed elsewhere, once a batch: a Python callable.
pub trait Mask: Send + Sync {
    /// The rule's name, for messages.
    fn name(&self) -> &str;
    /// One verdict a row; a null one does not fire. An error is the rule's own: it has no verdict
    /// for these rows, and everything else goes on.
    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray>;
}

/// One verb at work.
pub trait Operator: Send + Sync + Debug {
    /// Takes in what came from upstream in one step; gives what goes on.
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow>;

    /// What [`Operator::run`] would give for a row, without counting it; windows give nothing.
    /// Appends the records that it would set aside.
    fn peek(&self, inputs: &[Flow], records: &mut Vec<Record>) -> Result<Arc<Block>>;

    /// What became of its rows.
    fn counters(&self) -> &Counters;

    /// Number of keys that it remembers.
    fn keys(&self) -> usize {
        0
    }

    /// Memory of its state in bytes, about.
    fn bytes(&self) -> usize {
        0
    }

    /// The clock of its input after the last step, [`crate::time::NEVER`] before the first.
    fn clock(&self) -> Micros;

    /// What it keeps of its warming.
    fn warming(&self) -> &Warming;

    /// The same, to change it.
    fn warming_mut(&mut self) -> &mut Warming;

    /// From when on the rows that it gives are full, if those that come are so from `inputs` on;
    /// what is before that is left open in all that follows.
    fn update_completeness(&mut self, inputs: &[&CompleteFrom]) -> CompleteFrom;

    /// From which event time on its rows are still to come, if those of its inputs are so from
    /// `inputs` on.
    fn emits_from(&self, inputs: Micros) -> Micros {
        inputs
    }

    /// The epoch in which a part of a range last changed.
    fn changed(&self, _range: usize, _part: &str) -> u64 {
        0
    }

    /// The state of slots that changed after epoch `since`.
    fn save(&self, since: u64) -> Result<Vec<SavedPiece>>;

    /// Takes over saved state, counters and clock; called before the first step.
    fn load(&mut self, pieces: &[SavedPiece], counters: Counters, clock: Micros) -> Result<()>;
}

/// The operator for a typed verb.
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
        Verb::Aligned(plan, folding) => {
            let verb = aligned::AlignedWindows::new(&plan);
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

/// A flow as pieces that can be read, each with its part of the clock.
pub fn pieces_of(flow: &Flow, cut: Cut) -> Result<Vec<Flow>> {
    let (block, clock) = flow;
    let pieces = block.pieces(cut)?;
    if pieces.len() < 2 {
        let pieces = pieces.into_iter().map(|piece| (piece, clock.clone()));
        return Ok(pieces.collect());
    }
    let begins: Vec<u64> = pieces.iter().skip(1).map(|piece| piece.marks.seq[0]).collect();
    let clocks = clock.parts(&begins).into_iter().map(Arc::new);
    Ok(pieces.into_iter().zip(clocks).collect())
}

/// Runs an operator, piece by piece where there is too much text for one block. One that reads
/// several inputs only moves their columns, so it takes them as they are.
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
