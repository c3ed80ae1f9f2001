//! The supervisor of cells: one whose thread ends is made anew, and takes connections again.

use std::pin::pin;

use futures_util::future::{join_all, select_all};
use metrics::counter;
use tokio::{select, sync::mpsc::UnboundedSender, time::sleep};

use super::{
    StartError,
    daemon::{Cell, CellPlan, Doors},
    roster::Place,
};
use crate::{
    http::CellPorts,
    supervision::{Cause, Escalation, Falls, Policy},
};

/// Where the acceptors find the cells.
#[derive(Clone, Default)]
pub(super) struct Ports {
    pub api: CellPorts,
    pub compat: CellPorts,
}

impl Ports {
    fn open(&self, doors: Doors) {
        self.api.add(doors.api);
        if let Some(compat) = doors.compat {
            self.compat.add(compat);
        }
    }
}

/// Makes cells, and makes them anew.
pub(super) struct CellKeeper {
    plan: CellPlan,
    cells: Vec<Cell>,
    ports: Ports,
    falls: Falls,
    escalations: UnboundedSender<Escalation>,
}

impl CellKeeper {
    /// Starts `count` cells, all at once.
    ///
    /// # Errors
    /// [`StartError`] when a thread ended at once.
    pub async fn start(plan: CellPlan, count: usize, escalations: UnboundedSender<Escalation>) -> Result<Self, StartError> {
        let (ports, falls) = (Ports::default(), Falls::new(Policy::default()));
        let mut keeper = Self { plan, cells: Vec::new(), ports, falls, escalations };
        let starting = join_all((1..=count).map(|number| Cell::start(keeper.plan.at(Place::Cell(number))))).await;
        for started in starting {
            let (cell, doors) = started?;
            keeper.ports.open(doors);
            keeper.cells.push(cell);
        }
        Ok(keeper)
    }

    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Looks after the cells until `stop`, and hands them out then, to be finished.
    pub async fn keep(mut self, stop: impl Future<Output = ()>) -> Vec<Cell> {
        let mut stop = pin!(stop);
        loop {
            select! {
                biased; // a stop ends all cells: none of them has fallen then
                () = &mut stop => return self.cells,
                ended = a_cell_ended(&mut self.cells) => self.replace(ended).await,
            }
        }
    }

    async fn replace(&mut self, index: usize) {
        let gone = self.cells.swap_remove(index);
        let place = gone.place();
        self.plan.roster().strike(place); // its actors went with it, and are no reason for a new process
        gone.discard();
        let Some(back_in) = self.falls.count() else {
            let _ = self.escalations.send(Escalation { actor: "cell", cause: Cause::Stopped });
            return;
        };
        counter!("fiador_cell_restarts_total").increment(1);
        tracing::error!(place = %place, back_in_ms = back_in.as_millis(), "a cell's thread ended; it is made anew");
        sleep(back_in).await;
        match Cell::start(self.plan.at(place)).await {
            Ok((cell, doors)) => {
                self.ports.open(doors);
                self.cells.push(cell);
            }
            Err(error) => {
                tracing::error!(place = %place, error = %error, "a cell could not be made anew");
                let _ = self.escalations.send(Escalation { actor: "cell", cause: Cause::Stopped });
            }
        }
    }
}

/// The index of one whose thread ended; never, without cells.
async fn a_cell_ended(cells: &mut [Cell]) -> usize {
    if cells.is_empty() {
        return std::future::pending().await;
    }
    select_all(cells.iter_mut().map(|cell| Box::pin(cell.ended()))).await.1
}
