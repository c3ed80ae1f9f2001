//! Lists of mails over all shards and applications, and the pages that one application gets of them. A call reads a bounded
//! number of records, so a page may have less than was asked for, or nothing, and still say where to go on.

use std::cmp::Ordering;

use super::{
    Records, StoreError,
    keys::message_at,
    operations::{Looking, Operation, Snapshot},
};
use crate::domain::{ApplicationName, DeliveryStatus, MailPage, MailView, Moment};

/// Mails of which the records are read together.
pub(super) const STRETCH: usize = 128;
/// Stretches that one call reads at most.
const MOST_STRETCHES: usize = 8;
/// What cursors are veiled as.
const CURSOR: &str = "cursor";

/// A list of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailList {
    /// Those in the queue, due first.
    Queue,
    /// Those that failed or expired within the last hour, newest first.
    Failed,
}

impl MailList {
    /// In which order.
    pub(super) fn order(self, one: &Place, other: &Place) -> Ordering {
        match self {
            Self::Queue => one.cmp(other),
            Self::Failed => other.cmp(one),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Queue => 0,
            Self::Failed => 1,
        }
    }

    /// Which of an application's mails are shown in it. One that expires is found in the queue until somebody settles it; one
    /// that was put back, or resent, after it failed is not listed twice.
    fn shows(self, status: DeliveryStatus) -> bool {
        match (self, status) {
            (_, DeliveryStatus::Expired) => true,
            (Self::Queue, status) => Self::QUEUED.contains(&status),
            (Self::Failed, status) => status == DeliveryStatus::Failed,
        }
    }

    const QUEUED: [DeliveryStatus; 3] = [DeliveryStatus::Queued, DeliveryStatus::Sending, DeliveryStatus::Deferred];

    /// Those in which mails of this status are found.
    fn of(wanted: Option<DeliveryStatus>) -> &'static [Self] {
        match wanted {
            None | Some(DeliveryStatus::Expired) => &[Self::Queue, Self::Failed],
            Some(status) if Self::QUEUED.contains(&status) => &[Self::Queue],
            Some(_) => &[Self::Failed],
        }
    }
}

/// Where a mail stands in a list: its moment, and what tells those of one moment apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it is due, or when it failed, in milliseconds.
    pub(super) at: u64,
    pub(super) member: [u8; 32],
}

/// Some mails of a list with their sealed records.
pub struct Stretch {
    /// The store's time.
    pub(super) now: Moment,
    /// In the list's order.
    pub(super) mails: Vec<(Place, Snapshot)>,
    /// From where on there may be more.
    pub(super) next: Option<Place>,
}

/// Which of an application's mails are asked for.
pub struct PageRequest {
    /// Whose.
    pub application: ApplicationName,
    /// How far; none: those that wait, are being sent, failed or expired.
    pub status: Option<DeliveryStatus>,
    /// How many at most.
    pub limit: usize,
    /// Where the page before it ended.
    pub cursor: Option<String>,
}

/// A page of an application's mails; none when the cursor is not one of its own.
///
/// # Errors
/// As [`Records::stretch`].
pub async fn page(records: &impl Records, request: &PageRequest) -> Result<Option<MailPage>, StoreError> {
    let lists = MailList::of(request.status);
    let Some((mut list, mut after)) = start(records, lists, request) else { return Ok(None) };
    let mut mails = Vec::new();
    for _ in 0..MOST_STRETCHES {
        let stretch = records.stretch(lists[list], after).await?;
        for (place, snapshot) in &stretch.mails {
            mails.extend(own(records, lists[list], request, place, snapshot, stretch.now));
            if mails.len() == request.limit {
                return Ok(Some(MailPage { mails, next_cursor: Some(cursor(records, lists[list], Some(*place), request)) }));
            }
        }
        match stretch.next {
            None if list + 1 == lists.len() => return Ok(Some(MailPage { mails, next_cursor: None })),
            None => (list, after) = (list + 1, None),
            further => after = further,
        }
    }
    Ok(Some(MailPage { mails, next_cursor: Some(cursor(records, lists[list], after, request)) }))
}

/// The list among `lists` to go on in, and behind which place; the first's beginning without a cursor.
fn start(records: &impl Records, lists: &[MailList], request: &PageRequest) -> Option<(usize, Option<Place>)> {
    let Some(cursor) = &request.cursor else { return Some((0, None)) };
    let bytes = records.vault().unveil(&request.application, CURSOR, cursor)?;
    let (list, place) = bytes.split_first()?;
    let list = lists.iter().position(|known| known.byte() == *list)?;
    let Some((at, member)) = place.split_first_chunk() else { return place.is_empty().then_some((list, None)) };
    Some((list, Some(Place { at: u64::from_be_bytes(*at), member: member.try_into().ok()? })))
}

fn cursor(records: &impl Records, list: MailList, after: Option<Place>, request: &PageRequest) -> String {
    let place = after.map(|Place { at, member }| [at.to_be_bytes().as_slice(), &member].concat()).unwrap_or_default();
    records.vault().veil(&request.application, CURSOR, &[&[list.byte()], place.as_slice()].concat())
}

/// The mail at a place, if it is the application's own and asked for. A record that does not open is not shown; whoever claims
/// it says so.
fn own(
    records: &impl Records,
    list: MailList,
    request: &PageRequest,
    place: &Place,
    snapshot: &Snapshot,
    now: Moment,
) -> Option<MailView> {
    let looking = Looking::at(records.vault(), &request.application, message_at(&place.member)?);
    let view = looking.decide(records.vault(), snapshot, now).ok()?.answer.ok()?;
    let status = view.delivery.status;
    (list.shows(status) && request.status.is_none_or(|wanted| wanted == status)).then_some(view)
}

/// What lies behind `after` of what each shard has: in order, as many as are read together, and from where on there may be more.
/// `windows` are each shard's mails from the moment of `after` on, cut off at `window`.
pub(super) fn merge(
    list: MailList,
    after: Option<Place>,
    windows: Vec<Vec<Place>>,
    window: usize,
) -> (Vec<Place>, Option<Place>) {
    // beyond the nearest end of a window that was cut off, others may have mails that come first
    let cut_off = windows.iter().filter(|of_shard| of_shard.len() == window).filter_map(|of_shard| of_shard.last());
    let horizon = cut_off.min_by(|one, other| list.order(one, other)).copied();
    let mut places: Vec<Place> = windows.into_iter().flatten().collect();
    places.retain(|place| after.is_none_or(|after| list.order(place, &after).is_gt()));
    places.retain(|place| horizon.is_none_or(|horizon| list.order(place, &horizon).is_le()));
    places.sort_by(|one, other| list.order(one, other));
    let is_cut_short = places.len() > STRETCH;
    places.truncate(STRETCH);
    let end = places.last().copied();
    let next =
        if is_cut_short || horizon.is_some() { end.or_else(|| horizon.map(|place| skip_moment(list, place))) } else { None };
    (places, next)
}

/// Behind everything of that moment: a shard has more mails of one millisecond than are read at once, and the rest of them is
/// not shown.
fn skip_moment(list: MailList, place: Place) -> Place {
    match list {
        MailList::Queue => Place { at: place.at + 1, member: [0; 32] },
        MailList::Failed => Place { at: place.at.saturating_sub(1), member: [0xff; 32] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(at: u64, member: u8) -> Place {
        Place { at, member: [member; 32] }
    }

    #[test]
    fn what_lies_beyond_a_window_that_was_cut_off_waits_for_the_next_stretch() {
        let windows = vec![vec![place(1, 1), place(4, 1)], vec![place(2, 2)], vec![place(3, 3), place(9, 3)]];

        let (first, next) = merge(MailList::Queue, None, windows.clone(), 2);
        assert_eq!(first, [place(1, 1), place(2, 2), place(3, 3), place(4, 1)]);
        assert_eq!(next, Some(place(4, 1)));
        let (rest, _) = merge(MailList::Queue, next, windows.clone(), 3);
        assert_eq!(rest, [place(9, 3)]);
        assert_eq!(merge(MailList::Queue, None, windows, 3).1, None);
    }

    #[test]
    fn those_that_failed_come_newest_first() {
        let windows = vec![vec![place(9, 1), place(4, 1)], vec![place(5, 2)]];

        let (places, next) = merge(MailList::Failed, Some(place(9, 1)), windows, 3);
        assert_eq!((places, next), (vec![place(5, 2), place(4, 1)], None));
    }

    #[test]
    fn more_mails_of_one_moment_than_a_window_has_stop_nobody() {
        let windows = vec![vec![place(5, 1), place(5, 2)]];

        let (places, next) = merge(MailList::Queue, Some(place(5, 2)), windows, 2);
        assert_eq!((places, next), (vec![], Some(place(6, 0))));
    }

    #[test]
    fn a_stretch_is_bounded() {
        let many: Vec<Place> = (0..200).map(|at| place(at, 1)).collect();

        let (places, next) = merge(MailList::Queue, None, vec![many], 1_000);
        assert_eq!((places.len(), next), (STRETCH, Some(place(127, 1))));
    }
}
