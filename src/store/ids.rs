use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Handle, keys, vault::Vault};
use crate::domain::{
    ApplicationName, EmailAddress, KeyedHash, MailId, MessageKey, Moment, OperationId, SignInMethod, SignedIn, User, UserId,
    VerificationId,
};

/// What ids of mails are veiled as.
const MAIL: &str = "mail";

impl Vault {
    /// The id that `operation` leads to: `r ‖ (handle ⊕ mask(r))`, so that the id alone names all its keys to the
    /// application whose it is, and decodes to nothing for any other.
    pub(super) fn id_for(
        &self,
        application: &ApplicationName,
        address: &EmailAddress,
        handle: Handle,
        operation: &OperationId,
    ) -> VerificationId {
        let r = self.operation(application.as_str(), &operation.0, &address.normalised());
        let mask = self.id_masks.hash(&[application.as_str().as_bytes(), &r]);
        VerificationId::of([r, xor(handle.0, mask)])
    }

    /// The handle in an id: that of its address when it is the application's own, else one of no address at all.
    pub(super) fn handle_in(&self, application: &ApplicationName, id: &VerificationId) -> Option<Handle> {
        let body = id.as_str().strip_prefix(VerificationId::PREFIX)?;
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(body).ok()?.try_into().ok()?;
        let (r, masked) = bytes.split_at(16);
        let mask = self.id_masks.hash(&[application.as_str().as_bytes(), r]);
        Some(Handle(xor(masked.try_into().ok()?, mask)))
    }

    /// What a user's id is made of: the same for the same operation.
    pub(super) fn user_seed(&self, application: &ApplicationName, address: &EmailAddress, operation: &OperationId) -> KeyedHash {
        self.operation(application.as_str(), &operation.0, &format!("user {}", address.normalised()))
    }

    /// The id of the user with this seed at this handle; it names both to its application, and nothing to any other.
    pub(super) fn user_id(&self, application: &ApplicationName, handle: Handle, seed: &KeyedHash) -> UserId {
        let masked = xor(handle.0, self.user_mask(application, seed));
        UserId::of([*seed, masked])
    }

    /// Handle and seed in an id: those of a user when it is the application's own, else of none at all.
    pub(super) fn user_in(&self, application: &ApplicationName, id: &UserId) -> Option<(Handle, KeyedHash)> {
        let body = id.as_str().strip_prefix(UserId::PREFIX)?;
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(body).ok()?.try_into().ok()?;
        let (seed, masked) = bytes.split_at(16);
        let seed = KeyedHash::try_from(seed).ok()?;
        Some((Handle(xor(masked.try_into().ok()?, self.user_mask(application, &seed))), seed))
    }

    fn user_mask(&self, application: &ApplicationName, seed: &KeyedHash) -> KeyedHash {
        self.id_masks.hash(&[b"user", application.as_str().as_bytes(), seed])
    }

    /// What an assertion of a sign-in says, which `name` names.
    pub(super) fn signed_in(
        &self,
        application: &ApplicationName,
        handle: Handle,
        user: &User,
        methods: Vec<SignInMethod>,
        at: Moment,
        name: &KeyedHash,
    ) -> SignedIn {
        SignedIn {
            subject: self.user_id(application, handle, &user.seed).as_str().to_owned(),
            audience: application.as_str().to_owned(),
            email: user.address.as_str().to_owned(),
            is_email_verified: user.verified_at.is_some(),
            methods,
            at,
            jti: URL_SAFE_NO_PAD.encode(self.message(name, b"assertion       ")),
        }
    }

    /// The id of the mail at a place.
    pub(super) fn mail_id(&self, application: &ApplicationName, place: &MessageKey) -> MailId {
        let text = format!("{}{}", MailId::PREFIX, self.veil(application, MAIL, &keys::member(place)));
        MailId::parse(&text).expect("48 bytes are 64 characters of base64url")
    }

    /// The place of the mail with this id; none when it is not of the application's own.
    pub(super) fn place_of(&self, application: &ApplicationName, id: &MailId) -> Option<MessageKey> {
        let member = self.unveil(application, MAIL, id.as_str().strip_prefix(MailId::PREFIX)?)?;
        keys::message_at(&member)
    }

    /// The keyed hash of an id, under which the store knows its verification.
    pub(super) fn key_of(&self, application: &ApplicationName, id: &VerificationId) -> KeyedHash {
        self.id_hashes.hash(&[application.as_str().as_bytes(), id.as_str().as_bytes()])
    }
}

fn xor(mut one: [u8; 16], other: [u8; 16]) -> [u8; 16] {
    for (a, b) in one.iter_mut().zip(other) {
        *a ^= b;
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::system_random, store::KeyRing};

    #[test]
    fn an_id_names_its_address_to_its_own_application_alone() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let (shop, bank) = (ApplicationName::parse("shop").unwrap(), ApplicationName::parse("bank").unwrap());
        let ada = EmailAddress::parse("ada@example.org").unwrap();
        let handle = vault.handle(&shop, &ada);
        let id = vault.id_for(&shop, &ada, handle, &OperationId([7; 32]));

        assert_eq!(vault.handle_in(&shop, &id), Some(handle));
        assert_ne!(vault.handle_in(&bank, &id), Some(handle));
        assert_ne!(vault.handle_in(&bank, &id), Some(vault.handle(&bank, &ada)));
        assert_eq!(vault.id_for(&shop, &ada, handle, &OperationId([7; 32])), id);
        assert_ne!(vault.id_for(&shop, &ada, handle, &OperationId([8; 32])), id);
    }

    #[test]
    fn a_mails_id_names_its_place_to_its_own_application_alone_and_only_unchanged() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let (shop, bank) = (ApplicationName::parse("shop").unwrap(), ApplicationName::parse("bank").unwrap());
        let place = MessageKey { handle: [3; 16], verification: [9; 16] };
        let id = vault.mail_id(&shop, &place);

        assert_eq!(vault.mail_id(&shop, &place), id);
        assert_ne!(vault.mail_id(&bank, &place), id);
        assert_eq!(vault.place_of(&shop, &id), Some(place));
        assert_eq!(vault.place_of(&bank, &id), None);
        for at in MailId::PREFIX.len()..id.as_str().len() {
            let mut changed = id.as_str().to_owned().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = MailId::parse(std::str::from_utf8(&changed).unwrap()).unwrap();
            assert_eq!(vault.place_of(&shop, &changed), None, "character {at}");
        }
    }

    #[test]
    fn a_text_that_is_not_canonical_base64_names_nothing() {
        let vault = Vault::new(KeyRing::generate(&mut system_random()));
        let shop = ApplicationName::parse("shop").unwrap();
        let id = VerificationId::parse(&format!("vrf_{}", "_".repeat(43))).unwrap(); // its last bits are not zero

        assert_eq!(vault.handle_in(&shop, &id), None);
    }
}
