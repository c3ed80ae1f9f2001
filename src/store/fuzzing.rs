//! What a store may hand back instead of what was stored, and ids that anybody may send: see [`crate::fuzzing`].

use std::sync::LazyLock;

use rand::{SeedableRng, rngs::StdRng};
use serde::{Serialize, Serializer, ser::SerializeTuple};

use super::{Handle, KeyRing, Vault, sealing::TokenPlace};
use crate::{
    clock::system_random,
    domain::{
        AddressRecord, ApplicationName, EmailAddress, IdentityNumber, KeyedHash, Moment, OperationId, Token, VerificationId,
    },
};

const OWN: Handle = Handle([1; 16]);
const KEY: KeyedHash = [3; 16];

/// A vault, and what it sealed: the same in each process, but for the nonces.
static SEALED: LazyLock<SealedValues> = LazyLock::new(SealedValues::new);

struct SealedValues {
    vault: Vault,
    shop: ApplicationName,
    id: VerificationId,
    number: IdentityNumber,
    /// A record, a token and an id, as they are stored.
    blobs: [Vec<u8>; 3],
}

impl SealedValues {
    fn new() -> Self {
        let vault = Vault::new(KeyRing::generate(&mut StdRng::seed_from_u64(1)));
        let shop = ApplicationName::parse("shop").expect("it is a word");
        let id = VerificationId::parse(&format!("vrf_{}A", "a".repeat(42))).expect("it has the form of an id");
        let number = IdentityNumber::parse("123456789012").expect("it is 12 digits");
        let place = TokenPlace { application: &shop, id: &id, key: &KEY, expires_at: Moment(9) };
        let blobs = [
            vault.seal_record(&mut system_random(), OWN, &AddressRecord::default()),
            vault.seal_token(&mut system_random(), &place, &token()),
            vault.seal_id(&mut system_random(), &number, &id),
        ];
        Self { vault, shop, id, number, blobs }
    }

    fn place(&self) -> TokenPlace<'_> {
        TokenPlace { application: &self.shop, id: &self.id, key: &KEY, expires_at: Moment(9) }
    }

    /// Whether the `kind`th place takes `sealed` for what was stored there.
    ///
    /// # Panics
    /// When it opens as anything else.
    fn opens(&self, kind: usize, sealed: &[u8]) -> bool {
        match kind {
            0 => self.vault.open_record::<AddressRecord>(OWN, sealed).map(|record| assert_eq!(record, AddressRecord::default())),
            1 => self.vault.open_token(&self.place(), sealed).map(|opened| assert!(opened == token())),
            _ => self.vault.open_id(&self.number, sealed).map(|opened| assert!(opened == self.id)),
        }
        .is_ok()
    }
}

/// A vault whose keys are known, so that seeds keep their meaning.
pub(crate) fn vault() -> Vault {
    SEALED.vault.clone()
}

fn token() -> Token {
    Token::Text("session-1".to_owned())
}

/// A sealed record, token or id: made up, or a right one changed. It opens where it was sealed and unchanged, and nowhere else.
/// What is sealed by our own key, but is no record, is refused too.
///
/// The first byte says where it is presented, the second what the rest is: 0 the blob, 1 changes to the right one (three bytes
/// each: where, and what to turn over), 2 how much of the right one is left, 3 what is inside a record.
///
/// # Panics
/// When that does not hold.
pub fn sealed(data: &[u8]) {
    let [place, what, rest @ ..] = data else { return };
    let (values, kind) = (&*SEALED, usize::from(*place) % 3);
    let right = &values.blobs[kind];
    match what % 4 {
        0 => assert_eq!(values.opens(kind, rest), rest == right), // a fuzzer sees what it is compared with
        1 => {
            let blob = turned_over(right, rest);
            assert_eq!(values.opens(kind, &blob), blob == *right);
            let elsewhere = (kind + 1) % 3;
            assert!(!values.opens(elsewhere, &blob));
            assert!(values.vault.open_record::<AddressRecord>(Handle([2; 16]), &blob).is_err());
        }
        2 => {
            let length = rest.first().map_or(0, |&length| usize::from(length) % right.len());
            assert!(!values.opens(kind, &right[..length]));
        }
        _ => read_as_record(&values.vault, rest),
    }
}

fn turned_over(right: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut blob = right.to_vec();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % blob.len();
        blob[at] ^= change[2];
    }
    blob
}

/// A record of an older or a newer daemon, or of whoever has the keys: it is read or refused, and what is read is written alike.
fn read_as_record(vault: &Vault, plain: &[u8]) {
    let sealed = vault.seal_record(&mut system_random(), OWN, &Bytes(plain));
    let Ok(record) = vault.open_record::<AddressRecord>(OWN, &sealed) else { return };
    let again = vault.seal_record(&mut system_random(), OWN, &record);
    assert_eq!(vault.open_record::<AddressRecord>(OWN, &again).expect("it was written just now"), record);
}

/// Written as the bytes alone, without their length.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

/// An id as it stands in a path, and the operation that leads to one. A text is an id or none, and leads to at most one address;
/// an id that we made leads to its own, for its application alone.
///
/// # Panics
/// When that does not hold.
pub fn id(data: &[u8]) {
    let SealedValues { vault, shop, .. } = &*SEALED;
    if let Some(id) = str::from_utf8(data).ok().and_then(VerificationId::parse) {
        assert_eq!(id.as_str().as_bytes(), data);
        assert!(data.len() == 47 && data.is_ascii());
        assert_eq!(vault.handle_in(shop, &id), vault.handle_in(shop, &id));
    }
    let mut operation = OperationId([0; 32]);
    operation.0.iter_mut().zip(data).for_each(|(own, given)| *own = *given);
    let bank = ApplicationName::parse("bank").expect("it is a word");
    let ada = EmailAddress::parse("ada@example.org").expect("it is an address");
    let handle = vault.handle(shop, &ada);
    let id = vault.id_for(shop, &ada, handle, &operation);
    assert_eq!(vault.handle_in(shop, &id), Some(handle));
    assert_ne!(vault.handle_in(&bank, &id), Some(handle));
    assert_eq!(VerificationId::parse(id.as_str()).as_ref(), Some(&id));
}
