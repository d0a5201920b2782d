//! What the owner calls people.

use tokenim_identity::IdentityId;

use super::{Client, ClientError};
use crate::step::name::{self, ContactName};

impl Client {
    /// What the owner calls an identity.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn contact_name(&self, identity: &IdentityId) -> Result<Option<ContactName>, ClientError> {
        self.shared.store.read(|view| name::of(view, identity))
    }

    /// Everybody whom the owner has given a name, in the order of their ids.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn contact_names(&self) -> Result<Vec<(IdentityId, ContactName)>, ClientError> {
        self.shared.store.read(name::all)
    }

    /// Calls an identity something, or nothing any more. It stays on this device: nobody learns of it.
    ///
    /// # Errors
    /// [`ClientError::Name`] if somebody else is called so; those of the local store.
    pub async fn set_contact_name(&self, identity: &IdentityId, name: Option<ContactName>) -> Result<(), ClientError> {
        let identity = *identity;
        self.shared
            .store
            .write(move |view| name::set(view, &identity, name.as_ref()))
            .await?
            .map_err(ClientError::from)
    }
}
