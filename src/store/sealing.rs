use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, AeadInOut, Payload, inout::InOutBuf},
};
use postcard::{ser_flavors::Flavor, serialize_with_flavor};
use rand::CryptoRng;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Handle, StoreError, ring::RingKey, vault::Vault};
use crate::{
    domain::{ApplicationName, IdentityNumber, KeyedHash, Moment, Token, VerificationId},
    wiped::WipedBuffer,
};

/// Layout of a sealed value: format (1 byte), sealing key's id (4), nonce (24), ciphertext with tag.
const FORMAT: u8 = 1;
const NONCE_AT: usize = 5;
const CIPHERTEXT_AT: usize = 29;
const TAG_LENGTH: usize = 16;

const ID_CONTEXT: &[u8] = b"id";

/// What tells one version of a record from the next: its nonce.
pub(super) fn version(sealed: &[u8]) -> Option<&[u8]> {
    sealed.get(NONCE_AT..CIPHERTEXT_AT)
}

impl Vault {
    pub(super) fn seal_record<R: Serialize>(
        &self,
        random: &mut (impl CryptoRng + ?Sized),
        handle: Handle,
        record: &R,
    ) -> Vec<u8> {
        let plain = plain(record);
        let keys = self.keys();
        let key = keys.newest();
        seal(random, key, &key.secret, &record_context(handle), &plain)
    }

    /// # Errors
    /// `Damaged` when it is not a record that was sealed for this handle; `KeyMissing`.
    pub(super) fn open_record<R: DeserializeOwned>(&self, handle: Handle, sealed: &[u8]) -> Result<R, StoreError> {
        let damaged = || StoreError::Damaged("a record");
        let keys = self.keys();
        let key = keys.with_id(key_id(sealed).ok_or_else(damaged)?)?;
        let plain = open(&key.secret, &record_context(handle), sealed).ok_or_else(damaged)?;
        postcard::from_bytes(&plain).map_err(|_| damaged())
    }

    /// Sealed under a key that is derived from the verification's id, which the store does not hold: whoever steals the
    /// store and the key ring still cannot open it.
    pub(super) fn seal_token(&self, random: &mut (impl CryptoRng + ?Sized), place: &TokenPlace, token: &Token) -> Vec<u8> {
        let plain = plain(token);
        let keys = self.keys();
        let key = keys.newest();
        seal(random, key, &key.derive("token", place.id.as_str()), &place.context(), &plain)
    }

    /// Seals an id under a key that is derived from its number: where the number alone identifies, it leads to the id.
    pub(super) fn seal_id(
        &self,
        random: &mut (impl CryptoRng + ?Sized),
        number: &IdentityNumber,
        id: &VerificationId,
    ) -> Vec<u8> {
        let keys = self.keys();
        let key = keys.newest();
        seal(random, key, &key.derive("number", number.as_str()), ID_CONTEXT, id.as_str().as_bytes())
    }

    /// # Errors
    /// `Damaged` when it is no id that was sealed for this number; `KeyMissing`.
    pub(super) fn open_id(&self, number: &IdentityNumber, sealed: &[u8]) -> Result<VerificationId, StoreError> {
        let damaged = || StoreError::Damaged("an id");
        let keys = self.keys();
        let key = keys.with_id(key_id(sealed).ok_or_else(damaged)?)?;
        let plain = open(&key.derive("number", number.as_str()), ID_CONTEXT, sealed).ok_or_else(damaged)?;
        std::str::from_utf8(&plain).ok().and_then(VerificationId::parse).ok_or_else(damaged)
    }

    /// # Errors
    /// `Damaged` when it is not the token that was sealed for this place; `KeyMissing`.
    pub(super) fn open_token(&self, place: &TokenPlace, sealed: &[u8]) -> Result<Token, StoreError> {
        let damaged = || StoreError::Damaged("a token");
        let keys = self.keys();
        let key = keys.with_id(key_id(sealed).ok_or_else(damaged)?)?;
        let plain = open(&key.derive("token", place.id.as_str()), &place.context(), sealed).ok_or_else(damaged)?;
        postcard::from_bytes(&plain).map_err(|_| damaged())
    }
}

/// What a sealed token belongs to; sealed with it, so that it opens nowhere else.
pub(super) struct TokenPlace<'a> {
    pub(super) application: &'a ApplicationName,
    pub(super) id: &'a VerificationId,
    pub(super) key: &'a KeyedHash,
    pub(super) expires_at: Moment,
}

impl TokenPlace<'_> {
    fn context(&self) -> Vec<u8> {
        [b"token".as_slice(), self.key, &self.expires_at.0.to_be_bytes(), self.application.as_str().as_bytes()].concat()
    }
}

/// What is sealed of `value`.
fn plain(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    serialize_with_flavor(value, Wiped::default()).expect("records and tokens are plain data")
}

/// What postcard writes into, byte by byte.
#[derive(Default)]
struct Wiped(WipedBuffer);

impl Flavor for Wiped {
    type Output = Zeroizing<Vec<u8>>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(self.0.into_bytes())
    }
}

fn record_context(handle: Handle) -> Vec<u8> {
    [b"record".as_slice(), &handle.0].concat()
}

fn key_id(sealed: &[u8]) -> Option<[u8; 4]> {
    (*sealed.first()? == FORMAT).then(|| sealed.get(1..NONCE_AT)?.try_into().ok())?
}

fn seal(
    random: &mut (impl CryptoRng + ?Sized),
    key: &RingKey,
    secret: &Zeroizing<[u8; 32]>,
    context: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let mut nonce = [0; CIPHERTEXT_AT - NONCE_AT];
    random.fill_bytes(&mut nonce);
    let mut sealed = Vec::with_capacity(CIPHERTEXT_AT + plain.len() + TAG_LENGTH);
    sealed.push(FORMAT);
    sealed.extend_from_slice(&key.id);
    let associated = [&sealed, context].concat();
    sealed.extend_from_slice(&nonce);
    sealed.resize(CIPHERTEXT_AT + plain.len(), 0);
    let encrypting = InOutBuf::new(plain, &mut sealed[CIPHERTEXT_AT..]).expect("both are as long");
    let cipher = XChaCha20Poly1305::new((&**secret).into());
    let tag = cipher.encrypt_inout_detached(&XNonce::from(nonce), &associated, encrypting);
    sealed.extend_from_slice(&tag.expect("a record is far shorter than the cipher's limit"));
    sealed
}

fn open(secret: &Zeroizing<[u8; 32]>, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; CIPHERTEXT_AT - NONCE_AT] = version(sealed)?.try_into().ok()?;
    let payload = Payload { msg: sealed.get(CIPHERTEXT_AT..)?, aad: &[&sealed[..NONCE_AT], context].concat() };
    let cipher = XChaCha20Poly1305::new((&**secret).into());
    cipher.decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::system_random, domain::AddressRecord, store::KeyRing};

    #[test]
    fn a_record_opens_at_its_own_handle_alone_and_only_unchanged() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let (own, other) = (Handle([1; 16]), Handle([2; 16]));
        let mut sealed = vault.seal_record(&mut system_random(), own, &AddressRecord::default());

        let open = |handle, sealed: &[u8]| vault.open_record::<AddressRecord>(handle, sealed);
        assert_eq!(open(own, &sealed).unwrap(), AddressRecord::default());
        assert!(open(other, &sealed).is_err());
        for at in 0..sealed.len() {
            sealed[at] ^= 1;
            assert!(open(own, &sealed).is_err(), "byte {at}");
            sealed[at] ^= 1;
        }
        assert!(open(own, &sealed[..CIPHERTEXT_AT - 1]).is_err());
    }

    #[test]
    fn a_token_opens_with_its_own_id_alone() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let application = ApplicationName::parse("shop").unwrap();
        let id = |letter: &str| VerificationId::parse(&format!("vrf_{}A", letter.repeat(42))).unwrap();
        let (own, other) = (id("a"), id("b"));
        let place = |id| TokenPlace { application: &application, id, key: &[3; 16], expires_at: Moment(9) };
        let sealed = vault.seal_token(&mut system_random(), &place(&own), &Token::Text("s-1".to_owned()));

        assert_eq!(vault.open_token(&place(&own), &sealed).unwrap(), Token::Text("s-1".to_owned()));
        assert!(vault.open_token(&place(&other), &sealed).is_err());
        assert!(vault.open_token(&TokenPlace { expires_at: Moment(10), ..place(&own) }, &sealed).is_err());
    }

    #[test]
    fn no_nonce_is_drawn_twice() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let sealed: Vec<_> = (0..2_000).map(|_| vault.seal_record(&mut system_random(), Handle([1; 16]), &1_u8)).collect();
        let nonces: std::collections::BTreeSet<_> = sealed.iter().map(|sealed| version(sealed).unwrap()).collect();

        assert_eq!(nonces.len(), sealed.len());
        assert!(nonces.iter().all(|nonce| nonce.len() == 24));
    }
}
