//! By which keys of a ring the values in a store are sealed, told from their bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use redis::Commands;

use super::redis::TestRedis;

/// The sealed values of a store.
pub struct SealedBy(BTreeMap<Vec<u8>, Vec<u8>>);

impl SealedBy {
    /// Of all records, tokens and numbers on a server.
    pub fn of_redis(server: &TestRedis) -> Self {
        let mut connection = server.connection();
        let kind = |key: &[u8]| key.split(|&byte| byte == b'}').nth(1).and_then(|rest| rest.first().copied());
        let is_sealed = |key: &Vec<u8>| kind(key).is_some_and(|kind| b"atn".contains(&kind));
        let value = |key: Vec<u8>| connection.get::<_, Option<Vec<u8>>>(&key).unwrap().map(|value| (key, value));
        Self(server.keys().into_iter().filter(is_sealed).filter_map(value).collect())
    }

    /// Of all records and tokens in a file that no daemon has open.
    pub fn of_file(path: &Path) -> Self {
        let database = Database::open(path).unwrap();
        let reading = database.begin_read().unwrap();
        let mut values = BTreeMap::new();
        for name in ["records", "tokens"] {
            let table = reading.open_table(TableDefinition::<[u8; 16], (u64, &[u8])>::new(name)).unwrap();
            for row in table.iter().unwrap() {
                let (key, value) = row.unwrap();
                values.insert([name.as_bytes(), &key.value()].concat(), value.value().1.to_vec());
            }
        }
        Self(values)
    }

    /// Those that were not there, or were others, in `before`.
    #[must_use]
    pub fn without(mut self, before: &Self) -> Self {
        self.0.retain(|key, value| before.0.get(key) != Some(value));
        self
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The ids of the keys, as the ring's file has them. They stand behind the first byte, which says the format.
    pub fn keys(&self) -> Vec<String> {
        let ids: BTreeSet<String> = self.0.values().map(|sealed| URL_SAFE_NO_PAD.encode(&sealed[1..5])).collect();
        ids.into_iter().collect()
    }
}

/// The ids of the sealing keys in a ring's file, the newest last.
pub fn sealing_keys(ring: &str) -> Vec<String> {
    let ring: toml::Table = ring.parse().unwrap();
    ring["sealing"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

/// The id of the key that seals.
pub fn newest_key(ring: &str) -> String {
    sealing_keys(ring).pop().unwrap()
}
