use crate::domain::{AddressRecord, KeyedHash, Moment, Refusal, VerificationId, VerificationView};

/// Looks at a verification.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its id.
    pub id: VerificationId,
    /// Keyed hash of its id.
    pub key: KeyedHash,
}

/// The verification as it stands now.
pub fn read(mut record: AddressRecord, request: &Read, now: Moment) -> Result<VerificationView, Refusal> {
    record.age(now);
    let found = record.verification(&request.key).map(|v| v.view(&request.id, record.wrong_checks_left(now), now));
    found.or_else(|| record.tombstone(&request.key).map(|t| t.view(&request.id))).ok_or(Refusal::NotFound)
}
