//! Panics that were reckoned with: a library falls over bytes that are damaged. Who catches one tells of it, in words that help;
//! the process's panic hook does not.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static IS_FORESEEN: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns; none when it panicked. What it worked on is not to be used then.
pub fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = IS_FORESEEN.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_FORESEEN.set(before);
    outcome.ok()
}

/// Whether a panic of this thread is caught by [`catch`].
pub fn is_foreseen() -> bool {
    IS_FORESEEN.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_foreseen_only_while_it_is_looked_out_for() {
        assert_eq!(catch(is_foreseen), Some(true));
        assert_eq!(catch(|| panic!("foreseen")), None::<()>);
        assert!(!is_foreseen());
        assert_eq!(catch(|| (catch(|| ()), is_foreseen())), Some((Some(()), true)));
    }
}
