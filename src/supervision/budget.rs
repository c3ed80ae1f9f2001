//! How often something may fall.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Policy;

/// The falls that a policy remembers, of one thing.
pub struct Falls {
    policy: Policy,
    /// Oldest first, none longer ago than the policy remembers.
    remembered: VecDeque<Instant>,
}

impl Falls {
    /// None so far.
    pub fn new(policy: Policy) -> Self {
        Self { policy, remembered: VecDeque::new() }
    }

    /// Counts one: how long to stay down, or none when that was one too many.
    pub fn count(&mut self) -> Option<Duration> {
        let now = Instant::now();
        self.remembered.retain(|fall| now.duration_since(*fall) <= self.policy.within);
        self.remembered.push_back(now);
        let count = u32::try_from(self.remembered.len()).unwrap_or(u32::MAX);
        (count <= self.policy.max).then(|| self.policy.backoff(count))
    }
}
