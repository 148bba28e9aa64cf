//! Alerts on trial: found like any others, then the cooldowns that began with them are taken back.

use super::{LastFired, RuleState, Rules};
use crate::block::Block;
use crate::error::Result;
use crate::operator::Mask;
use crate::operator::alert::Alert;
use crate::operator::flow::Context;
use crate::state::{Address, ByKey, KeyColumns};
use crate::time::{Micros, NEVER};
use crate::watermark::Clock;

/// A cooldown that began on trial.
#[derive(Debug)]
pub(super) struct Begun {
    /// Index of the rule.
    rule: usize,
    address: Address,
    id: u32,
    /// When the key fired before.
    before: Micros,
}

impl Rules {
    /// The alerts of a block as [`Rules::run`] would give them; leaves the state as it was.
    pub fn peek(
        &mut self,
        block: &Block,
        clock: &Clock,
        masks: &[Box<dyn Mask>],
        context: &mut Context,
    ) -> Result<Vec<Alert>> {
        let counts: Vec<(u64, u64)> = self.rules.iter().map(|r| (r.fired, r.failed)).collect();
        let given = std::mem::take(&mut self.given);
        let mut taken = Some(vec![]);
        let alerts = self.alerts(block, clock, masks, (context.epoch, &mut taken));
        for cooldown in taken.into_iter().flatten().rev() {
            self.rules[cooldown.rule].take_back(cooldown);
        }
        self.given = given;
        for (rule, (fired, failed)) in self.rules.iter_mut().zip(counts) {
            (rule.fired, rule.failed) = (fired, failed);
        }
        alerts
    }
}

impl RuleState {
    /// Begins a cooldown that [`RuleState::take_back`] ends.
    pub(super) fn begin_on_trial(
        &mut self,
        (rule, address): (usize, Address),
        keys: &KeyColumns,
        row: usize,
        time: Micros,
    ) -> Begun {
        let cooldown = self.plan.cooldown.unwrap_or_default();
        let slot = self.slots.get_or_insert(address, || ByKey::new(cooldown));
        let id = slot.intern(keys, row);
        let before = std::mem::replace(slot.value_mut(id), LastFired(time)).0;
        Begun { rule, address, id, before }
    }

    fn take_back(&mut self, Begun { address, id, before, .. }: Begun) {
        let cooldown = self.plan.cooldown.unwrap_or_default();
        let slot = self.slots.get_or_insert(address, || ByKey::new(cooldown));
        *slot.value_mut(id) = LastFired(before);
        if before == NEVER {
            slot.forget(id);
        }
        self.slots.drop_unchanged(address);
    }
}
