//! Why an actor fell.

use std::{any::Any, cell::RefCell, fmt, panic::PanicHookInfo, sync::Arc};

use strum::{IntoStaticStr, VariantNames};

thread_local! {
    /// Where this thread panicked last, until the guard that caught it asks.
    static PLACE: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Remembers where this thread panics, for [`Cause::Panicked`]: to be called by the process's panic hook. A guard that catches
/// a panic sees what it said and not where it was.
pub fn note_place(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|location| location.to_string().into());
    PLACE.set(place);
}

/// Why an actor fell. It is written without what a panic said, which may hold anything.
#[derive(Clone, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Cause {
    /// It stopped by itself.
    Stopped,
    /// It panicked.
    #[strum(serialize = "panic")]
    Panicked {
        /// File, line and column; none when no panic hook calls [`note_place`].
        place: Option<Arc<str>>,
        /// What it said: never to be logged or shown.
        message: Arc<str>,
    },
}

impl Cause {
    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::Panicked { place: PLACE.take(), message: text.unwrap_or("panic without a message").into() }
    }

    /// `stopped` or `panic`.
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Panicked { place: Some(place), .. } => write!(f, "panicked at {place}"),
            Self::Panicked { place: None, .. } => f.write_str("panicked"),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
