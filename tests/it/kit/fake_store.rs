//! Stands for the store: gives out what the test queued, and tells the test what it was told.

use std::collections::VecDeque;

use actix::prelude::*;
use fiador::{
    domain::{Claimed, LeasedMessage, MessageOutcome},
    messages::{ClaimMessages, Failure, SettleMessage},
    supervision::{Ask, Guarded, Policy, start},
};
use tokio::sync::mpsc;

/// What the Mailer asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Mails, at most so many.
    Claim(usize),
    /// To note an outcome under a fence; refused or noted.
    Settle(u32, MessageOutcome),
}

pub struct FakeStore {
    due: VecDeque<LeasedMessage>,
    settlements_to_fail: usize,
    asked: mpsc::UnboundedSender<Asked>,
}

impl FakeStore {
    /// A store with these mails due, which is down for the first `settlements_to_fail` settlements.
    pub fn start(due: Vec<LeasedMessage>, settlements_to_fail: usize) -> StoreHandle {
        let (sender, asked) = mpsc::unbounded_channel();
        let store = Self { due: due.into(), settlements_to_fail, asked: sender };
        let guarded = start("store", Policy::default(), 1_000, |_| {}, |_| store);
        StoreHandle { guarded, asked }
    }
}

pub struct StoreHandle {
    guarded: Guarded<FakeStore>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl StoreHandle {
    pub fn claim(&self) -> Ask<ClaimMessages> {
        self.guarded.asks()
    }

    pub fn settle(&self) -> Ask<SettleMessage> {
        self.guarded.asks()
    }

    /// The next claim or settlement.
    pub async fn next(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    /// The next settlement; claims before it are passed over.
    pub async fn next_settlement(&mut self) -> (u32, MessageOutcome) {
        loop {
            if let Asked::Settle(fence, outcome) = self.next().await {
                return (fence, outcome);
            }
        }
    }
}

impl Actor for FakeStore {
    type Context = Context<Self>;
}

impl Supervised for FakeStore {}

impl Handler<ClaimMessages> for FakeStore {
    type Result = Result<Claimed, Failure>;

    fn handle(&mut self, ClaimMessages { limit }: ClaimMessages, _: &mut Self::Context) -> Self::Result {
        let _ = self.asked.send(Asked::Claim(limit)); // the test may be over
        let messages = self.due.drain(..limit.min(self.due.len())).collect();
        Ok(Claimed { messages, may_be_more: !self.due.is_empty() })
    }
}

impl Handler<SettleMessage> for FakeStore {
    type Result = Result<(), Failure>;

    fn handle(&mut self, settlement: SettleMessage, _: &mut Self::Context) -> Self::Result {
        let _ = self.asked.send(Asked::Settle(settlement.fence, settlement.outcome)); // the test may be over
        if self.settlements_to_fail == 0 {
            return Ok(());
        }
        self.settlements_to_fail -= 1;
        Err(Failure::Unavailable)
    }
}
