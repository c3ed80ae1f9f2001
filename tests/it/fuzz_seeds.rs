//! Every seed of the fuzzers, what they once found among them, holds. `scripts/fuzz` looks for more.

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use fiador::fuzzing::TARGETS;

const MOST_BYTES: u64 = 4096;

fn names_in(directory: &str) -> BTreeSet<String> {
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files_in(directory).iter().map(name).collect()
}

fn files_in(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory);
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_seed_holds() {
    let fails = |target: fn(&[u8]), seed: &PathBuf| {
        let bytes = fs::read(seed).unwrap();
        catch_unwind(|| target(&bytes)).is_err()
    };
    for (name, target) in TARGETS {
        let failing: Vec<_> = files_in(&format!("seeds/{name}")).into_iter().filter(|seed| fails(target, seed)).collect();
        assert!(failing.is_empty(), "{failing:#?}");
    }
}

#[test]
fn each_function_has_its_target_its_seeds_and_its_words() {
    let functions: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();

    assert_eq!(names_in("fuzz_targets"), functions);
    assert_eq!(names_in("seeds"), functions);
    assert!(names_in("dictionaries").is_subset(&functions));
    for (name, _) in TARGETS {
        let target = format!("fuzz_target!(|data: &[u8]| fiador::fuzzing::{name}(data));");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets").join(name).with_extension("rs");
        assert!(fs::read_to_string(path).unwrap().contains(&target), "{name} drives another function");
    }
}

#[test]
fn seeds_are_small() {
    for (name, _) in TARGETS {
        for seed in files_in(&format!("seeds/{name}")) {
            assert!(fs::metadata(&seed).unwrap().len() <= MOST_BYTES, "{} is larger than {MOST_BYTES} bytes", seed.display());
        }
    }
}
