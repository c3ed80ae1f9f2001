//! Argon2id with a pepper: what is kept says with which parameters it was made, and today's are raised here.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use rand::Rng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::Verdict;
use crate::clock::system_random;

const SALT_LENGTH: usize = 16;
const OUTPUT_LENGTH: usize = 32;
/// The longest output that a PHC string may have.
const LONGEST_OUTPUT: usize = 64;
/// What a kept hash may ask for: enough for what we may once have made, too little to stop the daemon.
const MOST_MEMORY_KIB: u32 = 64 * 1024;
const MOST_PASSES: u32 = 8;
const MOST_LANES: u32 = 4;

/// Argon2id at work.
pub(super) struct Argon {
    pepper: Box<Zeroizing<[u8; 32]>>,
    /// Memory of runs that ended, wiped: to take it again costs a twelfth less than to ask the system for it each time.
    idle: Mutex<Vec<Vec<Block>>>,
    runs: AtomicU64,
}

/// A kept hash, read.
struct Kept {
    params: Params,
    salt: Salt,
    output: Output,
}

/// 19 MiB, two passes, one lane (OWASP's cheat sheet on password storage, its second choice of equal strength).
fn today() -> Params {
    Params::new(19 * 1024, 2, 1, Some(OUTPUT_LENGTH)).expect("these are in range")
}

impl Argon {
    pub fn new(pepper: Zeroizing<[u8; 32]>) -> Self {
        Self { pepper: Box::new(pepper), idle: Mutex::default(), runs: AtomicU64::new(0) }
    }

    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// The PHC string of `password` under a new salt.
    pub fn hash(&self, password: &str) -> String {
        let mut salt = [0; SALT_LENGTH];
        system_random().fill_bytes(&mut salt);
        self.hash_salted(password, &salt, &today())
    }

    pub fn verify(&self, password: &str, kept: Option<&str>) -> Verdict {
        let kept = kept.and_then(|text| Kept::parse(text).inspect_err(|cause| tell_of_unfit(cause)).ok());
        let Some(kept) = kept else {
            self.run(&today(), password, &[0; SALT_LENGTH]);
            return Verdict::Wrong;
        };
        let output = self.run(&kept.params, password, &kept.salt);
        if !bool::from(output.ct_eq(kept.output.as_bytes())) {
            return Verdict::Wrong;
        }
        Verdict::Right { rehashed: (!kept.is_of_today()).then(|| self.hash(password)) }
    }

    fn hash_salted(&self, password: &str, salt: &[u8], params: &Params) -> String {
        let output = self.run(params, password, salt);
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(params).expect("parameters are short"),
            salt: Some(Salt::new(salt).expect("its length is in range")),
            hash: Some(Output::new(&output).expect("its length is in range")),
        };
        hash.to_string()
    }

    fn run(&self, params: &Params, password: &str, salt: &[u8]) -> Zeroizing<Vec<u8>> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let argon = Argon2::new_with_secret(self.pepper.as_slice(), Algorithm::Argon2id, Version::V0x13, params.clone());
        let argon = argon.expect("the pepper is short");
        let mut output = Zeroizing::new(vec![0; params.output_len().unwrap_or(OUTPUT_LENGTH)]);
        self.with_memory(params.block_count(), |memory| {
            let run = argon.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, memory);
            run.expect("lengths are in range, and the memory is as large as the parameters say");
        });
        output
    }

    fn with_memory(&self, blocks: usize, work: impl FnOnce(&mut [Block])) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = idle().pop().unwrap_or_default();
        memory.resize(blocks.max(memory.len()), Block::new());
        work(&mut memory);
        memory.iter_mut().zeroize();
        if memory.len() <= today().block_count() {
            idle().push(memory);
        }
    }
}

impl Kept {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let hash = PasswordHash::new(text).map_err(|_| "it is no PHC string")?;
        let version = u32::from(Version::V0x13);
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(version) {
            return Err("it is not of Argon2id, version 19");
        }
        let params = Params::try_from(&hash).map_err(|_| "its parameters are not Argon2's")?;
        let is_bearable = params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES && params.p_cost() <= MOST_LANES;
        if !is_bearable {
            return Err("its parameters ask for more than 64 MiB, 8 passes or 4 lanes");
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err("it lacks its salt or its hash") };
        if salt.len() < argon2::MIN_SALT_LEN || !(SALT_LENGTH..=LONGEST_OUTPUT).contains(&output.len()) {
            return Err("its salt or its hash is too short");
        }
        Ok(Self { params, salt, output })
    }

    fn is_of_today(&self) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        costs(&self.params) == costs(&today()) && self.output.len() == OUTPUT_LENGTH && self.salt.len() >= SALT_LENGTH
    }
}

fn tell_of_unfit(cause: &str) {
    tracing::error!(cause, "a kept password hash is not one that we made; nobody passes with it");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";
    /// Made by argon2-cffi 25.1 (the reference implementation, in C): salt `0123456789abcdef`, the secret 32 bytes of 7.
    const OF_TODAY: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$kjRVO6i/+fxWGxJHJ8vp7IdgLdcIlBN5hcQkWN7xI+g";
    const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$A0wop7Ufz3op7fO+yVwjVbZfUIMgtT68VEX/ukOUXNc";

    fn argon(pepper: u8) -> Argon {
        Argon::new(Zeroizing::new([pepper; 32]))
    }

    #[test]
    fn the_reference_implementation_makes_the_same_of_password_salt_and_pepper() {
        assert_eq!(argon(7).hash_salted(PASSWORD, b"0123456789abcdef", &today()), OF_TODAY);
        assert_eq!(argon(7).verify(PASSWORD, Some(OF_TODAY)), Verdict::Right { rehashed: None });
    }

    #[test]
    fn a_hash_is_of_its_password_and_pepper_and_never_twice_the_same() {
        let (ours, others) = (argon(7), argon(8));
        let hash = ours.hash(PASSWORD);

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(ours.hash(PASSWORD), hash);
        assert_eq!(ours.verify(PASSWORD, Some(&hash)), Verdict::Right { rehashed: None });
        assert_eq!(ours.verify("Correct horse battery staple", Some(&hash)), Verdict::Wrong);
        assert_eq!(others.verify(PASSWORD, Some(&hash)), Verdict::Wrong);
    }

    #[test]
    fn what_was_made_with_less_is_made_anew_when_its_password_comes_and_only_then() {
        let argon = argon(7);

        assert_eq!((argon.verify("wrong password", Some(WEAKER)), argon.runs()), (Verdict::Wrong, 1));
        let Verdict::Right { rehashed: Some(hash) } = argon.verify(PASSWORD, Some(WEAKER)) else { panic!("not raised") };
        assert_eq!(argon.verify(PASSWORD, Some(&hash)), Verdict::Right { rehashed: None });
    }

    #[test]
    fn a_kept_hash_that_is_none_of_ours_is_wrong_at_the_cost_of_one_run() {
        let (salt, output) = ("MDEyMzQ1Njc4OWFiY2RlZg", "kjRVO6i/+fxWGxJHJ8vp7IdgLdcIlBN5hcQkWN7xI+g");
        let argon = argon(7);
        for (at, kept) in [
            String::new(),
            "password".to_owned(),
            "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"),
            format!("$argon2i$v=19$m=19456,t=2,p=1${salt}${output}"),
            format!("$argon2id$v=16$m=19456,t=2,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=4294967295,t=2,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=65537,t=2,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=19456,t=9,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=19456,t=2,p=5${salt}${output}"),
            format!("$argon2id$v=19$m=1,t=0,p=0${salt}${output}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1$AAAA${output}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$AAAAAAAAAAAAAA"),
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(argon.verify(PASSWORD, Some(kept)), Verdict::Wrong, "{kept}");
            assert_eq!(argon.runs(), at as u64 + 1, "{kept}");
        }
    }

    #[test]
    fn memory_is_wiped_and_used_again_and_that_of_greater_costs_is_given_back() {
        let argon = argon(7);
        argon.hash(PASSWORD);
        argon.verify(PASSWORD, Some(WEAKER));

        let idle = argon.idle.lock().unwrap().clone();
        assert_eq!(idle.iter().map(Vec::len).collect::<Vec<_>>(), [today().block_count()]);
        assert!(idle[0].iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        argon.hash_salted(PASSWORD, &[1; 16], &Params::new(20 * 1024, 1, 1, Some(32)).unwrap());
        assert!(argon.idle.lock().unwrap().is_empty());
    }
}
