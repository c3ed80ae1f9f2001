//! A disk that loses power, as far as a redb file sees one: what was not synced may be there afterwards, whole, in part or not at
//! all. It can be full, too.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use fiador::store::embedded::OpenError;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use redb::{Database, StorageBackend};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// All clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What outlives a loss of power.
    durable: Vec<u8>,
    /// What is read.
    cached: Vec<u8>,
    unsynced: Vec<Change>,
    /// Changes until the power is lost.
    power_for: Option<usize>,
    /// What is there when it is back.
    after_the_loss: Option<Vec<u8>>,
    chance: StdRng,
    is_full: bool,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Disk {
    /// An empty one; what a loss of power leaves is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(Vec::new(), seed)
    }

    fn with(bytes: Vec<u8>, seed: u64) -> Self {
        let (cached, chance) = (bytes.clone(), StdRng::seed_from_u64(seed));
        let (unsynced, power_for, after_the_loss, is_full) = (Vec::new(), None, None, false);
        Self(Arc::new(Mutex::new(State { durable: bytes, cached, unsynced, power_for, after_the_loss, chance, is_full })))
    }

    /// Loses power after one to so many more changes and syncs. Whoever uses the disk does not notice.
    pub fn lose_power_within(&self, changes: usize) {
        let mut state = self.state();
        state.power_for = Some(state.chance.random_range(1..=changes));
    }

    pub fn has_lost_power(&self) -> bool {
        self.state().after_the_loss.is_some()
    }

    /// The disk as it was found when power was back.
    pub fn after_the_loss(&self) -> Self {
        let mut state = self.state();
        let seed = state.chance.next_u64();
        Self::with(state.after_the_loss.clone().expect("power was lost"), seed)
    }

    /// From now on, or no longer, nothing can be written.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    pub fn open(&self) -> Result<Database, OpenError> {
        let opened = Database::builder().create_with_backend(self.clone());
        opened.map_err(|error| OpenError::File("the disk".into(), error.to_string()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, change: Change) -> Result<(), io::Error> {
        let mut state = self.state();
        if state.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply_to(&mut state.cached);
        state.unsynced.push(change);
        state.use_power();
        Ok(())
    }
}

impl State {
    fn use_power(&mut self) {
        let Some(left) = self.power_for.as_mut() else { return };
        *left = left.saturating_sub(1);
        if *left == 0 && self.after_the_loss.is_none() {
            self.after_the_loss = Some(self.what_a_loss_leaves());
        }
    }

    /// What was synced, and of the rest in each of its places what chance has it.
    fn what_a_loss_leaves(&mut self) -> Vec<u8> {
        let mut left = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Resize(_) if self.chance.random() => change.apply_to(&mut left),
                Change::Resize(_) => {}
                Change::Write { offset, bytes } => {
                    for (at, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| self.chance.random()) {
                        Change::Write { offset: offset + at * SECTOR, bytes: sector.to_vec() }.apply_to(&mut left);
                    }
                }
            }
        }
        left
    }
}

impl Change {
    fn apply_to(&self, image: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => image.resize(*length, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                image.resize(image.len().max(end), 0);
                image[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let end = size(offset) + out.len();
        out.copy_from_slice(&self.state().cached[size(offset)..end]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.change(Change::Resize(size(length)))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        state.use_power();
        for change in std::mem::take(&mut state.unsynced) {
            change.apply_to(&mut state.durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), io::Error> {
        self.change(Change::Write { offset: size(offset), bytes: bytes.to_vec() })
    }
}
