//! Of places that are few, nobody takes all: mails of one application to one domain leave as many free as they take, those of one
//! application a third of that. So there is room for others, however many of one kind hang or queue.

use crate::domain::{ApplicationName, LeasedMessage};

/// Mails of one application may take so many times the places that are left free.
const SHARE_OF_APPLICATION: usize = 3;

/// Whose mails they are, and where they go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Correspondence {
    pub(super) application: ApplicationName,
    pub(super) domain: String,
}

/// Which of those that have places keep a mail from having one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InTheWay {
    OfItsDomain,
    OfItsApplication,
    All,
}

impl Correspondence {
    pub(super) fn of(message: &LeasedMessage) -> Self {
        Self { application: message.application.clone(), domain: message.address.ascii_domain() }
    }
}

impl InTheWay {
    /// What keeps a mail from one of so many places, when these have one; none when there is a place for it.
    pub(super) fn of<'a>(
        mail: &Correspondence,
        places: usize,
        taken: &(impl ExactSizeIterator<Item = &'a Correspondence> + Clone),
    ) -> Option<Self> {
        let free = places.saturating_sub(taken.len());
        if taken.len() < free {
            return None; // so few that they are too many of no kind
        }
        let is_too_much = |kind: Self, share: usize| {
            let count = taken.clone().filter(|one| kind.has(one, mail)).count();
            count > 0 && count >= free * share
        };
        if is_too_much(Self::OfItsDomain, 1) {
            Some(Self::OfItsDomain)
        } else if is_too_much(Self::OfItsApplication, SHARE_OF_APPLICATION) {
            Some(Self::OfItsApplication)
        } else {
            (free == 0).then_some(Self::All)
        }
    }

    /// Whether `one` is of those that keep `mail` from a place.
    pub(super) fn has(self, one: &Correspondence, mail: &Correspondence) -> bool {
        match self {
            Self::OfItsDomain => one == mail,
            Self::OfItsApplication => one.application == mail.application,
            Self::All => true,
        }
    }
}

#[cfg(test)]
pub(super) fn to(application: &str, domain: &str) -> Correspondence {
    Correspondence { application: ApplicationName::parse(application).unwrap(), domain: domain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many get one of so many places.
    fn as_many_as_may(places: usize, of: impl Fn(usize) -> Correspondence) -> Vec<Correspondence> {
        let mut taken = Vec::new();
        while InTheWay::of(&of(taken.len()), places, &taken.iter()).is_none() {
            taken.push(of(taken.len()));
        }
        taken
    }

    #[test]
    fn neither_one_domain_nor_one_application_takes_all_places() {
        for (places, of_a_domain, of_an_application) in [(48, 24, 36), (10, 5, 8), (3, 2, 3), (2, 1, 2), (1, 1, 1)] {
            assert_eq!(as_many_as_may(places, |_| to("shop", "a.example")).len(), of_a_domain, "{places}");
            let taken = as_many_as_may(places, |n| to("shop", &n.to_string()));
            assert_eq!(taken.len(), of_an_application, "{places}");
            let is_room = InTheWay::of(&to("forum", "a.example"), places, &taken.iter()).is_none();
            assert_eq!(is_room, of_an_application < places);
        }
    }

    #[test]
    fn what_is_in_the_way_is_of_its_own_kind_first() {
        let taken = [to("shop", "a"), to("shop", "b"), to("forum", "c")];
        for (mail, expected) in [
            (to("shop", "a"), InTheWay::OfItsDomain),
            (to("shop", "d"), InTheWay::OfItsApplication),
            (to("blog", "a"), InTheWay::All),
        ] {
            assert_eq!(InTheWay::of(&mail, 3, &taken.iter()), Some(expected));
        }
    }
}
