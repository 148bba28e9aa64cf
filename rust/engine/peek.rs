//! Peek: a step on trial. The row runs through the code of a step, then what has changed is put back.

use super::{Engine, Entered, Step};
use crate::decode::{Feed, Order};
use crate::error::{Error, Result, caught};
use crate::pipeline::BuiltGraph;

impl Engine {
    /// Returns what a row would produce, without changing any state.
    pub fn peek(&mut self, feed: Feed) -> Result<Step> {
        self.alive()?;
        let heard = self.pipeline.running.is_some();
        let mut is_done = false;
        let answer = caught(|| {
            let answer = self.answer(feed);
            is_done = true;
            answer
        });
        if !is_done {
            // A panic may have left the state half changed.
            return self.change(|_| answer);
        }
        if !heard {
            self.pipeline.running = None;
        }
        answer
    }

    fn answer(&mut self, feed: Feed) -> Result<Step> {
        let checked = self.check(std::slice::from_ref(&feed))?;
        let rows = self.take_columns(checked);
        if rows.iter().map(|rows| rows.time.len()).sum::<usize>() != 1 {
            return Err(Error::Data("peek takes exactly one row".into()));
        }
        let (mut watermarks, mut seq) = (self.pipeline.watermarks.clone(), self.pipeline.seq);
        let entry = self.enter(rows, Order::Given, &mut watermarks, &mut seq)?;
        let kept = self.pipeline.running.as_ref().map(BuiltGraph::measures);
        let done = self.operate(Entered { leaps: vec![], ..entry }, false);
        if let (Some(running), Some(kept)) = (&mut self.pipeline.running, kept) {
            running.put_back(kept);
        }
        match done? {
            Some(done) => self.step_of(done),
            None => Ok(self.nothing()),
        }
    }
}
