//! The fail points of the source.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all of them.
pub fn fail_points() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    names
}

fn gather(path: &Path, names: &mut BTreeSet<String>) {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().for_each(|entry| gather(&entry.unwrap().path(), names));
    }
    let source = fs::read_to_string(path).unwrap();
    let behind_each = source.split("fail_point!(\"").skip(1);
    names.extend(behind_each.map(|rest| rest.split('"').next().unwrap().to_owned()));
}
