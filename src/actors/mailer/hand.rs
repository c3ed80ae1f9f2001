//! What was handed over and whose try is not over. Once there is much of it, or mails wait for long, it keeps room for others: who has
//! just asked for a mail is not to find it full of those that hang.

use std::{cell::RefCell, rc::Rc};

use super::{
    MAX_HANDED_OVER,
    shares::{Correspondence, InTheWay},
};

/// More than this is much: it is more than wait while mails go out.
const MUCH: usize = MAX_HANDED_OVER as usize * 3 / 4;

/// The mails, by whose they are and where they go to.
#[derive(Clone, Default)]
pub(super) struct Hand(Rc<RefCell<Vec<Rc<Correspondence>>>>);

/// One of them, until it is dropped.
pub(super) struct HandedOver {
    hand: Hand,
    it: Rc<Correspondence>,
}

impl Hand {
    /// None when there is no room for one more of its kind.
    pub(super) fn take(&self, of: Correspondence, is_late: impl FnOnce() -> bool) -> Option<HandedOver> {
        let mut mails = self.0.borrow_mut();
        let places = MAX_HANDED_OVER as usize;
        let is_crowded = mails.len() >= MUCH || is_late();
        if is_crowded && InTheWay::of(&of, places, &mails.iter().map(|one| &**one)).is_some() {
            return None;
        }
        let it = Rc::new(of);
        mails.push(it.clone());
        Some(HandedOver { hand: self.clone(), it })
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.hand.0.borrow_mut().retain(|one| !Rc::ptr_eq(one, &self.it));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::shares::to, *};

    #[test]
    fn it_keeps_room_for_others_once_mails_wait_for_long_or_are_many() {
        let (hand, mut held) = (Hand::default(), Vec::new());
        for _ in 0..300 {
            held.push(hand.take(to("shop", "a"), || false).unwrap());
        }
        assert!(hand.take(to("shop", "a"), || true).is_none());
        assert!(hand.take(to("shop", "b"), || true).is_some());
        while let Some(one) = hand.take(to("shop", "a"), || false) {
            held.push(one);
        }
        assert_eq!(held.len(), MUCH);
        assert!(hand.take(to("forum", "a"), || true).is_some());
        held.clear();
        assert!(hand.take(to("shop", "a"), || true).is_some());
    }
}
